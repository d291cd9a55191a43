"""What two nodes do together, in models whose circuit is known."""

from __future__ import annotations

import pytest
import torch
from built_models import (
    OUT,
    SUM,
    A,
    B,
    added_up,
    axis,
    both_needed,
    built,
    built_pairs,
    either_suffices,
    two_heads,
)
from torch.testing import assert_close
from toy_models import STYLES, random_model, random_tokens

from patchwidget import Head, Node, PatchStudy, Reader, demo
from patchwidget.circuits import THRESHOLD

FIRST, SECOND = "L0H0.z", "L0H2.z"
KNOWN = {
    "AND-like": (both_needed, {"denoising": (0, 1), "noising": (1, -1)}),
    "OR-like": (either_suffices, {"denoising": (1, -1), "noising": (0, 1)}),
    "additive": (added_up, {"denoising": (0.5, 0), "noising": (0.5, 0)}),
}


@pytest.mark.parametrize("direction", ["denoising", "noising"])
@pytest.mark.parametrize("word", KNOWN)
def test_a_known_circuit_is_read_in_both_directions(word, direction):
    make, expected = KNOWN[word]
    study = PatchStudy(make(), built_pairs(), direction=direction)
    found = study.interactions([FIRST, SECOND])
    assert set(found.sides) == {"denoising", "noising"}
    for way, (alone, interaction) in expected.items():
        side = found[way]
        assert_close(side.effects, torch.full((2,), float(alone)))
        assert_close(side.values[0, 1], torch.tensor(float(interaction)))
        assert_close(side.values[1, 0], side.values[0, 1])
        assert side.reading(0, 1) == word
        assert bool(side.values.diagonal().isnan().all())
    assert found.reading(FIRST, SECOND).startswith(f"{word} (")
    assert found.reading(Head(0, 2), "0.0").startswith(f"{word} (")
    assert repr(found).startswith(f"{FIRST} and {SECOND}: {word} (")


@pytest.mark.parametrize(("gate", "word"), [("or", "OR-like"), ("and", "AND-like")])
def test_the_gates_that_come_with_the_package(gate, word):
    study = PatchStudy(demo.gate_model(gate), demo.gate_pairs())
    found = study.interactions(["L0H0.z", "L0H1.z"])
    assert found.reading("L0H0.z", "L0H1.z").startswith(f"{word} (")


def test_a_head_that_does_nothing_is_said_to_do_nothing():
    study = PatchStudy(either_suffices(), built_pairs())
    found = study.interactions(["L0H1.z", "L1H1.z", FIRST])
    assert found.reading("L0H1.z", "L1H1.z").startswith("no effect (")
    assert found.reading("L0H1.z", FIRST) == (
        "additive in denoising (+0.00), no effect in noising (+0.00)"
    )


def test_one_after_the_other_is_no_or():
    """Of two nodes on one path either does it all: less than the sum, both ways."""
    study = PatchStudy(added_up(), built_pairs())
    found = study.interactions([Head(0, 0, "v"), Head(0, 0)])
    assert found["denoising"].reading(0, 1) == "OR-like"
    assert found["noising"].reading(0, 1) == "AND-like"
    assert found.reading("L0H0.v", "L0H0.z") == (
        "overlapping (denoising -0.50, noising -0.50)"
    )


def test_mirrored_prompts_cannot_tell_and_from_or(model):
    clean, corrupted, answers = random_tokens(2, 5, differ=(1, 3))
    study = PatchStudy(
        model,
        torch.cat([clean, corrupted]),
        torch.cat([corrupted, clean]),
        torch.cat([answers, answers.flip(1)]),
    )
    found = study.interactions(["L0H0.z", "L1H1.z"])
    there, back = found["denoising"], found["noising"]
    assert_close(there.values, back.values, equal_nan=True)
    words = {there.reading(0, 1), back.reading(0, 1)}
    assert words != {"AND-like"}
    assert words != {"OR-like"}


def test_an_ablation_has_one_direction():
    study = PatchStudy(either_suffices(), built_pairs(), source="zero")
    found = study.interactions([FIRST, SECOND])
    assert list(found.sides) == ["noising"]
    assert found.reading(FIRST, SECOND) == "OR-like (noising +1.00)"


@pytest.fixture(
    scope="module",
    params=[STYLES[0], pytest.param(STYLES[-1], marks=pytest.mark.long)],
)
def model(request):
    return random_model(request.param, n_layers=2, n_heads=2)


def test_steps_are_gone_on_with(model):
    tokens, picks = random_tokens(2, 5, differ=(1, 3)), ["L0H1.z", "L1H0.q", "L1H1.z"]
    study = PatchStudy(model, *tokens)
    steps = study.steps("interactions", picks)
    first = next(steps)
    assert (first.done, first.total) == (0, 12), "three alone and three together, twice"
    ran = next(step for step in steps if step.found)
    steps.close()
    records = list(study.steps("interactions", picks))
    assert records[0].done == len(ran.found)
    assert (records[-1].done, records[-1].work) == (12, 1.0)
    assert [record.work for record in records] == sorted(r.work for r in records)
    assert len(study.verified) == len(study.reversed().verified) == 3
    assert study.circuit_cost("interactions", picks).patches == 0
    found = study.interactions(picks)
    alone = PatchStudy(model, *tokens).interactions(picks)
    assert_close(found["noising"].raw, alone["noising"].raw, equal_nan=True)


def test_singles_that_are_known_are_not_run_again(model):
    study = PatchStudy(model, *random_tokens(2, 5, differ=(1, 3)))
    picks = ["L0H1.z", "L1H0.z"]
    before = study.circuit_cost("interactions", picks).patches
    study.exact(picks)
    assert study.circuit_cost("interactions", picks).patches == before - 2


def test_metrics_are_read_from_the_same_runs(model):
    metrics = {name: name for name in ("logit_diff", "prob")}
    tokens = random_tokens(2, 5, differ=(1, 3))
    study = PatchStudy(model, *tokens, metric=metrics)
    picks = ["L0H1.z", "L1H0.z"]
    study.interactions(picks)
    assert study.circuit_cost("interactions", picks).patches == 0
    found = study.interactions(picks, metric="prob")
    alone = PatchStudy(model, *tokens, metric="prob").interactions(picks)
    assert_close(found["denoising"].raw, alone["denoising"].raw, equal_nan=True)
    with pytest.raises(ValueError, match="no metric 'nll'"):
        study.interactions(picks, metric="nll")


BAD = {
    "the set is empty": [],
    "L0H1.z is given twice": ["L0H1.z", Head(1, 0), Head(0, 1)],
    "L0H1.z is one node": "L0H1.z",
    r"L0H1.z and L0H1.z@2 overlap": ["L0H1.z", "L0H1.z@2"],
    r"L0H1.z@2 and L0H1.z overlap": ["L0H1.z@2", "L0H1.z"],
    r"L0.mlp and L0.mlp_out@4 overlap": ["L0.mlp", Node("mlp_out", 0, pos=4)],
    r"L0H1.pattern@3 and L0H1.pattern@3,1 overlap": [
        "L0H1.pattern@3",
        "L0H1.pattern@3,1",
    ],
    r"L0H1.pattern@3,1 and L0H1.pattern@3 overlap": [
        "L0H1.pattern@3,1",
        "L0H1.pattern@3",
    ],
    "embed and L0.resid_pre@0 overlap": ["embed", "L0.resid_pre@0"],
    "'L0H1.nose'|unknown kind": ["L0H1.nose", "L0H1.z"],
}


@pytest.mark.parametrize("words", BAD)
def test_sets_that_cannot_be(model, words):
    study = PatchStudy(model, *random_tokens(2, 5, differ=(1, 3)))
    with pytest.raises(ValueError, match=words):
        study.interactions(BAD[words])
    with pytest.raises(ValueError, match=words):
        next(study.steps("interactions", BAD[words]))


def test_nodes_that_are_not_there(model):
    study = PatchStudy(model, *random_tokens(2, 5, differ=(1, 3)))
    with pytest.raises(IndexError, match="no pos 9, only 0 to 4"):
        study.interactions(["L0H1.z@9", "L0H1.q"])
    with pytest.raises(IndexError, match="no layer 7"):
        study.interactions(["L7.mlp", "L0H1.q"])
    with pytest.raises(TypeError, match="not a node"):
        study.interactions([Reader("q", 1, 0), "L0H1.q"])
    with pytest.raises(TypeError, match="'seed'"):
        study.steps("interactions", ["L0H1.z", "L0H1.q"], seed=1)
    with pytest.raises(KeyError, match="is not among L0H1"):
        study.interactions(["L0H1.z", "L0H0.z"]).reading("L0H1.z", "L1H0.z")


@pytest.mark.parametrize(("missing", "word"), [(0.15, "additive"), (0.25, "OR-like")])
def test_the_threshold_is_a_tenth_of_the_largest_effect(missing, word):
    """Together they write 2 - missing, each alone 1."""
    neurons = [
        (axis((SUM, 1)), 0.0, axis((OUT, 1))),
        (axis((SUM, 1)), -1.0, axis((OUT, -missing))),
    ]
    study = PatchStudy(built(two_heads(), neurons), built_pairs())
    found = study.interactions([FIRST, SECOND])
    assert_close(
        found["denoising"].values[0, 1], torch.tensor(-missing / (2 - missing))
    )
    assert [side.reading(0, 1) for side in found.sides.values()] == [word, word]
    assert THRESHOLD == 0.1


def test_nodes_that_pull_apart_are_neither():
    """The second head writes only where the first has not, and against it."""
    neurons = [
        (axis((SUM, 1)), 0.0, axis((OUT, 1))),
        (axis((SUM, -1)), 0.0, axis((OUT, -3))),
    ]
    heads = {
        (0, 0): (axis((A, 1)), axis((SUM, 2))),
        (0, 2): (axis((B, 1)), axis((SUM, -1))),
    }
    study = PatchStudy(built(heads, neurons), built_pairs())
    side = study.interactions([FIRST, SECOND])["denoising"]
    assert_close(side.effects, torch.tensor([2.0, -3.0]))
    assert_close(side.values[0, 1], torch.tensor(2.0))
    assert side.reading(0, 1) == "of opposite signs, not additive"
