"""What a person sees when something breaks: the reason, and all that was found before.

After each fault: no number that is wrong, nothing verified that is lost, no hook on the
model, no job that says it is running.
"""

from __future__ import annotations

import asyncio
import random
import warnings

import pytest
import torch
from page import hears, page_sets
from toy_models import STYLES, random_model

from patchwidget import Pairs, PatchStudy, PatchWidget
from patchwidget.exact import sweep
from patchwidget.hooks import user_hooks
from patchwidget.widget import messages
from patchwidget.widget import page as page_room
from patchwidget.widget.settings import KERNEL_OWNED, VIEW_OWNED

pytestmark = pytest.mark.usefixtures("recorded")

MANY = [f"L{i}H{h}.{kind}" for i in (0, 1) for h in (0, 1) for kind in "kqvz"]


@pytest.fixture(scope="module")
def truth(model, tokens):
    """What every node of `MANY` is, found in peace."""
    found = PatchStudy(model, *tokens).exact(MANY)
    return {str(node): effect.raw for node, effect in found.items()}


def check(widget, study, truth, *, state):
    """What must hold after every fault."""
    assert widget.job["state"] == state
    known = {str(node): effect.raw for node, effect in study.verified.items()}
    assert set(widget.verified) == set(known), "the page shows all that is known"
    for name, raw in known.items():
        # Not bit by bit: how many run at once may differ.
        assert torch.allclose(raw, truth[name], atol=1e-6)
        shown = widget.verified[name]["raw"]
        assert shown == pytest.approx(float(raw.mean()), rel=1e-6)
    assert user_hooks(study.model) == {}


async def until_something_is_found(study):
    while not study.verified:  # noqa: ASYNC110 - a turn at a time
        await asyncio.sleep(0)


class Metric:
    """The logit difference of a study without answers that can be made to raise."""

    def __init__(self, tokens):
        self.answers, self.error, self.calls = tokens[2], None, 0

    def __call__(self, logits):
        self.calls += 1
        if self.error is not None:
            raise self.error
        right, wrong = logits[:, -1].gather(1, self.answers).unbind(1)
        return right - wrong


# --- in the middle of a job -------------------------------------------------------------


def test_a_metric_that_raises_in_the_middle(model, tokens, truth):
    metric = Metric(tokens)

    async def notebook():
        study = PatchStudy(model, *tokens[:2], metric=metric)
        widget = PatchWidget(study)
        widget.start("exact", MANY)
        await until_something_is_found(study)
        metric.error = ZeroDivisionError("no such thing")
        with pytest.raises(RuntimeError, match="ZeroDivisionError: no such thing"):
            await widget.settled()
        assert 0 < len(widget.verified) < len(MANY)
        check(widget, study, truth, state="failed")
        assert "on the run in which L" in widget.job["error"]["message"], "which one"
        metric.error = None
        hears(widget, {"kind": "job.retry", "id": "a-0"})
        await widget.settled()
        assert set(widget.verified) == set(MANY)
        check(widget, study, truth, state="done")
        widget.close()

    asyncio.run(notebook())


@pytest.mark.parametrize("fits", [0, 1])
def test_memory_that_runs_out_in_the_middle(labelled, truth, monkeypatch, fits):
    """It goes on with less at once; where not even one patch fits, it says so."""
    read, is_scarce = sweep._read, []

    def scarce(swap, batch, position):
        if is_scarce and len(batch.patches) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return read(swap, batch, position)

    monkeypatch.setattr(sweep, "_read", scarce)

    async def notebook():
        widget = PatchWidget(labelled)
        widget.start("exact", MANY)
        await until_something_is_found(labelled)
        is_scarce.append(True)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            if fits:
                await widget.settled()
                check(widget, labelled, truth, state="done")
                assert set(widget.verified) == set(MANY)
            else:
                with pytest.raises(RuntimeError, match="out of memory"):
                    await widget.settled()
                check(widget, labelled, truth, state="failed")
                assert "out of memory" in widget.job["error"]["message"]
        assert "memory did not suffice" in str(said[0].message)
        is_scarce.clear()
        widget.start("exact", MANY)
        await widget.settled()
        check(widget, labelled, truth, state="done")
        widget.close()

    asyncio.run(notebook())


def by_page(widget):
    widget.comm.handle_close({"content": {"data": {}}})


def by_cell(widget):
    widget.close()


@pytest.mark.parametrize("close", [by_page, by_cell])
def test_a_comm_that_closes_in_the_middle(labelled, truth, close):
    async def notebook():
        widget = PatchWidget(labelled)
        comm = widget.comm
        widget.start("exact", MANY)
        await until_something_is_found(labelled)
        close(widget)
        said = len(comm.published)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(comm.published) == said, "nothing is said to nobody"
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert 0 < len(labelled.verified) < len(MANY)
        check(widget, labelled, truth, state="cancelled")
        # The study is as good as before: another widget shows what is known.
        other = PatchWidget(labelled)
        assert set(other.verified) == set(map(str, labelled.verified))
        other.start("exact", MANY)
        await other.settled()
        check(other, labelled, truth, state="done")
        other.close()

    asyncio.run(notebook())


@pytest.mark.parametrize("study_is_new", [True, False])
def test_a_cell_that_is_run_again_while_its_old_job_runs(
    model, tokens, truth, study_is_new, monkeypatch
):
    monkeypatch.setattr(page_room, "UNSEEN_AFTER_S", 0.0)

    async def notebook():
        run = iter("abc")
        monkeypatch.setattr(page_room, "cell_and_run", lambda: ("cell", next(run)))
        studies = [PatchStudy(model, *tokens)]
        old = PatchWidget(studies[0])
        page_sets(old, _view_count=1)
        old.start("exact", MANY)
        await until_something_is_found(studies[0])
        found = len(studies[0].verified)
        # The output is cleared when the new one comes: the page tells of it later.
        studies.append(PatchStudy(model, *tokens) if study_is_new else studies[0])
        new = PatchWidget(studies[1])
        assert len(new.verified) == (0 if study_is_new else found)
        page_sets(old, _view_count=0)
        page_sets(new, _view_count=1)
        new.start("exact", MANY)
        await new.settled()
        await asyncio.sleep(0)
        check(new, studies[1], truth, state="done")
        assert set(new.verified) == set(MANY)
        assert old.job["state"] == "cancelled"
        assert old.comm is None, "nobody shows it, and its cell has made another"
        new.close()

    asyncio.run(notebook())


def test_an_error_on_the_way_to_the_page_ends_the_job_truthfully(labelled, truth):
    """A page that cannot be told anything (a socket that is gone) stops no job."""

    async def notebook():
        widget = PatchWidget(labelled)
        widget.start("exact", MANY)
        await until_something_is_found(labelled)
        send, widget._send = widget._send, broken_socket
        for _ in range(5):
            await asyncio.sleep(0)
        widget._send = send
        await asyncio.wait([widget._jobs._task])
        assert widget.job["state"] in ("done", "failed")
        if widget.job["state"] == "failed":
            assert "the socket is gone" in widget.job["error"]["message"]
        widget.start("exact", MANY)
        await widget.settled()
        check(widget, labelled, truth, state="done")
        widget.close()

    asyncio.run(notebook())


def broken_socket(*args, **kwargs):
    raise OSError("the socket is gone")


# --- what is no study, and several of them ----------------------------------------------


@pytest.mark.parametrize(
    ("garbage", "error", "message"),
    [
        (None, TypeError, "supported are"),
        ("gpt2", TypeError, "supported are"),
        (PatchStudy, TypeError, "supported are"),
        (torch.nn.Linear(2, 2), TypeError, "supported are"),
        ([], TypeError, "supported are"),
    ],
)
def test_what_is_no_study_is_refused(tokens, garbage, error, message):
    with pytest.raises(error, match=message):
        PatchWidget(garbage, *tokens)


def test_two_widgets_on_one_study_agree(labelled, truth):
    async def notebook():
        one, other = PatchWidget(labelled), PatchWidget(labelled)
        one.start("exact", MANY[:8])
        other.start("exact", MANY[4:])
        await one.settled()
        await other.settled()
        assert set(one.verified) == set(other.verified) == set(MANY)
        for name, record in one.verified.items():
            for field in ("estimate", "exact", "raw", "per_pair", "halves"):
                assert record[field] == other.verified[name][field]
        assert one.report == other.report
        check(one, labelled, truth, state="done")
        check(other, labelled, truth, state="done")
        one.close()
        other.selection = ["L1H2.pattern"]
        await other.settled()
        assert "L1H2.pattern" in other.verified
        other.close()

    asyncio.run(notebook())


def test_two_widgets_on_one_model_in_different_directions(model, tokens, truth):
    noising = PatchStudy(model, *tokens, direction="noising")
    alone = {str(n): e.raw for n, e in noising.exact(MANY).items()}

    async def notebook():
        study = PatchStudy(model, *tokens)
        one = PatchWidget(study)
        other = PatchWidget(study, direction="noising")
        await other.settled()
        one.start("exact", MANY)
        other.start("exact", MANY)
        await one.settled()
        await other.settled()
        assert (one.direction, other.direction) == ("denoising", "noising")
        check(one, study, truth, state="done")
        check(other, study.reversed(), alone, state="done")
        one.close()
        other.close()

    asyncio.run(notebook())


# --- a page that sends anything ---------------------------------------------------------

ODD = [
    None,
    True,
    0,
    -1,
    2**63,
    10**400,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "L0H1.z",
    "L9H9.z",
    "L0H0.q@S2",
    "q",
    "<img src=x onerror=alert(1)>",
    "\x00\ud800",
    "x" * 10_000,
    [],
    {},
    [[]],
    ["L0H1.q", None],
    ["L0H1.q"] * 500,
    {"L0H1": "<b>"},
    {"__proto__": {}},
    [{"kind": "reply"}],
    # What there is, where it does not belong, and now and then where it does.
    *("relp", "atp_qk", "noising", "z", "picked", "top", "all", "known", "L0H2.k"),
    *(1, 2, ["L1H0.pattern", "L0.resid_pre@S2"], {"L1H1": "mover"}),
    *("L1H0", "L0.mlp", "paths", "interactions", "repair", "story", "L0H0 -> final"),
    *(["L0H1 -> L1H0.q", "embed -> final"], ["L1H0 -> L0H0.q"], ["L0H0", "L1H2"]),
    '{"format": "patchwidget-circuit", "version": 1, "paths": {"L0H0 -> final": 1}}',
]
FIELDS = (
    *("kind", "id", "node", "nodes", "pair", "top", "layer", "what", "of", "error"),
    *("paths", "text", "name"),
)
TRAITS = (*VIEW_OWNED, *KERNEL_OWNED, "_view_count", "_esm", "layout", "comm", "nope")


class Fuzz:
    """Messages of a page that has gone wrong, by seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)  # noqa: S311 - a seeded test

    def value(self):
        return self.random.choice(ODD)

    def message(self):
        """Whatever a comm could deliver."""
        kind = self.random.random()
        if kind < 0.05:
            return self.value()
        if kind < 0.1:
            return {"content": self.random.choice([{}, None, {"data": self.value()}])}
        data = self.update() if kind < 0.5 else self.custom()
        if self.random.random() < 0.1:
            data[self.random.choice(["method", "state", "content"])] = self.value()
        if self.random.random() < 0.1:
            data["buffer_paths"] = self.value()
        return {"content": {"data": data}, "buffers": []}

    def update(self):
        names = self.random.sample(TRAITS, self.random.choice([1, 1, 1, 2, 3]))
        return {"method": "update", "state": {name: self.value() for name in names}}

    def custom(self):
        content = {name: self.value() for name in self.random.sample(FIELDS, 7)}
        if self.random.random() < 0.9:
            content["kind"] = self.random.choice([*messages.REQUESTS, "reply", "x"])
        if self.random.random() < 0.9:
            content["id"] = f"f-{self.random.randrange(10**6)}"
        return {"method": "custom", "content": content}


# Whatever a page may be told: it asked for what there is not, or for what cannot be.
REPLIES = {"TypeError", "ValueError", "IndexError", "KeyError", "RuntimeError"}
JOB_ERRORS = {*REPLIES, "TraitError"}


def flood(model, tokens, seed, count, most_bytes):
    """Send `count` messages of anything; what the widget said, thrown away as it comes."""
    pairs = Pairs(*tokens[:2], answers=tokens[2], labels={"S2": 3})
    study = PatchStudy(model, pairs)
    widget, fuzz, errors = PatchWidget(study), Fuzz(seed), set()
    grids, esm = widget.grids, widget._esm
    for _ in range(count):
        widget.comm.handle_msg(fuzz.message())
        for content, buffers in widget.comm.messages():
            assert sum(map(len, buffers or [])) <= most_bytes
            if content["kind"] == "reply" and not content["ok"]:
                errors.add(content["error"]["type"])
        if widget.job["error"] is not None:
            assert widget.job["error"]["type"] in JOB_ERRORS, widget.job
            assert len(widget.job["error"]["message"]) < 1100, widget.job
        assert widget.job["state"] != "running", "without a loop it is done at once"
        widget.comm.published.clear()
    assert errors <= REPLIES
    return study, widget, grids, esm


def check_after_flood(model, tokens, seed, count, caplog):
    study, widget, grids, esm = flood(model, tokens, seed, count, 100_000)
    assert len(caplog.records) <= page_room.MOST_REPORTS
    assert all(len(record.getMessage()) < 300 for record in caplog.records)
    assert widget.comm is not None
    assert widget._esm == esm
    assert user_hooks(model) == {}
    fresh = PatchStudy(model, study.pairs.clean, study.pairs.corrupted, tokens[2])
    page_sets(widget, method="atp", direction="denoising", selection=["L1H2.k"])
    assert widget.job["state"] == "done" or "L1H2.k" in widget.verified
    assert {n: g["data"] for n, g in widget.grids.items()} == {
        n: g["data"] for n, g in grids.items()
    }
    exact = fresh.exact(list(study.verified))
    for node, effect in study.verified.items():
        assert torch.allclose(effect.raw, exact[node].raw, atol=1e-5)
    for name, record in widget.circuit.get("paths", {}).items():
        shown = fresh.exact_paths(*name.split(" -> ")).shown
        assert record["exact"] == pytest.approx(float(shown.mean()), abs=1e-5)
    widget.close()


def test_2000_messages_of_anything_change_nothing_else(model, tokens, caplog):
    check_after_flood(model, tokens, 0, 2000, caplog)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 11))
def test_100_000_messages_of_anything_change_nothing_else(model, tokens, caplog, seed):
    check_after_flood(model, tokens, seed, 10_000, caplog)


def test_a_model_of_its_own_is_left_without_hooks(tokens):
    model = random_model(STYLES[0])
    widget = PatchWidget(model, *tokens)
    fuzz = Fuzz(3)
    for _ in range(50):
        widget.comm.handle_msg(fuzz.message())
    assert user_hooks(model) == {}
    widget.close()
