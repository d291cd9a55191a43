"""A cell that runs while a job does: neither sees the other's work on the model."""

from __future__ import annotations

import asyncio
import time

import pytest
import torch
from cells import (
    study_of,
    until_something_is_found,
    weights_change_unseen,
)

from patchwidget import PatchWidget

pytestmark = pytest.mark.usefixtures("recorded")

SITE = "blocks.0.attn.hook_z"
# Several batches of several layers, and of every way in which a patch is made.
NAMES = [
    "L0H0.q",
    "L0H1.k@3",
    "L0H2.v",
    "L0H1.pattern",
    "L0.resid_pre@2",
    "L1H0.z",
    "L1.mlp_out@4",
    "L1H2.q@5",
]


def halved(value, hook):
    return value * 0.5


def raw(study, names=NAMES):
    """Exact effects as they are, bit by bit."""
    known = study.verified
    return {name: known[study.node(name)].raw for name in names}


def same(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[k], other[k]) for k in one
    )


class Cell:
    """What people do between two patches: run the model plain, hooked, and draw numbers."""

    def __init__(self, study):
        self.model, self.tokens = study.model, study.pairs.clean
        self.generator = torch.random.get_rng_state()

    def results(self):
        torch.random.set_rng_state(self.generator)
        return {
            "plain": self.model(self.tokens),
            "hooked": self.model.run_with_hooks(
                self.tokens, fwd_hooks=[(SITE, halved)]
            ),
            "cached": self.model.run_with_cache(self.tokens)[1][SITE],
            "drawn": torch.rand(3),
            "modes": torch.tensor(
                [torch.is_grad_enabled(), torch.is_inference_mode_enabled()]
            ),
        }

    def state(self):
        """All that a job could leave behind."""
        return (
            [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in self.modules()],
            [module.training for module in self.modules()],
            [(p.requires_grad, p.grad) for p in self.model.parameters()],
            torch.get_default_dtype(),
        )

    def modules(self):
        return list(self.model.modules())


@pytest.mark.parametrize("engine", ["decoder", "hooks"])
def test_a_cell_and_a_job_do_not_see_each_other(engine):
    alone = study_of(engine)
    alone.exact(NAMES)

    async def notebook():
        study = study_of(engine)
        cell = Cell(study)
        without, before = cell.results(), cell.state()
        widget = PatchWidget(study)
        widget.start("exact", NAMES)
        runs = 0
        while widget.job["state"] in ("idle", "running"):
            assert same(cell.results(), without), "as without a job"
            assert cell.state() == before
            runs += 1
            await asyncio.sleep(0)
        await widget.settled()
        assert runs > len(NAMES), "it ran in the middle of the job, many times"
        assert widget.job["state"] == "done"
        assert same(raw(study), raw(alone)), "as without a cell"
        assert same(cell.results(), without)
        assert cell.state() == before
        widget.close()

    asyncio.run(notebook())


def hook_stays(model):
    model.blocks[0].attn.hook_z.add_hook(halved)


def torch_hook_stays(model):
    model.blocks[0].register_forward_hook(lambda module, args, output: output)


def weights_change(model):
    with torch.no_grad():
        next(model.parameters()).mul_(2)


@pytest.mark.parametrize("engine", ["decoder", "hooks"])
@pytest.mark.parametrize(
    "change", [hook_stays, torch_hook_stays, weights_change, weights_change_unseen]
)
def test_what_stays_on_the_model_stops_the_job_with_a_reason(engine, change):
    alone = study_of(engine)
    alone.exact(NAMES)

    async def notebook():
        study = study_of(engine)
        widget = PatchWidget(study)
        widget.start("exact", NAMES)
        await until_something_is_found(study)
        found = len(study.verified)
        change(study.model)
        with pytest.raises(RuntimeError, match="changed since this study ran it"):
            await widget.settled()
        assert widget.job["state"] == "failed"
        assert "make a new PatchStudy" in widget.job["error"]["message"]
        assert len(study.verified) == found, "nothing was found after the change"
        known = [str(node) for node in study.verified]
        drawn = {str(node) for node in study.verified if node.by is None}
        assert set(widget.verified) == drawn, "what was found before is kept"
        assert same(raw(study, known), {name: raw(alone)[name] for name in known})
        widget.close()

    asyncio.run(notebook())


@pytest.mark.parametrize("engine", ["decoder", "hooks"])
def test_a_change_that_is_taken_back_within_a_batch_is_noticed_too(engine):
    """A cell that awaits, with the weights of one of its steps other than before."""

    async def notebook():
        study = study_of(engine)
        widget = PatchWidget(study)
        weights = next(study.model.parameters()).data
        widget.start("exact", NAMES)
        await until_something_is_found(study)
        found = len(study.verified)
        for factor in (2.0, 0.5):
            weights.mul_(factor)
            await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="changed since this study ran it"):
            await widget.settled()
        assert len(study.verified) == found
        widget.close()

    asyncio.run(notebook())


@pytest.mark.parametrize("engine", ["decoder", "hooks"])
def test_a_cells_modes_do_not_reach_the_job(engine):
    """A cell that awaits keeps its modes on while the job has its turns."""
    alone = study_of(engine)
    alone.exact(NAMES)

    async def notebook():
        study = study_of(engine)
        widget = PatchWidget(study)
        widget.start("exact", NAMES)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            await until_something_is_found(study)
        with torch.enable_grad():
            torch.set_default_dtype(torch.float64)
            try:
                await widget.settled()
            finally:
                torch.set_default_dtype(torch.float32)
        assert same(raw(study), raw(alone))
        assert not any(value.requires_grad for value in raw(study).values())
        widget.close()

    asyncio.run(notebook())


def test_a_cell_waits_for_one_step_at_the_most():
    """However the steps are cut: between two of them everyone else has one turn."""

    async def notebook():
        study = study_of("decoder")
        widget = PatchWidget(study)
        slowest = 0.0
        began = time.monotonic()

        def timed(steps):
            nonlocal slowest, began
            while True:
                began = time.monotonic()
                step = next(steps, None)
                slowest = max(slowest, time.monotonic() - began)
                if step is None:
                    return
                yield step

        whole = widget._steps
        widget._steps = lambda turns: timed(whole(turns))
        widget.start("exact", NAMES)
        waits = []
        while widget.job["state"] in ("idle", "running"):
            asked = time.monotonic()
            await asyncio.sleep(0)
            waits.append(time.monotonic() - asked)
        assert len(waits) > len(NAMES)
        # What is done beside a step (telling the page) is a few milliseconds.
        assert max(waits) < slowest + 0.05
        widget.close()

    asyncio.run(notebook())
