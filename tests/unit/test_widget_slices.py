"""Estimates that a page or a job asks for: a layer at a turn, and for whoever still waits."""

from __future__ import annotations

import asyncio

import pytest
import torch
from cells import study_of, until_something_is_found, weights_change_unseen
from page import asked, receive, replies

from patchwidget import PatchWidget, Question, Top
from patchwidget.decoder import Decoder
from patchwidget.estimate.kept import _bytes
from patchwidget.exact import Progress
from patchwidget.verify import stepwise
from patchwidget.widget import answers
from patchwidget.widget.side import Side
from patchwidget.widget.verifying import completing, verification

pytestmark = pytest.mark.usefixtures("recorded")


def test_a_verification_makes_its_estimates_step_by_step():
    async def notebook():
        study = study_of("decoder")
        widget = PatchWidget(study)
        before = len(list(study._kept.items()))
        widget.start("verify", ["z", "q", "v"], "atp_qk", top=2)
        seen = []
        while widget.job["state"] in ("idle", "running"):
            seen.append(len(list(study._kept.items())) - before)
            await asyncio.sleep(0)
        assert {0, 1, 2, 3} <= set(seen), "others had turns in between"
        assert widget.job["state"] == "done"
        assert widget.job["total"] > 0
        whole = study_of("decoder")
        whole.verify(["z", "q", "v"], "atp_qk", top=2)
        assert set(map(str, study.verified)) == set(map(str, whole.verified))
        widget.close()

    asyncio.run(notebook())


def turns_of(estimating, layers):
    """How often others have a turn, and most layers that run before one."""
    turns, most, before = 0, 0, layers[0]
    for _ in estimating:
        turns, most, before = turns + 1, max(most, layers[0] - before), layers[0]
    return turns, max(most, layers[0] - before)


@pytest.fixture
def layers(monkeypatch):
    """How many layers the decoder has run in one piece."""
    monkeypatch.setattr("patchwidget.estimate.copies.ROWS", 1)  # one point a run
    block, count = Decoder._block, [0]

    def counted(*args, **kwargs):
        count[0] += 1
        return block(*args, **kwargs)

    monkeypatch.setattr(Decoder, "_block", counted)
    return count


def test_integrated_gradients_are_made_a_layer_at_a_step(layers):
    """On screen, and where a verification begins with them."""
    whole, study, shown = (study_of("decoder") for _ in range(3))
    layers[0] = 0
    wanted = whole.estimate("z", "ig")
    everything, layers[0] = layers[0], 0
    assert everything == 5 * (2 + 1), "five points in each of two layers"
    steps = stepwise(study, "verify", "z", "ig", patches=1, bound_runs=0)
    turns, most = turns_of(steps, layers)
    assert turns > 2 * everything, "and back"
    assert most == 1
    assert torch.equal(study.estimate("z", "ig").raw, wanted.raw)
    side, layers[0] = Side(shown), 0
    turns, most = turns_of(side.estimating([("z", None)], "ig"), layers)
    assert turns > 2 * everything
    assert (most, layers[0]) == (1, everything)


def test_what_no_map_shows_is_estimated_a_layer_at_a_step_too(layers):
    """Neurons, which a part of the page asks for, or a pick by its name."""
    widgets = [PatchWidget(study_of("decoder"), method="ig") for _ in range(2)]
    listing, picking = widgets
    neuron = picking._side.study.node("L1.neuron@5#3")
    asked = answers.Request({"top": 3, "layer": None}, listing._board, ())
    picking._trait_values["selection"] = [str(neuron)]  # and its patch is not run
    for steps in (
        answers.neurons(asked),
        picking._patching(picking._side, [neuron]),
    ):
        layers[0] = 0
        turns, most = turns_of(steps, layers)
        assert turns > 2 * 5 * (2 + 1)
        assert (most, layers[0]) == (1, 5 * (2 + 1))
    assert neuron in picking._side.study.verified
    for widget in widgets:
        widget.close()


@pytest.mark.parametrize("kind", ["row.get", "neurons.get"])
@pytest.mark.parametrize("other", [{"direction": "noising"}, {"method": "atp"}])
def test_what_the_page_asked_of_another_show_is_refused_at_once(layers, kind, other):
    """It has thrown its question away: nothing of the new show is mixed into an answer."""

    async def notebook():
        widget = PatchWidget(study_of("decoder"), method="ig")
        # Known in the other direction: it has no map, and was not asked for there.
        widget._side.study.reversed().exact(["L0H0.q@2"])
        body = {"node": "L0H0.q", "top": 3, "layer": None}
        receive(widget, {"kind": kind, "id": "a-0", **body})
        for _ in range(3):
            await asyncio.sleep(0)
        assert not replies(widget)
        # As where all that has to be shown was estimated before.
        widget._quietly(**other)
        widget._show(widget._side_wanted())
        shown, layers[0] = dict(widget.verified), 0
        await widget.settled()
        (reply,) = replies(widget)
        assert reply["error"]["type"] == "RuntimeError"
        assert "ask again" in reply["error"]["message"]
        assert layers[0] <= 1, "nobody waits for the rest"
        assert widget.verified == shown == {}
        widget.close()

    asyncio.run(notebook())


def by_page(widget):
    receive(widget, {"kind": "job.cancel", "id": "a-1"})


def by_cell(widget):
    widget.cancel()


def by_interrupt(widget):
    widget._jobs._interrupted()


@pytest.mark.parametrize("cancel", [by_page, by_cell, by_interrupt])
def test_who_cancels_is_told_that_answers_are_cancelled_too(layers, cancel):
    async def notebook():
        widget = PatchWidget(study_of("decoder"), method="ig")
        body = {"top": 3, "layer": None}
        receive(widget, {"kind": "neurons.get", "id": "a-0", **body})
        for _ in range(3):
            await asyncio.sleep(0)
        cancel(widget)
        layers[0] = 0
        await widget.settled()
        assert layers[0] <= 2
        reply = [one for one in replies(widget) if one["id"] == "a-0"][-1]
        assert "cancelled on its way: ask again" in reply["error"]["message"]
        receive(widget, {"kind": "neurons.get", "id": "a-2", **body})
        await widget.settled()
        assert replies(widget)[-1]["ok"]
        widget.close()

    asyncio.run(notebook())


@pytest.mark.parametrize("layer", [2, -1])
def test_a_layer_that_there_is_not_is_refused_before_anything_is_run(layers, layer):
    widget = PatchWidget(study_of("decoder"), method="ig")
    layers[0] = 0
    asked = answers.Request({"top": 3, "layer": layer}, widget._board, ())
    with pytest.raises(IndexError, match=f"no layer {layer}, only 0 to 1"):
        next(answers.neurons(asked))
    assert layers[0] == 0
    widget.close()


NEURON = "L1.neuron@5#3"
EVERYTHING = 5 * (2 + 1)  # see above


async def most_layers_a_turn(layers, is_going_on):
    """As long as something goes on, and without what ran before."""
    most = layers[0] = 0
    while is_going_on():
        before = layers[0]
        await asyncio.sleep(0)
        most = max(most, layers[0] - before)
    return most


def is_running(widget):
    return lambda: widget.job["state"] in ("idle", "running")


def test_a_pick_that_is_known_gets_its_estimate_in_the_jobs_turns(layers):
    async def notebook():
        study = study_of("decoder")
        study.exact([NEURON])
        widget = PatchWidget(study, method="ig")
        layers[0] = 0
        widget.selection = [NEURON]
        assert layers[0] == 0, "nothing is run in the handler"
        assert await most_layers_a_turn(layers, is_running(widget)) == 1
        assert layers[0] == EVERYTHING
        record = widget.verified[NEURON]
        assert record["estimate"] == pytest.approx(
            study.estimate("neuron", "ig")[NEURON]
        )
        assert record["exact"] == pytest.approx(study.verified[NEURON].value)
        widget.close()

    asyncio.run(notebook())


@pytest.mark.parametrize("is_known", [False, True])
@pytest.mark.parametrize("what", ["verify", "question"])
def test_what_is_started_with_picks_estimates_a_layer_at_a_step(layers, what, is_known):
    study = study_of("decoder")
    widget = PatchWidget(study, method="ig")
    widget._trait_values["selection"] = [NEURON]  # and its patch is not run
    body = {"kind": "question.check", "about": 1, "what": "picked", "of": ""}
    asked = answers.Request(body, widget._board, [NEURON])
    if what == "verify":
        (turn,) = verification(asked)
    else:
        widget.ask(Question("Which one of all?", Top(1, "neuron")))
        (turn,) = widget._judgement(asked)
    if is_known:  # by a cell, meanwhile
        study.exact([NEURON])
        assert NEURON not in widget.verified, "its estimate is not made in the cell"
    layers[0] = 0
    turns, most = turns_of(turn.start(), layers)
    assert turns > EVERYTHING
    assert (most, layers[0]) == (1, EVERYTHING)
    assert widget.verified[NEURON]["estimate"] is not None
    widget.close()


def test_who_stops_a_long_estimate_keeps_the_exact_effect(layers):
    """And is shown it; whoever goes on makes the estimate alone."""

    async def notebook():
        study = study_of("decoder")
        widget = PatchWidget(study, method="ig")
        widget.selection = [NEURON]
        await until_something_is_found(study)
        assert widget.job["state"] == "running"
        widget.cancel()
        await widget.settled()
        assert widget.job["state"] == "cancelled"
        assert list(map(str, study.verified)) == [NEURON]
        record = widget.verified[NEURON]
        assert record["exact"] == pytest.approx(
            study.verified[study.nodes(NEURON)[0]].value
        )
        assert record["estimate"] is None, "nobody knows it"
        widget.verify()
        await widget.settled()
        assert list(widget.verified) == [NEURON]
        assert widget.verified[NEURON]["estimate"] is not None
        widget.close()

    asyncio.run(notebook())


def test_a_quick_pick_does_not_wait_for_one_whose_estimate_takes_long(layers):
    """Rows of a map that is there need no run; neurons do."""
    study = study_of("decoder")
    widget = PatchWidget(study, method="ig")
    quick = "L0H0.z@2"
    widget._trait_values["selection"] = [quick, NEURON]
    known = study.nodes([quick, NEURON])
    study.exact(known)
    widget._board.reveal(known)
    assert widget.verified == {}
    steps, turns = completing(widget._board, Progress(0, 0)), 0
    while quick not in widget.verified:
        next(steps)
        turns += 1
    assert NEURON not in widget.verified
    assert turns < EVERYTHING
    for _ in steps:
        pass
    assert {quick, NEURON} <= set(widget.verified)
    widget.close()


def test_estimates_of_paths_are_given_up_with_the_last_who_asked(layers):
    async def notebook():
        widget = PatchWidget(study_of("decoder"))
        once = widget._side.circuit._once
        receive(widget, {"kind": "paths.get", "id": "a-0", "node": "L0H0"})
        for _ in range(3):
            await asyncio.sleep(0)
        assert once._making
        widget.cancel()
        await widget.settled()
        assert not once._making
        receive(widget, {"kind": "paths.get", "id": "a-1", "node": "L0H0"})
        await widget.settled()
        assert [r for r in replies(widget) if r["id"] == "a-1"][-1]["ok"]
        widget.close()

    asyncio.run(notebook())


@pytest.mark.parametrize("is_known", [False, True])
def test_another_method_does_not_wait_for_estimates_of_the_one_before(is_known):
    async def notebook():
        study = study_of("decoder")
        widget = PatchWidget(study, method="ig")
        if is_known:
            study.exact([NEURON])
        widget.selection = [NEURON]
        await until_something_is_found(study)
        widget.method = "atp"
        await widget.settled()
        assert widget.job["state"] == "done"
        wanted = study.estimate("neuron")[NEURON]
        assert widget.verified[NEURON]["estimate"] == pytest.approx(wanted)
        assert ("ig", "neuron") not in {
            (a.method, a.kind) for a, _ in study._kept.items()
        }
        widget.close()

    asyncio.run(notebook())


@pytest.fixture
def forgetful(monkeypatch):
    """Studies keep one map, and must not make another one in one piece."""
    grid = study_of("decoder").estimate("v")
    monkeypatch.setattr("patchwidget.estimate.kept.MOST_BYTES", _bytes(grid))

    def fails(_):
        pytest.fail("an estimate is made whole")

    return lambda: monkeypatch.setattr("patchwidget.estimate.asking.whole", fails)


def test_a_diagnosis_makes_what_is_not_kept_in_slices(forgetful):
    study = study_of("decoder")
    widget = PatchWidget(study, method="ig", selection=["L0H0.z"])
    study.estimate("v")
    assert [one.kind for one, _ in study._kept.items()] == ["v"]
    forgetful()
    payload, _ = asked(widget, "diagnosis.get", node="L0H0.z")
    assert payload["node"] == "L0H0.z"
    widget.close()


def test_a_model_that_changes_within_a_diagnosis_is_noticed():
    study = study_of("decoder")
    study.exact(["L0H0.q"])
    study.estimate("q")
    steps = study.diagnosing("L0H0.q")
    next(steps)
    weights_change_unseen(study.model)
    with pytest.raises(RuntimeError, match="changed since this study ran it"):
        next(steps)


def test_a_model_that_changes_within_an_estimate_is_noticed():
    study = study_of("decoder")
    slices = study.estimating("z", "ig")
    next(slices)
    weights_change_unseen(study.model)
    with pytest.raises(RuntimeError, match="changed since this study ran it"):
        next(slices)
    assert not list(study._kept.items())
