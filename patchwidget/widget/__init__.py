"""The kernel side of the widget: traits, messages, jobs."""

from patchwidget.widget.widget import PatchWidget

__all__ = ["PatchWidget"]
