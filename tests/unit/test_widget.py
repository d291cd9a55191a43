"""The widget's kernel side: what it writes to the page, and what it does when asked."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import re
import time
from pathlib import Path

import pytest
import torch
from page import decoded, receive
from toy_models import STYLES, random_model
from traitlets import TraitError

from patchwidget import Head, PatchStudy, PatchWidget
from patchwidget.widget import messages
from patchwidget.widget.estimates import SHOWN_KINDS
from patchwidget.widget.settings import KERNEL_OWNED, VIEW_OWNED

ROOT = Path(__file__).parents[2]
STATE = (*KERNEL_OWNED, *VIEW_OWNED)
pytestmark = pytest.mark.usefixtures("recorded")


def plain_json(value):
    """The JSON of a trait, its buffers left out; NaN is an error as in a browser."""
    return json.dumps(
        value,
        allow_nan=False,
        default=lambda b: None if isinstance(b, bytes) else 1 / 0,
    )


def test_one_message_opens_it_with_everything_on_board(labelled):
    labelled.exact([Head(0, 1)])
    widget = PatchWidget(labelled)
    (kind, data, _), *_ = widget.comm.published
    assert kind == "comm_open"
    assert set(STATE) <= set(data["state"])
    assert data["state"]["study"] == widget.study
    assert list(widget.verified) == ["L0H1.z"], "a study may know something already"


def test_the_study_as_the_page_reads_it(widget, labelled, tokens):
    study = widget.study
    assert (study["n_layers"], study["n_heads"], study["n_kv_heads"]) == (2, 3, 3)
    assert (study["n_pos"], study["answer_position"]) == (7, 6)
    assert study["direction"] == "denoising"
    assert study["labels"] == {"S2": 3}
    assert study["notice"] is None
    assert study["scale"] == labelled.scale
    metric = study["metric"]
    assert metric["name"] == "logit_diff"
    assert metric["clean"] == labelled.baselines[0].tolist()
    assert metric["corrupted"] == labelled.baselines[1].tolist()
    assert len(study["pairs"]) == 3
    for record, (clean, corrupted) in zip(
        study["pairs"], labelled.pairs.text, strict=True
    ):
        assert (record["clean"], record["corrupted"]) == (clean, corrupted)
        assert len(record["answers"]) == 2


def test_grids_are_the_studys_estimates(widget, labelled):
    assert set(widget.grids) == {f"atp/{kind}" for kind in SHOWN_KINDS}
    for name, record in widget.grids.items():
        grid = labelled.estimate(record["kind"])
        assert name == f"{record['method']}/{record['kind']}"
        assert record["axes"] == list(grid.axes)
        assert torch.equal(decoded(record), grid.values)


def test_state_is_json_that_a_browser_reads(widget, model, tokens):
    """Also where numbers are missing: the same prompts, a metric with no gradient there."""
    widget.selection = ["L0H1", "L1.mlp_out@3"]

    def root(logits):
        return (logits[:, -1, 5] - logits[:, -1, 5].detach()).sqrt()

    same = PatchWidget(model, tokens[0], tokens[0], tokens[2])
    same.selection = ["L0H1"]
    wild = PatchWidget(model, *tokens[:2], metric=root)
    wild.selection = ["L1H2"]
    for shown in (widget, same, wild):
        for name in STATE:
            assert plain_json(getattr(shown, name)), name
    assert same.study["scale"] is None
    assert same.verified["L0H1.z"]["raw"] == 0.0
    assert wild.verified["L1H2.z"]["estimate"] is None, "NaN is no estimate"


def test_without_a_scale_raw_changes_are_shown(model, tokens):
    widget = PatchWidget(model, tokens[0], tokens[0], tokens[2])
    for record in widget.grids.values():
        assert torch.equal(decoded(record), torch.zeros(record["shape"]))


def test_no_page_tags_are_lost_on_the_way(model):
    widget = PatchWidget(model, "<b>x", "<i>x", ("a", "b"))
    assert "".join(widget.study["pairs"][0]["clean"][1:]) == "<b>x"


def test_who_owns_which_trait(widget):
    assert len(VIEW_OWNED) == 9
    for name in VIEW_OWNED:
        trait = widget.traits()[name]
        assert trait.metadata["sync"]
        assert trait.metadata["echo_update"] is False, name
    for name in KERNEL_OWNED:
        trait = widget.traits()[name]
        assert trait.metadata["sync"]
        with pytest.raises(TraitError):
            setattr(widget, name, {})


def test_a_selection_in_python_fires_exact_patches(widget, labelled):
    widget.selection = ["0.1", "L0.resid_pre@S2", "L1H2.q@4"]
    names = ["L0H1.z", "L0.resid_pre@3", "L1H2.q@4"]
    assert widget.selection == names, "as the kernel writes them"
    assert sorted(widget.verified) == sorted(names)
    assert widget.job["state"] == "done"
    assert (widget.job["done"], widget.job["total"]) == (3, 3)
    assert widget.job["error"] is None
    states = [job["state"] for job in widget.comm.states("job")]
    assert states == ["idle", "running", "done"]
    for name in names:
        record, effect = widget.verified[name], labelled.verified[labelled.node(name)]
        assert record["exact"] == pytest.approx(effect.value, rel=1e-6)
        assert record["raw"] == pytest.approx(float(effect.raw.mean()), rel=1e-6)
        assert record["per_pair"] == pytest.approx(effect.per_pair.tolist(), rel=1e-6)
        node = effect.node
        estimate = labelled.estimate(node.kind, by=node.by)[node]
        assert record["estimate"] == pytest.approx(estimate, rel=1e-5)
        assert sum(record["halves"]) == pytest.approx(record["exact"], abs=1e-6)


def test_what_is_known_is_not_run_again(widget):
    widget.selection = ["L0H1.z"]
    before = dict(widget.job)
    widget.selection = []
    widget.selection = ["L0H1.z", "0.1"]
    assert widget.selection == ["L0H1.z"], "once"
    assert widget.job == before


def test_effects_that_a_cell_finds_are_shown_too(widget, labelled):
    labelled.exact([Head(1, 1), Head(0, 0, "k")])
    assert set(widget.verified) == {"L1H1.z", "L0H0.k"}
    assert widget.job["state"] == "idle"


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("L9H0.z", IndexError, "there is no layer 9, only 0 to 1"),
        ("L0H0.q@S9", ValueError, "there is no position named 'S9'"),
        ("<script>", ValueError, "'<script>' is not a node"),
    ],
)
def test_a_bad_selection_raises_and_is_shown(widget, name, error, message):
    widget.selection = ["L0H1.z"]
    with pytest.raises(error, match=message):
        widget.selection = ["L0H0.z", name]
    assert widget.selection == ["L0H1.z"]
    assert widget.job["state"] == "failed"
    assert widget.job["error"]["type"] == error.__name__
    assert message in widget.job["error"]["message"]
    assert set(widget.verified) == {"L0H1.z"}
    with pytest.raises(RuntimeError, match=f"{error.__name__}: .*{message}"):
        asyncio.run(widget.settled())
    widget.selection = []
    assert widget.job["state"] == "idle", "the next pick takes the failure away"


def fails_at(call):
    """A metric that raises when it is read for the `call`-th time."""
    calls = []

    def metric(logits):
        calls.append(1)
        if len(calls) == call:
            raise ZeroDivisionError("no such thing")
        return logits[:, -1, 5] - logits[:, -1, 7]

    return metric


def test_a_metric_that_raises_at_a_node_is_shown(model, tokens):
    # Read on base, source, and for the gradient, before the first patch.
    widget = PatchWidget(model, *tokens[:2], metric=fails_at(4))
    widget.selection = ["L0H1.z"]
    assert widget.job["state"] == "failed"
    assert widget.job["error"] == {
        "type": "RuntimeError",
        "message": "metric metric raised ZeroDivisionError: no such thing, on the run in "
        "which L0H1.z is patched",
    }
    assert widget.verified == {}
    widget.selection = ["L0H1.z", "L0H2.z"]
    assert widget.job["state"] == "done"
    assert set(widget.verified) == {"L0H1.z", "L0H2.z"}


def test_a_model_that_changed_is_shown(tokens):
    model = random_model(STYLES[-1])
    widget = PatchWidget(model, *tokens)
    with torch.no_grad():
        next(model.parameters()).mul_(2)
    widget.selection = ["L0H1.z"]
    assert widget.job["state"] == "failed"
    assert "weights or hooks changed" in widget.job["error"]["message"]


# Eight batches of one kind and layer: there is much to be cancelled.
MANY = [f"L{i}H{h}.{kind}" for i in (0, 1) for h in (0, 1) for kind in "kqvz"]


def test_on_a_loop_nothing_runs_before_the_cell_gives_way(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        widget.selection = ["L0H1.z"]
        assert widget.verified == {}
        await widget.settled()
        assert list(widget.verified) == ["L0H1.z"]
        assert widget.job["state"] == "done"

    asyncio.run(cell())


def test_other_tasks_have_their_turn_between_steps(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        widget.selection = MANY
        turns = []
        while widget.job["state"] in ("idle", "running"):
            turns.append(len(labelled.verified))
            await asyncio.sleep(0)
        assert len(set(turns)) > 4, "it goes in small steps"
        assert set(widget.verified) == set(MANY)

    asyncio.run(cell())


def test_the_newest_selection_wins(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        widget.selection = MANY
        while not labelled.verified:  # noqa: ASYNC110 - a turn at a time
            await asyncio.sleep(0)
        widget.selection = ["L1H2.pattern"]
        await widget.settled()
        assert "L1H2.pattern" in widget.verified
        finished = set(widget.verified) - {"L1H2.pattern"}
        assert 0 < len(finished) < len(MANY), "the rest was not run"
        assert set(map(str, labelled.verified)) == set(widget.verified)
        states = [(job["id"], job["state"]) for job in widget.comm.states("job")]
        assert states[-4:] == [
            (1, "running"),
            (1, "cancelled"),
            (2, "running"),
            (2, "done"),
        ]

    asyncio.run(cell())


@pytest.mark.parametrize("how", ["python", "message"])
def test_cancel_keeps_what_is_finished(labelled, how):
    async def cell():
        widget = PatchWidget(labelled)
        widget.selection = MANY
        while not labelled.verified:  # noqa: ASYNC110 - a turn at a time
            await asyncio.sleep(0)
        if how == "python":
            widget.cancel()
        else:
            receive(widget, {"kind": "job.cancel", "id": "a-1"})
            assert widget.comm.messages()[-1][0]["ok"]
        await widget.settled()
        assert widget.job["state"] == "cancelled"
        assert 0 < len(widget.verified) < len(MANY)
        assert set(map(str, labelled.verified)) == set(widget.verified)

    asyncio.run(cell())


def test_settled_raises_what_went_wrong(model, tokens):
    async def cell():
        widget = PatchWidget(model, *tokens[:2], metric=fails_at(4))
        widget.selection = ["L0H1.z"]
        with pytest.raises(RuntimeError, match="ZeroDivisionError: no such thing"):
            await widget.settled()
        assert widget.job["state"] == "failed"

    asyncio.run(cell())


def test_a_refusal_does_not_end_up_in_the_job_that_runs(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        widget.selection = MANY
        while not labelled.verified:  # noqa: ASYNC110 - a turn at a time
            await asyncio.sleep(0)
        with pytest.raises(IndexError):
            widget.selection = ["L9H9.z"]
        await widget.settled()
        assert widget.job["state"] == "done"
        assert widget.job["error"] is None
        assert set(widget.verified) == set(MANY)
        assert "failed" in [job["state"] for job in widget.comm.states("job")]

    asyncio.run(cell())


def test_a_selection_set_from_another_thread(labelled):
    """On some kernels observers run beside the loop, not on it."""

    async def cell():
        widget = PatchWidget(labelled)
        await asyncio.to_thread(setattr, widget, "selection", ["L0H1.z"])
        await widget.settled()
        assert list(widget.verified) == ["L0H1.z"]

    asyncio.run(cell())


def test_close_leaves_no_task(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        widget.selection = MANY
        while not labelled.verified:  # noqa: ASYNC110 - a turn at a time
            await asyncio.sleep(0)
        widget.close()
        for _ in range(3):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert len(labelled.verified) < len(MANY)

    asyncio.run(cell())


def test_joint_patches_of_a_cell_leave_the_page_alone(labelled):
    widget = PatchWidget(labelled)
    before = dict(widget.verified)
    joint = labelled.joint(["L0H0.z", "L1H1.z"])
    assert joint.value != 0
    assert set(widget.verified) - set(before) <= {"L0H0.z", "L1H1.z"}, "single effects"
    labelled.exact("mlp_out", window=2)
    assert not any(" " in name for name in widget.verified)
    widget.close()


def test_closing_twice_and_collecting_is_quiet(labelled):
    widget = PatchWidget(labelled)
    listening = len(labelled._runner.known._listeners)
    widget.close()
    widget.close()
    assert len(labelled._runner.known._listeners) == listening - 1
    labelled.exact([Head(0, 0)])
    del widget
    gc.collect()  # ipywidgets closes once more; an error there would be a warning


def test_a_widget_that_cannot_be_made_is_quiet(model, tokens):
    with pytest.raises(TypeError, match="supported are"):
        PatchWidget(3, *tokens)
    with pytest.raises(TypeError, match="has its arguments already"):
        PatchWidget(PatchStudy(model, *tokens), metric="prob")
    gc.collect()


def test_it_takes_the_studys_own_arguments(model, tokens):
    widget = PatchWidget(model, *tokens, metric="prob", direction="noising")
    assert widget.study["metric"]["name"] == "prob"
    assert widget.study["direction"] == "noising"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("hello", "a message is an object, got str"),
        (None, "a message is an object, got NoneType"),
        ({"id": "a-0"}, "unknown message kind None"),
        ({"kind": "model.delete", "id": "a-0"}, "unknown message kind 'model.delete'"),
        ({"kind": ["reply"], "id": "a-0"}, "unknown message kind"),
        ({"kind": "reply", "id": "a-0"}, "unknown message kind 'reply'"),
        ({"kind": "attention.get"}, "attention.get without an id"),
        ({"kind": "job.cancel", "id": 3}, "job.cancel without an id"),
    ],
)
def test_what_is_malformed_is_reported_once_and_ignored(
    widget, caplog, content, problem
):
    with caplog.at_level(logging.WARNING, logger="patchwidget"):
        receive(widget, content)
        receive(widget, content)
    (record,) = caplog.records
    assert problem in record.getMessage()
    assert widget.comm.messages() == []
    widget.selection = ["L0H1.z"]
    assert widget.job["state"] == "done", "it goes on working"


def test_progress_is_sent_with_the_jobs_number(labelled, monkeypatch):
    monkeypatch.setattr("patchwidget.widget.widget.PROGRESS_EVERY_S", -1.0)
    widget = PatchWidget(labelled)
    widget.selection = ["L0H1.z", "L0H1.q"]
    sent = [c for c, _ in widget.comm.messages() if c["kind"] == "job.progress"]
    assert {(c["id"], c["total"]) for c in sent} == {(1, 2)}
    done = [c["done"] for c in sent]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, 2)
    left = [c["seconds_left"] for c in sent]
    assert left[0] is None, "nobody can tell yet"
    assert left[-1] == 0


def test_progress_is_not_a_flood(labelled):
    widget = PatchWidget(labelled)
    started = time.monotonic()
    widget.selection = MANY
    seconds = time.monotonic() - started
    assert widget.job["done"] == len(MANY)
    assert len(widget.comm.messages()) <= 2 + 10 * seconds
    assert len(widget.comm.states("verified")) <= 3 + 10 * seconds


def test_both_sides_know_the_same_messages():
    source = (ROOT / "js/host/messages.ts").read_text("utf-8")
    (table,) = re.findall(r"MESSAGE_KINDS = \{(.*?)\} as const", source)
    theirs = dict(re.findall(r'(\w+): "([^"]+)"', table))
    ours = {
        name: value
        for name, value in vars(messages).items()
        if name.isupper() and isinstance(value, str)
    }
    camel = {
        re.sub(r"_(.)", lambda m: m[1].upper(), name.lower()): value
        for name, value in ours.items()
    }
    assert camel == theirs
    assert set(messages.REQUESTS) < set(ours.values())


def test_both_sides_know_the_same_traits_of_the_kernel():
    source = (ROOT / "js/host/host.ts").read_text("utf-8")
    (names,) = re.findall(r"KERNEL_TRAITS = \[(.*?)\] as const", source)
    assert tuple(re.findall(r'"(\w+)"', names)) == KERNEL_OWNED


def test_a_failed_pick_can_be_run_again(model, tokens):
    calls = []

    def metric(logits):
        if calls == ["broken"]:
            raise ArithmeticError("not today")
        return logits[:, -1, 3] - logits[:, -1, 4]

    widget = PatchWidget(model, *tokens[:2], metric=metric)
    calls.append("broken")
    widget.selection = ["L0H1.z"]
    assert widget.job["state"] == "failed"
    calls.append("mended")
    receive(widget, {"kind": "job.retry", "id": "a-1"})
    assert widget.job["state"] == "done"
    assert list(widget.verified) == ["L0H1.z"]
    assert [c["ok"] for c, _ in widget.comm.messages() if c["kind"] == "reply"] == [
        True
    ]


def test_a_closed_widget_runs_nothing(model, tokens):
    widget = PatchWidget(model, *tokens)
    widget.close()
    widget.selection = ["L0H1.z"]
    assert widget.job["state"] == "idle"


def test_nodes_can_be_picked_as_they_are(model, tokens):
    widget = PatchWidget(model, *tokens)
    widget.selection = [Head(0, 1), "1.2.q"]
    assert widget.selection == ["L0H1.z", "L1H2.q"]
    assert sorted(widget.verified) == ["L0H1.z", "L1H2.q"]
    with pytest.raises(TypeError, match="3 is not a node"):
        widget.selection = [3]
