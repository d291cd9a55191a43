"""Paths and circuits on the page: what it asks for, what is run, what it is shown."""

from __future__ import annotations

import asyncio
import json
import re
from math import isnan
from pathlib import Path

import pytest
from page import answered, asked, page_sets, receive, replies
from test_export import unpacked
from through_hooks import by_hooks
from toy_models import STYLES, TL_MAJOR, noisy, random_model, random_tokens, tokenizer

from patchwidget import Pairs, PatchStudy, PatchWidget, sources
from patchwidget.spread import spread
from patchwidget.widget import bundle, circuit, circuit_answers

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("recorded")
PATHS = ["L0H1 -> L1H0.q", "L0.mlp -> L1H0.v", "embed -> L1H0.k", "L1H0 -> final"]


def around(widget, node):
    return asked(widget, "paths.get", node=node)[0]


# --- estimates --------------------------------------------------------------------------


def column(grid, reader):
    """All that leads to a reader, by path."""
    values = grid.sel(reader=reader).tolist()
    names = [str(entry[0]) for entry in grid.writers.entries]
    return {
        f"{name} -> {reader}": value
        for name, value in zip(names, values, strict=True)
        if not isnan(value)
    }


def row(grid, writer):
    values = grid.sel(writer=writer).tolist()
    names = [str(entry[0]) for entry in grid.readers.entries]
    return {
        f"{writer} -> {name}": value
        for name, value in zip(names, values, strict=True)
        if not isnan(value)
    }


def check_list(entries, expected, *, writer=None):
    assert {one["path"]: one["value"] for one in entries} == pytest.approx(expected)
    sizes = [abs(one["value"]) for one in entries]
    assert sizes == sorted(sizes, reverse=True)
    for one in entries:
        start, _, end = one["path"].partition(" -> ")
        assert one["end"] == (end if writer == start else start)


@pytest.mark.parametrize("direction", ["denoising", "noising"])
def test_where_a_heads_inputs_come_from_and_its_output_goes(labelled, direction):
    widget = PatchWidget(labelled, direction=direction)
    payload = around(widget, "L1H2")
    assert (payload["node"], payload["method"]) == ("L1H2", "atp")
    assert payload["cost"] == {"forwards": 2, "backwards": 1}
    study = labelled if direction == "denoising" else labelled.reversed()
    grid = study.paths()
    assert set(payload["into"]) == set("qkv")
    for part, entries in payload["into"].items():
        check_list(entries, column(grid, f"L1H2.{part}"))
        assert len(entries) == 5, "the embedding, three heads and an MLP"
    check_list(payload["out"], row(grid, "L1H2"), writer="L1H2")
    assert len(payload["out"]) == 2, "its layer's MLP, and the end"
    assert widget.circuit == {}, "nothing was verified"
    assert widget.job["state"] == "idle"


def test_an_mlp_has_one_input_and_the_embedding_has_none(widget, labelled):
    grid = labelled.paths()
    payload = around(widget, "L1.mlp")
    assert set(payload["into"]) == {"mlp"}
    check_list(payload["into"]["mlp"], column(grid, "L1.mlp"))
    check_list(payload["out"], row(grid, "L1.mlp"), writer="L1.mlp")
    assert around(widget, "L1H0.z")["node"] == "L1H0", "a head's own node stands for it"
    payload = around(widget, "embed")
    assert payload["into"] == {}
    check_list(payload["out"], row(grid, "embed"), writer="embed")


def small(**settings):
    """A model of four heads a layer."""
    shape = {
        "n_layers": 2, "n_heads": 4, "d_head": 6, "d_model": 24, "d_mlp": 16, "n_ctx": 16,
        "d_vocab": 300, "act_fn": "gelu_new", "normalization_type": "LN", "device": "cpu",
        **settings,
    }  # fmt: skip
    if TL_MAJOR >= 4:
        from transformer_lens.model_bridge import TransformerBridge

        model = TransformerBridge.boot_native(shape)
        noisy(model.original_model)
        return model.eval()
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    config = HookedTransformerConfig(**shape)
    return noisy(HookedTransformer(config, tokenizer=tokenizer()))


def test_under_gqa_keys_and_values_are_those_of_the_kv_head():
    study = PatchStudy(small(n_key_value_heads=2), *random_tokens(2, 5, differ=(1, 3)))
    widget, grid = PatchWidget(study), study.paths()
    payload = around(widget, "L1H3")
    for part, head in (("q", 3), ("k", 1), ("v", 1)):
        check_list(payload["into"][part], column(grid, f"L1H{head}.{part}"))
    assert around(widget, "L1H2")["into"]["k"] == payload["into"]["k"]
    ends = {one["end"] for one in around(widget, "L0H3")["out"]}
    assert {"L1H3.q", "L1H1.v"} < ends
    assert "L1H3.v" not in ends
    asked(widget, "paths.start", paths=["L0H3 -> L1H1.k"])
    exact = study.exact_paths("L0H3", "L1H1.k").values
    assert widget.circuit["paths"]["L0H3 -> L1H1.k"]["exact"] == pytest.approx(
        float(exact), rel=1e-4
    )
    error = answered(widget, "paths.start", paths=["L0H3 -> L1H2.k"])[0]["error"]
    assert "Query head 2 is served by KV head 1" in error["message"]


def test_without_mlps_there_are_heads_alone():
    none = {} if TL_MAJOR >= 4 else {"act_fn": None, "d_mlp": None}
    model = small(attn_only=True, **none)
    widget = PatchWidget(PatchStudy(model, *random_tokens(2, 5, differ=(1, 3))))
    payload = around(widget, "L1H3")
    assert [one["end"] for one in payload["out"]] == ["final"]
    assert len(payload["into"]["q"]) == 5
    error = answered(widget, "paths.get", node="L1.mlp")[0]["error"]
    assert "have no MLP" in error["message"]


def test_one_pair_of_one_token_one_layer_and_one_head():
    model = random_model(STYLES[0], n_layers=1, n_heads=1, d_head=8)
    study = PatchStudy(model, *random_tokens(1, 1, differ=(0,)))
    widget = PatchWidget(study)
    payload = around(widget, "L0H0")
    assert [one["path"] for one in payload["into"]["v"]] == ["embed -> L0H0.v"]
    asked(widget, "paths.start", paths=["embed -> L0H0.v"])
    (record,) = widget.circuit["paths"].values()
    assert record["exact"] == pytest.approx(
        float(study.exact_paths("embed", "L0H0.v").shown), rel=1e-4
    )
    assert record["interval"] is None, "one pair says nothing about others"
    text = asked(widget, "circuit.json")[0]["text"]
    assert asked(widget, "circuit.load", text=text)[0] == {"paths": 1}
    widget.selection = ["L0H0", "L0.mlp_out@0"]
    for what in circuit_answers.QUESTIONS:
        asked(widget, "circuit.start", what=what)
        json.dumps(widget.circuit[what], allow_nan=False)
    assert widget.circuit["repair"]["change"] == [[None]]


def test_estimates_are_made_once_and_others_have_their_turn(labelled, monkeypatch):
    made, honest = [], PatchStudy.paths_stepwise
    monkeypatch.setattr(
        PatchStudy, "paths_stepwise", lambda self: made.append(self) or honest(self)
    )

    async def cell():
        widget = PatchWidget(labelled)
        for number, node in enumerate(["L1H0", "L1.mlp"]):
            receive(widget, {"kind": "paths.get", "id": f"a-{number}", "node": node})
        receive(widget, {"kind": "row.get", "id": "b", "node": "L0H2.q"})
        turns = 0
        while len(replies(widget)) < 3:
            turns += 1
            await asyncio.sleep(0)
        first = [one["id"] for one in replies(widget)]
        receive(widget, {"kind": "paths.get", "id": "a-2", "node": "L0H0"})
        await widget.settled()
        count = len(replies(widget))
        widget.close()
        return turns, first, count

    turns, order, count = asyncio.run(cell())
    assert turns > 4
    assert order[0] == "b", "the short one waits for one step, not for all"
    assert made == [labelled]
    assert count == 4


def test_estimates_that_fail_are_tried_again(widget, monkeypatch):
    honest = PatchStudy.paths_stepwise

    def broken(self):
        raise MemoryError("no room")
        yield

    monkeypatch.setattr(PatchStudy, "paths_stepwise", broken)
    error = answered(widget, "paths.get", node="L1H0")[0]["error"]
    assert error == {"type": "MemoryError", "message": "no room"}
    monkeypatch.setattr(PatchStudy, "paths_stepwise", honest)
    assert around(widget, "L1H0")["node"] == "L1H0"


# --- exact paths ------------------------------------------------------------------------


def exact_of(study, name):
    writer, _, reader = name.partition(" -> ")
    return study.exact_paths(writer, reader).shown


def test_paths_are_patched_exactly(widget, labelled):
    payload, _ = asked(widget, "cost.get", what="paths", paths=PATHS)
    assert payload["patches"] == len(PATHS)
    assert payload["words"].startswith("4 patches")
    assert asked(widget, "paths.start", paths=PATHS)[0] == {}
    assert (widget.job["state"], widget.job["label"]) == ("done", "4 paths")
    assert widget.circuit["interactions"] is None
    found = widget.circuit["paths"]
    assert set(found) == set(PATHS)
    for name, record in found.items():
        shown = exact_of(labelled, name)
        assert record["exact"] == pytest.approx(float(shown.mean()), rel=1e-4)
        ends = spread(shown)[2:].tolist()
        assert record["interval"] == pytest.approx(ends, rel=1e-3, abs=1e-6)
        assert f"{record['writer']} -> {record['reader']}" == name
        assert record["source"] == "run"
        assert record["estimate"] is None, "nobody has asked for it"
    assert widget.comm.states("circuit")[-1] == widget.circuit
    around(widget, "L1H0")
    grid = labelled.paths()
    for name, record in widget.circuit["paths"].items():
        assert record["estimate"] == pytest.approx(grid[name])


def test_what_is_known_is_not_run_again(widget, monkeypatch):
    asked(widget, "paths.start", paths=PATHS)
    job, shown = widget.job["id"], widget.circuit
    asked(widget, "paths.start", paths=PATHS[:2])
    assert (widget.job["id"], widget.circuit) == (job, shown)
    payload, _ = asked(widget, "cost.get", what="paths", paths=PATHS)
    assert (payload["patches"], payload["seconds"]) == (0, 0)
    asked(widget, "paths.start", paths=[PATHS[0], "L0H0 -> L1H1.q"])
    assert widget.job["label"] == "path L0H0 -> L1H1.q"
    assert widget.job["total"] == 1
    assert len(widget.circuit["paths"]) == 5


def test_one_position_of_a_writer_has_no_estimate(widget, labelled):
    around(widget, "L1H0")
    asked(widget, "paths.start", paths=["embed@S2 -> L1H0.v"])
    (name, record), *_ = widget.circuit["paths"].items()
    assert (name, record["writer"], record["estimate"]) == (
        "embed@3 -> L1H0.v",
        "embed@3",
        None,
    )


def test_a_direction_has_its_own_and_finds_it_again(widget, labelled):
    asked(widget, "paths.start", paths=PATHS[:2])
    widget.selection = ["L0H0", "L0H1"]
    asked(widget, "circuit.start", what="story")
    there = widget.circuit
    widget.direction = "noising"
    assert widget.circuit == {}
    asked(widget, "paths.start", paths=PATHS[1:3])
    assert list(widget.circuit["paths"]) == PATHS[1:3]
    other = labelled.reversed()
    for name, record in widget.circuit["paths"].items():
        mean = float(exact_of(other, name).mean())
        assert record["exact"] == pytest.approx(mean, rel=1e-4)
    widget.direction = "denoising"
    assert widget.circuit == there


def test_a_job_that_is_cancelled_keeps_what_is_done_and_goes_on(labelled):
    names = [one["path"] for one in around(PatchWidget(labelled), "L0H0")["out"]]

    async def cell():
        widget = PatchWidget(labelled)
        receive(widget, {"kind": "paths.start", "id": "a", "paths": names})
        while not widget._side.circuit.paths:  # noqa: ASYNC110 - a turn at a time
            await asyncio.sleep(0)
        widget.cancel()
        await widget.settled()
        cancelled, some = widget.job["state"], dict(widget.circuit["paths"])
        receive(widget, {"kind": "job.retry", "id": "b"})
        await widget.settled()
        every = widget.circuit["paths"]
        widget.close()
        return cancelled, some, every

    cancelled, some, every = asyncio.run(cell())
    assert cancelled == "cancelled"
    assert 0 < len(some) < len(names)
    assert set(every) == set(names)
    assert every.items() >= some.items(), "what was known was not run again"


def test_the_newest_wins(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        receive(widget, {"kind": "paths.start", "id": "a", "paths": PATHS})
        receive(widget, {"kind": "paths.start", "id": "b", "paths": ["embed -> final"]})
        await widget.settled()
        receive(widget, {"kind": "paths.start", "id": "c", "paths": PATHS[:1]})
        await asyncio.sleep(0)
        widget.direction = "noising"
        receive(widget, {"kind": "paths.start", "id": "d", "paths": PATHS[:1]})
        await widget.settled()
        last = replies(widget)[-1]
        widget.close()
        return widget, last

    widget, last = asyncio.run(cell())
    assert widget.circuit == {}, "they were asked for in the other direction"
    assert last["error"]["message"] == (
        "the maps of noising are not there yet: ask when they are"
    )


def test_picks_come_before_paths_that_run(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        receive(widget, {"kind": "paths.start", "id": "a", "paths": PATHS})
        await asyncio.sleep(0)
        widget.selection = ["L1H1.q"]
        await widget.settled()
        widget.close()
        return widget

    widget = asyncio.run(cell())
    assert list(widget.verified) == ["L1H1.q"]
    assert set(widget.circuit["paths"]) == set(PATHS)


# --- questions about picks --------------------------------------------------------------


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


# --- what is missing --------------------------------------------------------------------


def test_without_the_decoder_a_sentence_says_why(model, tokens):
    widget = PatchWidget(by_hooks(model, *tokens))
    for kind, body in (
        ("paths.get", {"node": "L1H0"}),
        ("paths.start", {"paths": PATHS}),
        ("cost.get", {"what": "paths", "paths": PATHS}),
    ):
        error = answered(widget, kind, **body)[0]["error"]
        assert (
            "needs the decoder, which does not stand for this model" in error["message"]
        )
    widget.selection = ["L0H0", "L0H1"]
    error = answered(widget, "circuit.start", what="repair")[0]["error"]
    assert "self-repair needs the decoder" in error["message"]
    assert widget.circuit == {}
    other = fresh(model, tokens)
    asked(other, "paths.start", paths=PATHS)
    text = asked(other, "circuit.json")[0]["text"]
    assert asked(widget, "circuit.load", text=text)[0] == {"paths": 4}
    error = answered(widget, "circuit.start", what="path_story")[0]["error"]
    assert "needs the decoder" in error["message"]
    asked(widget, "circuit.start", what="interactions")
    assert widget.circuit["interactions"]["nodes"] == widget.selection


def test_a_study_without_its_model_shows_what_a_file_brings(widget, labelled, tmp_path):
    asked(widget, "paths.start", paths=PATHS)
    text = asked(widget, "circuit.json")[0]["text"]
    labelled.save(tmp_path / "s")
    saved = PatchWidget(PatchStudy.load(tmp_path / "s"), selection=[])
    for kind, body in (
        ("paths.get", {"node": "L1H0"}),
        ("paths.start", {"paths": PATHS}),
        ("circuit.start", {"what": "story"}),
        ("cost.get", {"what": "story"}),
    ):
        error = answered(saved, kind, **body)[0]["error"]
        assert error["type"] == "NeedsModelError"
    assert saved.circuit == {}
    assert asked(saved, "circuit.load", text=text)[0] == {"paths": 4}
    assert {name: one["exact"] for name, one in saved.circuit["paths"].items()} == {
        name: one["exact"] for name, one in widget.circuit["paths"].items()
    }
    error = answered(saved, "circuit.start", what="path_story")[0]["error"]
    assert error["type"] == "NeedsModelError"


# --- as text ----------------------------------------------------------------------------


@pytest.fixture
def text(widget):
    around(widget, "L1H0")
    asked(widget, "paths.start", paths=PATHS)
    return asked(widget, "circuit.json")[0]["text"]


def fresh(model, tokens, **options):
    pairs = Pairs(*tokens[:2], answers=tokens[2], labels={"S2": 3})
    return PatchWidget(PatchStudy(model, pairs, **options))


def test_what_is_copied_loads_again(widget, text, model, tokens):
    other = fresh(model, tokens)
    assert asked(other, "circuit.load", text=text)[0] == {"paths": 4}
    assert other.job["state"] == "idle", "nothing was run"
    expected = {
        name: {**record, "source": "file", "estimate": None}
        for name, record in widget.circuit["paths"].items()
    }
    assert other.circuit["paths"] == expected
    assert asked(other, "circuit.json")[0]["text"] != text, (
        "it says where they are from"
    )
    asked(other, "paths.start", paths=PATHS[:1])
    known_by = {name: one["source"] for name, one in other.circuit["paths"].items()}
    assert known_by == {**dict.fromkeys(PATHS, "file"), PATHS[0]: "run"}
    asked(other, "circuit.load", text=text)
    assert other.circuit["paths"][PATHS[0]]["source"] == "run"


def test_an_empty_circuit_is_text_too(widget):
    text = asked(widget, "circuit.json")[0]["text"]
    record = json.loads(text)
    assert (record["format"], record["version"]) == ("patchwidget-circuit", 1)
    assert asked(widget, "circuit.load", text=text)[0] == {"paths": 0}
    assert widget.circuit == {}


CHANGED = {
    "model": ({"model": "gpt2"}, "another model: 'gpt2'"),
    "metric": ({"metric": "prob"}, "another metric: 'prob', and this study's is"),
    "direction": ({"direction": "noising"}, "another direction"),
    "prompts": ({"pairs": "0" * 64}, "other prompts, or of other answers"),
    "numbers": (
        {"baselines": {"clean": [0, 0, 9], "corrupted": [0, 0, 9]}},
        "another model of that name",
    ),
    "no numbers": ({"baselines": None}, "another model of that name"),
    "format": ({"format": "another"}, "'copy JSON'"),
    "version": ({"version": 2}, "version 2"),
    "paths": ({"paths": []}, "damaged: paths is"),
    "path": ({"paths": {"L0H0": {"exact": 1}}}, "is not a path"),
    "backwards": ({"paths": {"L1H0 -> L0H0.q": {"exact": 1}}}, "runs backwards"),
    "layer": ({"paths": {"L0H0 -> L7H0.q": {"exact": 1}}}, "no layer 7"),
    "record": ({"paths": {"L0H0 -> final": 3}}, "damaged: 'L0H0 -> final' is 3"),
    "nothing": ({"paths": {"L0H0 -> final": {}}}, "damaged"),
    "truth": ({"paths": {"L0H0 -> final": {"exact": True}}}, "damaged"),
    "NaN": ({"paths": {"L0H0 -> final": {"exact": float("nan")}}}, "damaged"),
    "huge": ({"paths": {"L0H0 -> final": {"exact": 10**400}}}, "damaged"),
    "interval": (
        {"paths": {"L0H0 -> final": {"exact": 1, "interval": [0]}}},
        "damaged",
    ),
    "ends": (
        {"paths": {"L0H0 -> final": {"exact": 1, "interval": [0, "1"]}}},
        "damaged",
    ),
}


@pytest.mark.parametrize("change", CHANGED)
def test_what_does_not_fit_is_refused(widget, text, change):
    changes, words = CHANGED[change]
    shown = widget.circuit
    bad = json.dumps({**json.loads(text), **changes})
    error = answered(widget, "circuit.load", text=bad)[0]["error"]
    assert words in error["message"]
    assert widget.circuit == shown


@pytest.mark.parametrize("bad", ["", "{", "[]", "3", "null", "[" * 100_000, "{}"])
def test_what_is_no_circuit_is_refused(widget, bad):
    error = answered(widget, "circuit.load", text=bad)[0]["error"]
    assert error["type"] == "ValueError"
    assert error["message"].startswith("this is no circuit")


def test_a_circuit_of_another_study_is_refused(text, model, tokens):
    """Really another one: what tells them apart is not only a name."""
    clean, corrupted, answers = tokens
    swapped = random_tokens(seed=5)
    for other, words in (
        (fresh(random_model(STYLES[-1], seed=3), tokens), "another model"),
        (fresh(model, tokens, direction="noising"), "another direction"),
        (fresh(model, tokens, metric="prob"), "another metric"),
        (fresh(model, (clean, swapped[1], answers)), "other prompts"),
        (fresh(model, (clean, corrupted, answers.flip(1))), "other answers"),
        (fresh(model, (clean, corrupted, answers), source="zero"), "another direction"),
    ):
        error = answered(other, "circuit.load", text=text)[0]["error"]
        assert words in error["message"]
        assert other.circuit == {}


def test_another_ablation_is_another_study(model, tokens):
    one = fresh(model, tokens, source="zero")
    text = asked(one, "circuit.json")[0]["text"]
    assert asked(fresh(model, tokens, source="zero"), "circuit.load", text=text)
    for source in (sources.Gaussian(1.0), sources.Mean(tokens[1])):
        other = fresh(model, tokens, source=source)
        error = answered(other, "circuit.load", text=text)[0]["error"]
        assert "another ablation" in error["message"]


# --- the second part of the front end ---------------------------------------------------


@pytest.fixture
def built(tmp_path, monkeypatch):
    (tmp_path / "circuit.js").write_text("export const a = 'ä'", "utf-8")
    (tmp_path / "circuit.css").write_text(".pw { color: red }", "utf-8")
    monkeypatch.setattr(bundle, "_STATIC", tmp_path)
    return tmp_path


def test_the_second_module_comes_when_it_is_asked_for(widget, built, monkeypatch):
    for _ in range(2):
        payload, buffers = asked(widget, "module.get", name="circuit")
        assert payload == {"css": ".pw { color: red }"}
        assert buffers == ["export const a = 'ä'".encode()]
        monkeypatch.setenv("ANYWIDGET_HMR", "1")  # then it is read anew each time


@pytest.mark.parametrize("name", ["widget", "../secret", "", None, ["circuit"], {}])
def test_there_is_no_other_module(widget, built, name):
    error = answered(widget, "module.get", name=name)[0]["error"]
    assert error["type"] == "ValueError"
    assert "choose circuit" in error["message"]


def test_a_module_that_was_not_built_is_an_error_that_says_so(widget, built):
    (built / "circuit.css").unlink()
    error = answered(widget, "module.get", name="circuit")[0]["error"]
    assert error["type"] == "ImportError"
    assert "npm run build" in error["message"]


# --- as a page --------------------------------------------------------------------------


def test_a_saved_page_takes_along_what_was_found(widget, tmp_path, monkeypatch):
    def saved():
        page = widget.to_html(tmp_path / "page.html").read_text("utf-8")
        return unpacked(page)

    widget.selection = ["L1H0.q"]
    assert not {"module.get circuit", "paths.get L1H0"} & set(saved()["answers"])
    payload = around(widget, "L1H0")
    answers = saved()["answers"]
    assert answers["paths.get L1H0"] == {"payload": payload, "buffers": []}
    assert "module.get circuit" not in answers, "there is nothing to draw yet"
    asked(widget, "paths.start", paths=PATHS[3:])
    asked(widget, "circuit.start", what="path_story")
    monkeypatch.setattr(
        "patchwidget.widget.kept.module_files", lambda _: (b"code", "style")
    )
    found = saved()
    assert found["answers"]["module.get circuit"] == {
        "payload": {"css": "style"},
        "buffers": [b"code"],
    }
    assert found["traits"]["circuit"] == widget.circuit
    assert found["traits"]["circuit"]["path_story"]["paths"] == PATHS[3:]


def test_the_page_sets_no_circuit(widget):
    page_sets(widget, circuit={"paths": {}})
    assert widget.circuit == {}
