"""Cost of verified recall, by hand."""

from __future__ import annotations

from math import exp, log

import pytest
from additive import Additive, last_of, nodes_of

from patchwidget.rank import Ranking, hierarchical
from patchwidget.verify import cost_of_verified_recall, irwrgm

NODES = nodes_of(5)
EFFECTS = dict(zip(NODES, (0.1, -0.9, 0.5, 0.0, 0.2), strict=True))


def test_an_oracle_costs_k():
    ranking = Ranking("oracle", NODES, [abs(effect) for effect in EFFECTS.values()])
    costs = cost_of_verified_recall(ranking, EFFECTS)
    assert costs == [1, 2, 3, 4], "a node without an effect is never looked for"
    assert irwrgm(costs) == 1


def test_the_lowest_of_the_top_decides():
    # In its order: 3, 2, 1, 0, 4; the true one: 1, 2, 4, 0.
    ranking = Ranking("mine", NODES, (0.2, 0.3, 0.4, 0.5, 0.1), spent=4)
    costs = cost_of_verified_recall(ranking, EFFECTS)
    assert costs == [4 + 3, 4 + 3, 4 + 5, 4 + 5]
    assert cost_of_verified_recall(ranking, EFFECTS, 2) == costs[:2]
    logs = [log(7 / 1), log(7 / 2) / 2, log(9 / 3) / 3, log(9 / 4) / 4]
    assert irwrgm(costs) == pytest.approx(exp(sum(logs) / (1 + 1 / 2 + 1 / 3 + 1 / 4)))


def test_what_a_search_ran_alone_is_verified_already():
    ranking = last_of(hierarchical(NODES, Additive(EFFECTS)))
    costs = cost_of_verified_recall(ranking, EFFECTS)
    assert costs[0] == ranking.alone[NODES[1]]
    assert costs[-1] <= ranking.spent


@pytest.mark.parametrize("up_to", [0, 5])
def test_there_is_no_top_beyond_the_effects(up_to):
    ranking = Ranking("mine", NODES, (0.0,) * 5)
    with pytest.raises(ValueError, match=f"no true top {up_to}"):
        cost_of_verified_recall(ranking, EFFECTS, up_to)


def test_all_zero_effects_have_no_cost():
    ranking = Ranking("mine", NODES, (0.0,) * 5)
    with pytest.raises(ValueError, match="0 nodes have an effect"):
        cost_of_verified_recall(ranking, dict.fromkeys(NODES, 0.0))
    with pytest.raises(ValueError, match="no cost"):
        irwrgm([])


def test_a_node_that_is_not_ranked_is_named():
    with pytest.raises(KeyError, match="L0H1"):
        cost_of_verified_recall(Ranking("mine", NODES[:1], (1.0,)), EFFECTS)
