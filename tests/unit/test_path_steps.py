"""Paths one by one, and estimates and self-repair step by step: what a page's jobs need."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close
from toy_models import STYLES, random_model, random_tokens

from patchwidget import Pairs, PatchStudy, Reader, Writer
from patchwidget.circuits import SelfRepair
from patchwidget.paths import Path

MIXED = [
    "L0H1 -> L2H0.q",
    "L0H1 -> L2H0.k",
    "L0.mlp -> L1H1.v",
    "embed -> L0.mlp",
    "embed@3 -> L1.mlp",
    "L1H0 -> final",
    "L2.mlp -> final",
]


@pytest.fixture(scope="module")
def model():
    return random_model(STYLES[0], n_layers=3, n_heads=2)


@pytest.fixture(params=["denoising", "noising"])
def study(model, request):
    tokens = random_tokens(3, 5, differ=(1, 3))
    return PatchStudy(model, *tokens, direction=request.param)


# --- single paths -----------------------------------------------------------------------


def test_paths_one_by_one_are_what_grids_of_them_say(study):
    found, told = {}, []
    for step in study.path_steps(MIXED):
        found |= step.paths
        told.append((step.done, step.total, step.work))
    assert set(map(str, found)) == set(MIXED)
    for path, effects in found.items():
        grid = study.exact_paths(str(path.writers[0]), str(path.readers[0]))
        assert_close(effects, grid.shown.reshape(-1), rtol=1e-4, atol=1e-6)
        assert float(effects.abs().max()) > 1e-5
    assert told[-1] == (len(MIXED), len(MIXED), 1)
    assert told == sorted(told)


def test_nothing_but_the_named_paths_is_run(study):
    # Two writers and two readers make four cells; one of them would run backwards.
    steps = list(study.path_steps(["L0H0 -> L1H0.q", "L1H1 -> L2H0.q"]))
    assert steps[-1].total == 2


def test_a_path_that_carries_no_change_is_exactly_0(study):
    steps = study.path_steps("embed@2 -> final")
    ((path, effect),) = (item for step in steps for item in step.paths.items())
    assert str(path) == "embed@2 -> final"
    assert effect.tolist() == [0, 0, 0]


def test_paths_may_be_closed_and_are_taken_up_where_one_likes(study):
    steps = study.path_steps(MIXED)
    found = {}
    while not found:
        found |= next(steps).paths
    steps.close()
    assert 0 < len(found) < len(MIXED)


def test_a_path_that_is_named_twice_is_run_once(study):
    path = Path((Writer("head", 0, 1),), (Reader("q", 2, 0),))
    found = [one for step in study.path_steps([path, MIXED[0]]) for one in step.paths]
    assert found == [path]


def test_positions_have_the_pairs_names(model):
    clean, corrupted, answers = random_tokens(3, 5, differ=(1, 3))
    study = PatchStudy(model, Pairs(clean, corrupted, answers=answers, labels={"S": 3}))
    found = [p for step in study.path_steps("L0H0@S -> final") for p in step.paths]
    assert list(map(str, found)) == ["L0H0@3 -> final"]


@pytest.mark.parametrize(
    ("paths", "error", "words"),
    [
        ([], ValueError, "no path is given"),
        ("L0H1", ValueError, "is not a path"),
        ("L0H1 -> ", ValueError, "is not a reader"),
        ("L0H1.q -> final", ValueError, "is not a writer"),
        ("L0H1 + L0H0 -> final", ValueError, "is not a writer"),
        ("L1H1 -> L0H0.q", ValueError, "runs backwards"),
        ("L1H1 -> L1H1.q", ValueError, "to itself"),
        ("L9H1 -> final", IndexError, "no layer 9"),
        ("L0H1 -> L1H2.v", IndexError, "no KV head 2"),
        ([3], TypeError, "3 is not a path"),
        (
            [Path((Writer("embed"), Writer("head", 0, 0)), (Reader("final"),))],
            ValueError,
            "several ends",
        ),
    ],
)
def test_what_is_no_path_is_refused_before_anything_runs(study, paths, error, words):
    with pytest.raises(error, match=words):
        study.path_steps(paths)
    with pytest.raises(error, match=words):
        study.path_cost(paths)


def test_a_cost_counts_what_can_matter(study):
    cost = study.path_cost([*MIXED, "embed@2 -> final"])
    assert cost.patches == len(MIXED)
    early = study.path_cost("L0H0 -> L1H0.q").multiplications
    late = study.path_cost("L0H0 -> L2H0.q").multiplications
    end = study.path_cost("L0H0 -> final").multiplications
    assert early > late > end > 0
    assert cost.seconds > 0


def test_a_model_that_changed_is_noticed(tokens):
    model = random_model(STYLES[0])
    study = PatchStudy(model, *tokens)
    steps = study.path_steps("L0H0 -> L1H0.q")
    with torch.no_grad():
        next(model.parameters()).add_(1)
    with pytest.raises(RuntimeError, match="weights"):
        list(steps)
    with pytest.raises(RuntimeError, match="weights"):
        study.paths_stepwise()


@pytest.mark.parametrize(
    "start",
    [
        lambda study: study.path_steps("L0H0 -> L1H0.q"),
        PatchStudy.paths_stepwise,
        lambda study: study.steps("self_repair", "L0H0"),
    ],
)
def test_weights_that_change_for_a_step_are_noticed_after_it(tokens, start):
    model = random_model(STYLES[0])
    steps = start(PatchStudy(model, *tokens))
    next(steps)
    weight = next(model.parameters())
    before = weight.detach().clone()
    with torch.no_grad():
        weight.add_(1)
    with pytest.raises(RuntimeError, match="weights changed"):
        next(steps)
    with torch.no_grad():
        weight.copy_(before)


# --- estimates, step by step ------------------------------------------------------------


def test_estimates_made_stepwise_are_the_estimates(study):
    steps, turns = study.paths_stepwise(), 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            grid = end.value
            break
        turns += 1
        assert torch.is_grad_enabled(), "whoever has the turn has their own modes"
    expected = study.paths()
    assert turns > study.extent.n_layers
    assert torch.equal(grid.raw.nan_to_num(), expected.raw.nan_to_num())
    assert grid.raw.isnan().equal(expected.raw.isnan())
    assert grid.cost == expected.cost


# --- self-repair ------------------------------------------------------------------------


def test_self_repair_by_steps_is_known_when_they_are_made(study, monkeypatch):
    expected = study.self_repair("L1H0")
    other = PatchStudy(study.model, *random_tokens(3, 5, differ=(1, 3)))
    other = other if other.direction == study.direction else other.reversed()
    assert other.circuit_cost("self_repair", "L1H0").patches == 1
    steps = list(other.steps("self_repair", "L1H0"))
    assert (steps[-1].done, steps[-1].total, steps[-1].work) == (1, 1, 1)
    assert len(steps) > other.extent.n_layers
    monkeypatch.setattr(SelfRepair, "steps", None)
    found = other.self_repair("L1H0")
    assert_close(found.heads.raw, expected.heads.raw, equal_nan=True)
    assert other.circuit_cost("self_repair", "L1H0").patches == 0
    with pytest.raises(TypeError):
        other.self_repair("L0H0")  # another one has to be run


def test_self_repair_that_is_given_up_is_not_known(study):
    steps = study.steps("self_repair", "L0H0")
    next(steps)
    steps.close()
    assert study.circuit_cost("self_repair", "L0H0").patches == 1


def test_self_repair_refuses_before_its_steps(study):
    with pytest.raises(ValueError, match="the set is empty"):
        study.steps("self_repair", [])
    with pytest.raises(TypeError, match="subsets"):
        study.steps("self_repair", "L0H0", subsets=3)
    with pytest.raises(ValueError, match="self_repair"):
        study.steps("repair", "L0H0")
