"""What the tests of cells beside a job have in common: a study of its own, waiting, a change."""

from __future__ import annotations

import asyncio

from toy_models import STYLES, random_model, random_tokens

from patchwidget import PatchStudy
from patchwidget.hooks import HookedModel


def unchanged(value, hook):
    return value


def study_of(engine):
    """A study on a model of its own: what the cell leaves on it stays there."""
    model = random_model(STYLES[-1])
    if engine == "hooks":
        # Where the user has a hook already, the model's own hooks do the work.
        model.blocks[1].hook_resid_pre.add_hook(unchanged)
    made = PatchStudy(model, *random_tokens())
    assert isinstance(made._runs.engine, HookedModel) == (engine == "hooks")
    return made


async def until_something_is_found(study):
    while not study.verified:  # noqa: ASYNC110 - a turn at a time
        await asyncio.sleep(0)


def weights_change_unseen(model):
    next(model.parameters()).data.mul_(2)
