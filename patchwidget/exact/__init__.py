"""Exact effects: the patch is really run."""

from patchwidget.exact.budget import checked_budget
from patchwidget.exact.cost import PatchCost, work_of
from patchwidget.exact.filled import filled
from patchwidget.exact.known import Listener
from patchwidget.exact.progress import Progress
from patchwidget.exact.runner import Runner, readings
from patchwidget.exact.swap import Patch, Patches, Reading, Swap, readings_of, together

__all__ = [
    "Listener",
    "Patch",
    "PatchCost",
    "Patches",
    "Progress",
    "Reading",
    "Runner",
    "Swap",
    "checked_budget",
    "filled",
    "readings",
    "readings_of",
    "together",
    "work_of",
]
