"""Faithful, minimal, complete: in models whose circuit is known, and by MIB's own sums."""

from __future__ import annotations

import math

import pytest
import torch
from built_models import (
    added_up,
    backed_up,
    both_needed,
    built_pairs,
    either_suffices,
)
from through_hooks import by_hooks
from torch.testing import assert_close
from toy_models import STYLES, random_model, random_tokens

from patchwidget import Grid, Head, PatchStudy, PatchWidget, Writer, sources
from patchwidget.circuits import MIB_SHARES
from patchwidget.rank import Ranking

FIRST, SECOND = "L0H0.z", "L0H2.z"


@pytest.mark.parametrize("direction", ["denoising", "noising"])
def test_of_two_that_both_are_needed_one_keeps_nothing(direction):
    study = PatchStudy(both_needed(), built_pairs(), direction=direction)
    both = study.whole_story([FIRST, SECOND])
    assert both.faithfulness == pytest.approx(1)
    assert both.minimality == {FIRST: 1, SECOND: 1}
    assert both.complement == pytest.approx(0)
    assert both.incompleteness == pytest.approx(0)
    assert both.n_parts == 6
    alone = study.whole_story(FIRST)
    assert alone.faithfulness == pytest.approx(0)
    assert both.drop(Head(0, 2)).tolist() == [1, 1]


def test_of_two_that_either_suffices_each_looks_needless():
    study = PatchStudy(either_suffices(), built_pairs())
    both = study.whole_story([FIRST, SECOND])
    assert both.faithfulness == pytest.approx(1)
    assert both.minimality == {FIRST: 0, SECOND: 0}
    assert both.incompleteness == pytest.approx(0)
    assert len(both.subsets) == 3, "the circuit, and each of the two"


def test_a_circuit_that_something_outside_stands_in_for_is_incomplete():
    study = PatchStudy(either_suffices(), built_pairs())
    alone = study.whole_story(FIRST)
    assert alone.faithfulness == pytest.approx(1)
    assert alone.complement == pytest.approx(1), "the other head does it all"
    assert alone.incompleteness == pytest.approx(1)
    assert [part.name for part in alone.worst.removed] == [FIRST]
    assert "the rest alone keeps 1.000" in repr(alone)
    assert "least complete without L0H0.z: 0.000 left of the circuit" in repr(alone)


def test_a_circuit_may_do_more_than_the_model():
    """Without the head that writes against it, the mover does twice the work."""
    study = PatchStudy(backed_up(), built_pairs())
    assert study.whole_story("L0H0").faithfulness == pytest.approx(2)
    story = study.whole_story(["L0H0", "L1H2"])
    assert story.faithfulness == pytest.approx(1)
    assert story.minimality["L1H2.z"] == pytest.approx(-1)


@pytest.mark.parametrize("source", ["zero", sources.Mean(torch.full((3, 1), 2))])
def test_the_rest_may_be_ablated(source):
    study = PatchStudy(both_needed(), built_pairs(), source=source)
    found = study.whole_story([FIRST, SECOND])
    assert found.faithfulness == pytest.approx(1)
    assert found.minimality == {FIRST: 1, SECOND: 1}


def test_work_that_is_not_there_cannot_be_kept():
    study = PatchStudy(both_needed(), built_pairs())
    with pytest.raises(ValueError, match="nothing that a circuit could keep"):
        study.whole_story("L0H0.q")
    with pytest.raises(ValueError, match="nothing that a circuit could keep"):
        study.circuit_curve(study.estimate("q"))


def mib(values):
    """Both areas as MIB's evaluation sums them up."""
    under = from_1 = 0.0
    for i in range(len(MIB_SHARES) - 1):
        step = MIB_SHARES[i + 1] - MIB_SHARES[i]
        under += step * (values[i] + values[i + 1]) / 2
        from_1 += step * (abs(1 - values[i]) + abs(1 - values[i + 1])) / 2
    return under, from_1


def test_areas_of_a_known_curve():
    """Half the parts do half of it each, of 6 in all: 3 at a half, none at a fifth."""
    study = PatchStudy(added_up(), built_pairs())
    order = [SECOND, "L1H0", "L1H1", FIRST, "L0H1", "L1H2"]
    curve = study.circuit_curve(order)
    assert curve.shares == MIB_SHARES
    assert curve.sizes == (0,) * 7 + (1, 3, 6)
    assert_close(curve.values, torch.tensor([0.0] * 7 + [0.5, 0.5, 1]))
    under, from_1 = mib([0.0] * 7 + [0.5, 0.5, 1])
    assert curve.cpr == pytest.approx(under)
    assert curve.cmd == pytest.approx(from_1)
    assert curve.cpr == pytest.approx(0.1 * 0.25 + 0.3 * 0.5 + 0.5 * 0.75)
    assert repr(curve).startswith("CPR 0.550, CMD 0.449; faithfulness by size 0: 0.000")
    assert curve.spread.shape == (4, 10)


def test_the_best_and_the_worst_that_can_be():
    """Shares run from .001 to 1, so that the areas of a perfect curve are .999 and 0."""
    study = PatchStudy(both_needed(), built_pairs())
    shares = (0.4, 1.0)
    best = study.circuit_curve([FIRST, SECOND, "L0H1"], shares=shares)
    assert (best.cpr, best.cmd) == (pytest.approx(0.6), pytest.approx(0))
    assert best.sizes == (2, 6)
    worst = study.circuit_curve(["L1H1", "L0H1"], shares=(0.2, 0.4))
    assert (worst.cpr, worst.cmd) == (pytest.approx(0), pytest.approx(0.2))
    assert sum(mib([1.0] * 10)) == pytest.approx(0.999)


@pytest.fixture(scope="module")
def random():
    model = random_model(STYLES[0], n_layers=2, n_heads=3)
    return PatchStudy(model, *random_tokens(3, 5, differ=(1, 3)))


def test_a_grid_ranks_by_value_or_by_size(random):
    grid = random.exact("z")
    values = grid.values.flatten().tolist()
    assert min(values) < 0 < max(values)
    signed = random.circuit_curve(grid)
    assert [grid[part.nodes[0]] for part in signed.order] == sorted(
        values, reverse=True
    )
    sized = random.circuit_curve(grid, absolute=True)
    sizes = [abs(grid[part.nodes[0]]) for part in sized.order]
    assert sizes == sorted(sizes, reverse=True)
    named = random.circuit_curve([part.name for part in signed.order])
    assert_close(named.per_pair, signed.per_pair)
    under, from_1 = mib(signed.values.tolist())
    assert (signed.cpr, signed.cmd) == (pytest.approx(under), pytest.approx(from_1))


def test_kinds_may_be_ranked_together(random):
    both = random.circuit_curve([random.estimate("z"), random.estimate("mlp_out")])
    assert len(both.order) == 6 + 2 * 5
    names = ["embed", "L0.mlp", "L1.mlp"]
    heads = [str(node) for node in random.extent.nodes("z")]
    whole = random.circuit_curve([*heads, *names])
    assert whole.sizes[-3:] == (1, 4, 9)
    ranking = Ranking("mine", tuple(random.extent.nodes("z")), [1.0] * 6)
    assert random.circuit_curve(ranking).order[0].name == "L0H0.z"


def test_what_is_known_is_not_run_again(random):
    study = PatchStudy(random.model, *random_tokens(3, 5, differ=(1, 3)))
    members, options = ["L0H1", "L1H0", "L1H2"], {"subsets": 2, "seed": 1}
    asked = "whole_story", members
    cost = study.circuit_cost(*asked, **options)
    steps = study.steps(*asked, **options)
    first = next(steps)
    assert (first.done, first.total) == (0, cost.patches)
    next(step for step in steps if step.done)
    steps.close()
    assert study.circuit_cost(*asked, **options).patches < cost.patches
    assert list(study.steps(*asked, **options))[-1].work == 1
    assert study.circuit_cost(*asked, **options).patches == 0
    found = study.whole_story(members, **options)
    again = random.whole_story(members, **options)
    assert_close(found.per_pair, again.per_pair)
    assert [o.removed for o in found.subsets] == [o.removed for o in again.subsets]
    # All parts, the rest, each member beside it, and what each removal adds to these.
    every = set(random.extent.nodes("z"))
    inside = {part.nodes[0] for part in found.members}
    gone = [{part.nodes[0] for part in one.removed} for one in found.subsets]
    rest = every - inside
    sets = [every, rest, *(rest | {node} for node in inside)]
    sets += [patched for k in gone for patched in (rest | k, k)]
    assert cost.patches == len(set(map(frozenset, sets)))


def test_parts_that_are_taken_away(random):
    members = ["L0H1", "L1H0", "L1H2"]
    every = random.whole_story(members, subsets=6)
    assert len({one.removed for one in every.subsets}) == 7, "all that there are"
    assert every.incompleteness == max(one.value for one in every.subsets)
    none = random.whole_story(members, subsets=0)
    assert [one.removed for one in none.subsets] == [none.members]
    some = random.whole_story(members, subsets=4, seed=3)
    assert len({one.removed for one in some.subsets}) == 5
    assert all(0 < len(one.removed) < 3 for one in some.subsets[1:])


def test_a_circuit_of_all_parts_is_the_model(random):
    found = random.whole_story(list(random.extent.nodes("z")), subsets=0)
    assert found.faithfulness == pytest.approx(1)
    assert found.complement == pytest.approx(0, abs=1e-6)


def test_the_models_own_hooks_do_as_well(random):
    tokens = random_tokens(3, 5, differ=(1, 3))
    slow, members = by_hooks(random.model, *tokens), ["L0H1", "L1H0"]
    assert slow.notice is not None
    asked = {"among": ["z", "mlp"], "subsets": 1}
    fast, other = (
        random.whole_story(members, **asked),
        slow.whole_story(members, **asked),
    )
    gap = float(fast.all.raw.mean())
    assert_close(other.per_pair * gap, fast.per_pair * gap)
    assert_close(other.without * gap, fast.without * gap)
    both, same = random.interactions(members), slow.interactions(members)
    assert_close(same["noising"].raw, both["noising"].raw, equal_nan=True)


def test_a_small_budget_gives_the_same(random):
    tokens = random_tokens(3, 5, differ=(1, 3))
    tight = PatchStudy(random.model, *tokens, budget=20_000)
    members = ["L0H1", "L1H0"]
    cut, whole = tight.whole_story(members), random.whole_story(members)
    assert_close(cut.all.raw, whole.all.raw)
    # In the metric's units: shares are of a small difference here.
    gap = float(whole.all.raw.mean())
    assert_close(cut.per_pair * gap, whole.per_pair * gap)
    assert_close(cut.without * gap, whole.without * gap)


def test_what_was_run_is_kept_with_the_study(random, tmp_path):
    study = PatchStudy(random.model, *random_tokens(3, 5, differ=(1, 3)))
    members = ["L0H1", "L1H0"]
    found = study.whole_story(members)
    study.save(tmp_path / "story.patchwidget")
    again = PatchStudy.load(tmp_path / "story.patchwidget", model=random.model)
    assert again.circuit_cost("whole_story", members).patches == 0
    assert_close(again.whole_story(members).per_pair, found.per_pair)


def test_a_widget_runs_the_steps(random, recorded):
    study = PatchStudy(random.model, *random_tokens(3, 5, differ=(1, 3)))
    widget = PatchWidget(study)
    widget.run("whole_story", ["L0H1", "L1H0"], subsets=2)
    assert study.circuit_cost("whole_story", ["L0H1", "L1H0"], subsets=2).patches == 0
    widget.close()


BAD = {
    "the set is empty": ([], {}),
    r"L0H1\.z is given twice": (["L0H1", "L0H1.z"], {}),
    "cut differently": (["L0H1", "L1H0@3"], {}),
    "cut differently: name": (["L0.mlp", "L1.mlp_out@3"], {}),
    "cannot be a member": (["L1.resid_pre@3"], {}),
    "cannot be a member.*of its kind": (["L1.mlp_out@2", "L0.neuron@1#3"], {}),
    r"L0H1\.q is not among z.*add 'q' to among": (["L0H1.q"], {"among": "z"}),
    "names no kind": (["L0H1"], {"among": ["z", "resid_mid"]}),
    "wholes and by position": (["L0H1"], {"among": ["z", "mlp", "mlp_out"]}),
    "unknown kind 'nose'": (["L0H1"], {"among": ["nose"]}),
    r"names no kind.*choose": (["L0H1"], {"among": []}),
    "subsets is a number": (["L0H1"], {"subsets": -1}),
}


@pytest.mark.parametrize("words", BAD)
def test_circuits_that_cannot_be(random, words):
    circuit, options = BAD[words]
    with pytest.raises(ValueError, match=words):
        random.whole_story(circuit, **options)
    with pytest.raises(ValueError, match=words):
        random.steps("whole_story", circuit, **options)


def test_curves_that_cannot_be(random):
    grid = random.estimate("z")
    gaps = Grid("z", grid.raw.clone(), scale=grid.scale)
    gaps.raw[:, 1, 2] = math.nan
    with pytest.raises(ValueError, match=r"1 of 6 nodes have no value, L1H2\.z among"):
        random.circuit_curve(gaps)
    with pytest.raises(ValueError, match="3 of the 6 parts is asked for, and only 2"):
        random.circuit_curve(["L0H1", "L1H0"])
    for shares in ((0.5, 0.2), (0, 1), (0.5, 0.5), (0.5,), (0.5, 1.5)):
        with pytest.raises(ValueError, match="ascending numbers above 0"):
            random.circuit_curve(grid, shares=shares)
    with pytest.raises(ValueError, match="unknown question 'nose'"):
        random.circuit_cost("nose", [])
    with pytest.raises(KeyError, match="L1H1 is not among"):
        random.whole_story("L0H1").drop("L1H1")


def test_prompts_of_another_length_are_no_source(random):
    """A circuit that names positions is of prompts of one length."""
    clean, _, answers = random_tokens(3, 5)
    longer = sources.Mean(torch.ones(2, 6, dtype=torch.long))
    with pytest.raises(
        ValueError, match="source's prompts have 6 tokens, the study's 5"
    ):
        PatchStudy(random.model, clean, answers=answers, source=longer)
    with pytest.raises(IndexError, match="no pos 5, only 0 to 4"):
        random.whole_story(["L0H1@5", Head(1, 0, pos=2)])
    with pytest.raises(IndexError, match="no layer 4"):
        random.whole_story([Writer("mlp", 4)])
