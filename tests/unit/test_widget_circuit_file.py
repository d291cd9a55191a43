"""A circuit as text: what is copied loads again, and nothing else does."""

from __future__ import annotations

import json

import pytest
from page import PATHS, answered, asked
from toy_models import STYLES, random_model, random_tokens

from patchwidget import Pairs, PatchStudy, PatchWidget, sources

pytestmark = pytest.mark.usefixtures("recorded")


@pytest.fixture
def text(widget):
    asked(widget, "paths.get", node="L1H0")
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
