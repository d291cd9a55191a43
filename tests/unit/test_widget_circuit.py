"""Paths and circuits on the page: what it asks for, what is run, what it is shown."""

from __future__ import annotations

import asyncio
import json
from math import isnan

import pytest
from page import PATHS, answered, asked, page_sets, receive, replies
from test_export import unpacked
from through_hooks import by_hooks
from toy_models import STYLES, TL_MAJOR, noisy, random_model, random_tokens, tokenizer

from patchwidget import Pairs, PatchStudy, PatchWidget
from patchwidget.spread import spread
from patchwidget.widget import bundle, circuit_answers

pytestmark = pytest.mark.usefixtures("recorded")


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
    pairs = Pairs(*tokens[:2], answers=tokens[2], labels={"S2": 3})
    other = PatchWidget(PatchStudy(model, pairs))
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
