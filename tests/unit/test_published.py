"""Our grids and figures against numpy, on numbers that somebody else has computed.

What is expected is taken from the rows of the file as they are, without a grid or a node.
"""

from __future__ import annotations

import numpy as np
import pytest
from published import effects, grids, published

from patchwidget import Node
from patchwidget.rank import means_of, ranking_of
from patchwidget.verify import cost_of_verified_recall, figures

# Each list, and its rows in the file.
ROWS = {
    ("resid_pre", None): "resid_pre[layer,pos]",
    ("attn_out", None): "attn_out[layer,pos]",
    ("mlp_out", None): "mlp_out[layer,pos]",
    **{
        (kind, None): f"head_{kind}_all_pos[layer,head]"
        for kind in ("z", "q", "k", "v", "pattern")
    },
    **{
        (kind, "dest" if kind == "pattern" else "pos"): (
            f"head_{kind}_by_pos[layer*12+head,pos]"
        )
        for kind in ("z", "q", "k", "v", "pattern")
    },
}
LISTS = [*((name,) for name in ROWS), (("z", "pos"), ("q", "pos"), ("k", "pos"))]


def printed(side, lists):
    """The numbers as they stand in the file, of several lists one after the other."""
    rows = published()[side]
    return np.concatenate([np.array(rows[ROWS[name]]).ravel() for name in lists])


@pytest.fixture(params=LISTS, ids=str)
def lists(request):
    return request.param


def test_every_list_of_the_file_is_there():
    for side in ("exact", "atp"):
        assert set(grids(side)) == set(ROWS)
        assert set(published()[side]) == set(ROWS.values())


def test_figures_are_those_of_numpy(lists):
    found = figures(
        np.concatenate([means_of(grids("atp")[name]) for name in lists]),
        np.concatenate([means_of(grids("exact")[name]) for name in lists]),
    )
    x, y = printed("atp", lists), printed("exact", lists)
    assert found.n == len(x)
    assert found.pearson == pytest.approx(np.corrcoef(x, y)[0, 1], rel=1e-9)
    assert found.slope == pytest.approx(np.polyfit(x, y, 1)[0], rel=1e-9)
    for k, recall in found.recall.items():
        least_thought, least_true = (np.sort(np.abs(one))[-k] for one in (x, y))
        both = (np.abs(x) >= least_thought) & (np.abs(y) >= least_true)
        assert recall == both.sum() / k


def test_costs_are_those_of_numpy(lists):
    x, y = printed("atp", lists), printed("exact", lists)
    exact = effects(lists)
    assert len(exact) == ((x != 0) | (y != 0)).sum()
    assert sorted(exact.values()) == sorted(y[(x != 0) | (y != 0)])
    ranking = ranking_of(*(grids("atp")[name] for name in lists))
    found = cost_of_verified_recall(ranking, exact, 10)
    assert ranking.spent == 4, "two forward passes, and a backward that counts as two"
    for k in range(1, 11):
        least = np.sort(np.abs(y))[-k]
        lowest = np.abs(x)[np.abs(y) >= least].min()
        # Of estimates that were printed alike, either may come first.
        assert (
            (np.abs(x) > lowest).sum() < found[k - 1] - 4 <= (np.abs(x) >= lowest).sum()
        )


@pytest.mark.parametrize(
    ("node", "row", "column"),
    [
        (Node("z", 9, head=9), 9, 9),
        (Node("q", 10, head=7, pos=14), 10 * 12 + 7, 14),
        (Node("pattern", 9, head=6, pos=14), 9 * 12 + 6, 14),
        (Node("mlp_out", 0, pos=10), 0, 10),
    ],
    ids=str,
)
def test_a_node_has_its_own_number(node, row, column):
    name = node.kind, node.by
    for side in ("exact", "atp"):
        number = published()[side][ROWS[name]][row][column]
        assert number != 0
        assert grids(side)[name][node] == number


def test_nothing_before_the_changed_token_can_matter():
    assert all(node.pos in range(10, 15) for node in effects([("z", "pos")]))
