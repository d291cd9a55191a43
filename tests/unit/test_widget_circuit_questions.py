"""What the page asks about picks and about paths together: interactions, repair, stories."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from page import answered, asked, receive

from patchwidget import PatchStudy, PatchWidget
from patchwidget.widget import circuit, circuit_answers

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("recorded")


@pytest.fixture
def picked(widget):
    widget.selection = ["L0H0", "L0H2", "L1H1.q"]
    return widget


def known(values):
    """Nested lists with None for NaN, from a tensor."""
    if values.dim():
        return [known(one) for one in values]
    return None if values.isnan() else pytest.approx(float(values), rel=1e-5)


def test_interactions_of_the_picks(picked, labelled):
    cost, _ = asked(picked, "cost.get", what="interactions")
    assert cost["patches"] == 2 * 6 - 3, "the picks are verified in one direction"
    assert asked(picked, "circuit.start", what="interactions")[0] == {}
    assert picked.job["label"] == "interactions of 3 picks"
    found, record = labelled.interactions(picked.selection), picked.circuit
    shown = record["interactions"]
    assert shown["nodes"] == picked.selection == ["L0H0.z", "L0H2.z", "L1H1.q"]
    assert set(shown["sides"]) == {"denoising", "noising"}
    for way, side in shown["sides"].items():
        assert side["effects"] == known(found[way].effects)
        assert side["matrix"] == known(found[way].values)
        assert side["matrix"][1][1] is None
    assert (
        shown["words"][0][2] == shown["words"][2][0] == found.reading("L0H0", "1.1.q")
    )
    assert shown["words"][1][1] == ""
    assert "10%" in shown["threshold"]
    assert "1%" in shown["threshold"]
    assert record["paths"] == {}
    assert [record[one] for one in ("repair", "story", "path_story")] == [None] * 3
    json.dumps(record, allow_nan=False)
    assert asked(picked, "cost.get", what="interactions")[0]["patches"] == 0


def test_an_ablation_has_interactions_in_one_direction(model, tokens):
    study = PatchStudy(model, tokens[0], answers=tokens[2], source="zero")
    widget = PatchWidget(study, selection=["L0H0", "L0H1"])
    asked(widget, "circuit.start", what="interactions")
    assert list(widget.circuit["interactions"]["sides"]) == ["noising"]


def test_self_repair_of_the_picks(widget, labelled):
    widget.selection = ["L0H0", "L0H2"]
    cost, _ = asked(widget, "cost.get", what="repair")
    assert (cost["patches"], cost["seconds"] > 0) == (1, True)
    asked(widget, "circuit.start", what="repair")
    assert widget.job["label"] == "self-repair of 2 picks"
    found, shown = labelled.self_repair(widget.selection), widget.circuit["repair"]
    assert shown["nodes"] == ["L0H0.z", "L0H2.z"]
    assert shown["shape"] == [2, 3]
    assert shown["change"] == known(found.heads.values)
    assert shown["change"][0] == [None] * 3, "heads of the same layer are not later"
    assert shown["before"] == known(found.before.values)
    assert shown["undone"] == pytest.approx(found.undone)
    assert shown["words"] == repr(found)
    assert [(one["head"], one["role"]) for one in shown["against"]] == [
        (str(one.head), one.role) for one in found.against()
    ]
    assert shown["against"], "or nothing was looked at"
    json.dumps(widget.circuit, allow_nan=False)


def test_the_whole_story_of_the_picks(widget, labelled):
    widget.selection = ["L0H0", "L1H2"]
    cost, _ = asked(widget, "cost.get", what="story")
    assert (
        cost["patches"] == labelled.circuit_cost("whole_story", ["0.0", "1.2"]).patches
    )
    asked(widget, "circuit.start", what="story")
    found, shown = labelled.whole_story(widget.selection), widget.circuit["story"]
    assert shown["nodes"] == widget.selection
    for name in ("faithfulness", "complement", "incompleteness"):
        assert shown[name] == pytest.approx(getattr(found, name))
    assert shown["minimality"] == pytest.approx(found.minimality)
    assert shown["words"] == repr(found)


def test_a_later_answer_takes_the_place_of_its_own_kind(widget):
    for picks in (["L0H0", "L0H1"], ["L0H0", "L1H1"]):
        widget.selection = picks
        asked(widget, "circuit.start", what="interactions")
        asked(widget, "circuit.start", what="repair")
    assert widget.circuit["interactions"]["nodes"] == ["L0H0.z", "L1H1.z"]
    assert widget.circuit["repair"]["nodes"] == ["L0H0.z", "L1H1.z"]


@pytest.mark.parametrize(
    ("what", "picks", "words"),
    [
        ("interactions", [], "the set is empty"),
        ("interactions", ["L0H0"], "an interaction is that of two or more"),
        ("interactions", ["L0H0.q", "L0H0.q@3"], "overlap"),
        ("repair", [], "the set is empty"),
        ("repair", ["L0H0", "L1.resid_pre@3"], "ask for it alone"),
        ("story", [], "the set is empty"),
        ("story", ["L1.resid_pre@3"], "cannot be a member of a circuit"),
        ("story", ["L0H0.q", "L0H1.q@3"], "cut differently"),
    ],
)
def test_picks_that_cannot_be_asked_about(widget, what, picks, words):
    widget.selection = picks
    for kind in ("cost.get", "circuit.start"):
        error = answered(widget, kind, what=what)[0]["error"]
        assert error["type"] == "ValueError"
        assert words in error["message"]
    assert widget.circuit == {}
    assert widget.job["state"] in ("idle", "done")


# --- the story of the paths -------------------------------------------------------------

STORY_PATHS = ["L0H1 -> L1H0.q", "L0.mlp -> L1H0.v", "embed -> final", "L1H0 -> final"]


def test_the_whole_story_of_the_verified_paths(widget, labelled):
    asked(widget, "paths.start", paths=STORY_PATHS)
    widget.selection = ["L0H0", "L1H2"]
    cost, _ = asked(widget, "cost.get", what="path_story")
    assert (
        cost["patches"] == labelled.circuit_cost("whole_story", STORY_PATHS).patches > 4
    )
    assert asked(widget, "circuit.start", what="path_story")[0] == {}
    assert (widget.job["state"], widget.job["label"]) == (
        "done",
        "whole story of 4 paths",
    )
    names, shown = list(widget.circuit["paths"]), widget.circuit["path_story"]
    assert shown["paths"] == names
    assert set(names) == set(STORY_PATHS)
    found = labelled.whole_story(names)
    for name in ("faithfulness", "complement", "incompleteness"):
        assert shown[name] == pytest.approx(getattr(found, name))
    assert shown["minimality"] == pytest.approx(found.minimality)
    assert set(shown["minimality"]) == set(STORY_PATHS)
    assert shown["words"] == repr(found)
    assert widget.circuit["story"] is None, "that is about the picks"
    json.dumps(widget.circuit, allow_nan=False)
    assert asked(widget, "cost.get", what="path_story")[0]["patches"] == 0
    # One more path: the story stays what it was about, and can be asked for anew.
    asked(widget, "paths.start", paths=["L0H0 -> L1H1.v"])
    assert widget.circuit["path_story"] == shown
    asked(widget, "circuit.start", what="path_story")
    later = [*names, "L0H0 -> L1H1.v"]
    assert widget.circuit["path_story"]["paths"] == later
    assert widget.circuit["path_story"]["words"] == repr(labelled.whole_story(later))


def test_without_a_path_there_is_no_story_of_them(widget):
    widget.selection = ["L0H0", "L1H2"]
    for kind in ("cost.get", "circuit.start"):
        error = answered(widget, kind, what="path_story")[0]["error"]
        assert error["type"] == "ValueError"
        assert "no path is verified yet" in error["message"]
    assert widget.circuit == {}


def test_each_direction_has_a_story_of_its_own_paths(widget, labelled):
    asked(widget, "paths.start", paths=STORY_PATHS[:2])
    asked(widget, "circuit.start", what="path_story")
    there = widget.circuit
    widget.direction = "noising"
    error = answered(widget, "circuit.start", what="path_story")[0]["error"]
    assert "no path is verified yet" in error["message"]
    asked(widget, "paths.start", paths=STORY_PATHS[3:])
    asked(widget, "circuit.start", what="path_story")
    assert widget.circuit["path_story"]["paths"] == STORY_PATHS[3:]
    widget.direction = "denoising"
    assert widget.circuit == there


def test_a_story_of_paths_that_is_cancelled_is_taken_up_again(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        receive(widget, {"kind": "paths.start", "id": "a", "paths": STORY_PATHS})
        await widget.settled()
        receive(widget, {"kind": "circuit.start", "id": "b", "what": "path_story"})
        while "story" not in widget.job["label"]:  # noqa: ASYNC110 - a turn at a time
            await asyncio.sleep(0)
        widget.cancel()
        await widget.settled()
        cancelled = widget.job["state"], widget.circuit["path_story"]
        receive(widget, {"kind": "job.retry", "id": "c"})
        await widget.settled()
        found = widget.circuit["path_story"]
        widget.close()
        return cancelled, found

    cancelled, found = asyncio.run(cell())
    assert cancelled == ("cancelled", None)
    assert set(found["paths"]) == set(STORY_PATHS)


def test_both_sides_know_the_same_questions():
    source = (ROOT / "js/circuit/costs.ts").read_text("utf-8")
    (table,) = re.findall(r"STARTED = \[(.*?)\] as const", source)
    assert re.findall(r'"(\w+)"', table) == list(circuit_answers.QUESTIONS)
    assert circuit.FINDINGS.keys() == circuit_answers.QUESTIONS.keys()
