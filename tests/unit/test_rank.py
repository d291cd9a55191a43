"""Rankings that spend runs: what they find, what it costs, that they can be stopped."""

from __future__ import annotations

from math import ceil, log2

import numpy as np
import pytest
import torch
from additive import Additive, last_of, nodes_of

from patchwidget.grids import Grid
from patchwidget.rank import (
    RANKINGS,
    Ranking,
    blocks,
    hierarchical,
    random_order,
    ranking_of,
    subsampling,
)
from patchwidget.rank.subsampling import drawn

NODES = nodes_of(64)
PLANTED = NODES[37]


def planted(noise=0.001, seed=0):
    """Small effects of either sign, and one large one."""
    small = np.random.default_rng(seed).normal(scale=noise, size=len(NODES))
    return Additive({**dict(zip(NODES, small, strict=True)), PLANTED: -1.0})


def options(name):
    return {"runs": 120} if name == "subsampling" else {}


@pytest.mark.parametrize("name", RANKINGS)
def test_a_planted_node_comes_first(name):
    ranking = last_of(RANKINGS[name](NODES, planted(), **options(name)))
    assert ranking.name == name
    place = ranking.ordered.index(PLANTED)
    assert place < 8 if name == "blocks" else place == 0, "its block is of 8"
    assert sorted(map(str, ranking.ordered)) == sorted(map(str, NODES))


@pytest.mark.parametrize("name", RANKINGS)
def test_the_same_seed_is_the_same_ranking(name):
    first, again = (
        last_of(RANKINGS[name](NODES, planted(), **options(name))) for _ in range(2)
    )
    assert first.ordered == again.ordered
    assert list(first.scores) == list(again.scores)
    assert (first.spent, first.alone) == (again.spent, again.alone)


@pytest.mark.parametrize("name", ["subsampling", "random"])
def test_another_seed_draws_others(name):
    one, other = (
        last_of(RANKINGS[name](NODES, planted(0.1), runs=40, seed=seed))
        for seed in (1, 2)
    )
    assert one.ordered != other.ordered


@pytest.mark.parametrize("name", RANKINGS)
def test_closing_keeps_what_was_found(name):
    patched = planted()
    steps = RANKINGS[name](NODES, patched)
    for ranking in steps:
        if ranking.spent:
            break
    steps.close()
    assert 0 < ranking.spent <= len(patched.runs) < 30
    assert len(ranking.ordered) == len(NODES)


@pytest.mark.parametrize("name", RANKINGS)
def test_spent_counts_the_runs(name):
    patched = planted()
    ranking = last_of(RANKINGS[name](NODES, patched, runs=10))
    assert len(patched.runs) == len(set(patched.runs)) == ranking.spent
    assert ranking.spent in (8, 10, 11), "blocks are 8, a split may be one too many"


@pytest.mark.parametrize("name", RANKINGS)
@pytest.mark.parametrize("runs", [0, -3])
def test_a_budget_of_nothing_is_refused(name, runs):
    with pytest.raises(ValueError, match=f"runs={runs}"):
        next(RANKINGS[name](NODES, planted(), runs=runs))


@pytest.mark.parametrize("name", RANKINGS)
def test_no_nodes_are_refused(name):
    with pytest.raises(ValueError, match="no node"):
        next(RANKINGS[name]((), planted()))


@pytest.mark.parametrize("name", RANKINGS)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_nodes_are_ranked(name, count):
    nodes = nodes_of(count)
    patched = Additive({node: 1.0 + i for i, node in enumerate(nodes)})
    ranking = last_of(RANKINGS[name](nodes, patched))
    assert set(ranking.ordered) == set(nodes)
    assert np.isfinite(list(ranking.scores)).all()


@pytest.mark.parametrize("name", RANKINGS)
def test_effects_that_are_all_zero_give_scores_of_zero(name):
    ranking = last_of(RANKINGS[name](NODES, Additive(dict.fromkeys(NODES, 0.0))))
    assert set(ranking.scores) == {0.0}
    if name != "random":
        assert ranking.ordered == NODES, "the order in which they were given"


@pytest.mark.parametrize("branching", [2, 3, 5])
def test_hierarchical_finds_a_needle_in_logarithmic_time(branching):
    ranking = last_of(hierarchical(NODES, planted(0.0), branching=branching))
    assert ranking.alone[PLANTED] <= branching * ceil(log2(64) / log2(branching))
    assert ranking.price(PLANTED) < len(NODES) / 3, "exhaustive search takes 64 runs"


def test_hierarchical_in_the_end_knows_every_node():
    patched = planted(0.1)
    ranking = last_of(hierarchical(NODES, patched))
    assert ranking.spent == 2 * len(NODES) - 2
    assert set(ranking.alone) == set(NODES)
    found = dict(zip(ranking.nodes, ranking.scores, strict=True))
    assert found == {node: abs(effect) for node, effect in patched.effects.items()}


def test_hierarchical_overlooks_what_cancels():
    """Known of the method: a group whose effects cancel comes last."""
    effects = dict.fromkeys(NODES, 0.0) | {NODES[0]: 1.0, NODES[1]: -1.0}
    effects[NODES[-1]] = 0.1
    ranking = last_of(hierarchical(NODES, Additive(effects), runs=12))
    assert ranking.ordered[0] == NODES[-1]
    assert NODES[0] not in ranking.alone


def test_blocks_narrow_the_search():
    ranking = last_of(blocks(NODES, planted(), size=4))
    assert ranking.spent == 16
    assert set(ranking.ordered[:4]) == set(NODES[36:40])
    assert ranking.price(PLANTED) <= 20
    found = dict(zip(ranking.nodes, ranking.scores, strict=True))
    assert len({found[node] for node in NODES[36:40]}) == 1


def test_blocks_of_one_are_exhaustive():
    ranking = last_of(blocks(NODES, planted(), size=1))
    assert ranking.alone[NODES[5]] == 6
    assert ranking.price(PLANTED) == 38


def test_random_order_ranks_what_it_has_seen_above_the_rest():
    patched = planted()
    ranking = last_of(random_order(NODES, patched, runs=20, seed=3))
    seen = {patch[0] for patch in patched.runs}
    assert set(ranking.ordered[:20]) == seen == set(ranking.alone)
    assert set(ranking.scores[20:]) == {-1.0}


def test_subsampling_is_the_difference_of_means():
    patched = planted(0.2)
    ranking = last_of(subsampling(NODES, patched, runs=60, share=0.2, seed=5))
    members = drawn(len(NODES), 60, 0.2, 5)
    effects = members @ np.array([patched.effects[node] for node in NODES])
    for node in range(len(NODES)):
        inside, outside = effects[members[:, node]], effects[~members[:, node]]
        expected = abs(inside.mean() - outside.mean())
        assert ranking.scores[node] == pytest.approx(expected, rel=1e-10)


def test_subsampling_says_nothing_of_nodes_in_fewer_than_two_sets():
    ranking = last_of(subsampling(NODES, planted(), runs=6, share=0.1))
    members = drawn(len(NODES), 6, 0.1, 0)
    few = members.sum(0) < 2
    assert few.any()
    assert ((np.array(ranking.scores) == -1.0) == few).all()


def test_more_sets_begin_with_the_same():
    assert (drawn(7, 30, 0.3, 1)[:11] == drawn(7, 11, 0.3, 1)).all()


@pytest.mark.parametrize("share", [0.0, 1.0, -1, 2])
def test_a_share_is_a_probability(share):
    with pytest.raises(ValueError, match=f"share .* {share}"):
        next(subsampling(NODES, planted(), share=share))


@pytest.mark.parametrize("wrong", [{"size": 0}, {"runs": 0}])
def test_blocks_have_a_size(wrong):
    with pytest.raises(ValueError, match="1 or more"):
        next(blocks(NODES, planted(), **wrong))


def test_a_group_is_split_in_two_at_least():
    with pytest.raises(ValueError, match="branching=1"):
        next(hierarchical(NODES, planted(), branching=1))


def grid(values, method="atp", kind="z"):
    """Raw effects `[B, layer, head]` that need no scale."""
    return Grid(kind, torch.tensor(values), method=method)


def test_an_estimate_ranks_by_the_mean_size_over_pairs():
    """Two pairs with effects +x and -x score x, not 0 (AtP*, eq. 5)."""
    ranking = ranking_of(grid([[[0.1, 0.5]], [[0.3, -0.5]]]))
    assert ranking.scores == pytest.approx([0.2, 0.5])
    assert [str(node) for node in ranking.ordered] == ["L0H1.z", "L0H0.z"]
    assert [ranking.price(node) - ranking.spent for node in ranking.ordered] == [1, 2]


def test_kinds_are_ranked_in_one_list():
    ranking = ranking_of(grid([[[0.1, 0.5]]]), grid([[[-0.3, 0.0]]], kind="v"))
    assert [str(node) for node in ranking.ordered] == [
        "L0H1.z",
        "L0H0.v",
        "L0H0.z",
        "L0H1.v",
    ]


@pytest.mark.parametrize(
    ("grids", "message"),
    [
        ((), "no grid"),
        ((grid([[[0.1]]]), grid([[[0.1]]], method="ig")), "atp, ig"),
        ((grid([[[0.1]]]), grid([[[0.1]]])), "twice"),
        ((grid([[[float("nan")]]]),), "NaN"),
    ],
)
def test_grids_that_make_no_ranking_are_refused(grids, message):
    with pytest.raises(ValueError, match=message):
        ranking_of(*grids)


def test_a_node_run_alone_is_paid_for_already():
    nodes = nodes_of(4)
    ranking = Ranking("mine", nodes, (4.0, 3.0, 2.0, 1.0), 10, {nodes[1]: 6})
    assert [ranking.price(node) for node in nodes] == [11, 6, 12, 13]
    with pytest.raises(KeyError, match="not in this ranking"):
        ranking.price(nodes_of(9)[8])


def test_scores_have_to_be_as_many_as_nodes():
    with pytest.raises(ValueError, match="4 nodes and 1 scores"):
        Ranking("mine", nodes_of(4), (1.0,))


@pytest.mark.parametrize("name", RANKINGS)
def test_a_study_ranks_by_runs(study, name):
    ranking = study.rank(["z", "q"], name, by="pos")
    idle = [node for node in study.extent.nodes("z", "pos") if node.pos < 2]
    assert not set(idle) & set(ranking.nodes), "what cannot matter is left out"
    same_in_layer_0 = 3 * 3  # queries of three heads, where the tokens are alike
    assert len(ranking.nodes) == 2 * 2 * 3 * 5 - same_in_layer_0
    exact = study.exact(list(ranking.alone))
    scores = dict(zip(ranking.nodes, ranking.scores, strict=True))
    for node, effect in exact.items():
        assert scores[node] == pytest.approx(abs(effect.value), rel=1e-4, abs=1e-6)


def test_a_study_ranks_by_an_estimate(study):
    ranking = study.rank("z")
    sizes = study.estimate("z").per_pair.abs().mean(0)
    assert torch.tensor(ranking.scores) == pytest.approx(sizes.flatten())


def test_wrong_questions_to_a_study(study):
    with pytest.raises(ValueError, match="unknown method"):
        study.rank("z", "guess")
    with pytest.raises(ValueError, match="no kind"):
        study.rank([], "random")
    with pytest.raises(TypeError, match="branching"):
        study.rank("z", "random", branching=2)
