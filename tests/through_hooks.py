"""Studies that run through the model's own hooks, as if the decoder did not cover it."""

from __future__ import annotations

import pytest

from patchwidget import PatchStudy
from patchwidget.hooks import HookedModel


def by_hooks(model, *pairs, **options):
    """A study on the hook engine; its arguments are a study's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "patchwidget.engines.choose", lambda m: (HookedModel(m), "a test")
        )
        return PatchStudy(model, *pairs, **options)
