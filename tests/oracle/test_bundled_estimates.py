"""The bundled model: what plain AtP overlooks and the QK fix finds."""

from __future__ import annotations

import pytest

from patchwidget import PatchStudy, demo
from patchwidget.estimate import METHODS


@pytest.fixture(scope="module")
def study():
    return PatchStudy(demo.load_model(), demo.ioi_pairs())


@pytest.fixture(scope="module")
def true_ten(study):
    """The ten largest exact effects among z, q and k by position, 1,800 nodes."""
    return [node for node, _ in joint(study, lambda kind: study.exact(kind, by="pos"))][
        :10
    ]


def joint(study, grid_of):
    """Every node of z, q and k by position, largest first."""
    grids = [grid_of(kind) for kind in ("z", "q", "k")]
    nodes = [pair for grid in grids for pair in grid.top(600, mean_abs=True)]
    return sorted(nodes, key=lambda pair: -abs(pair[1]))


def ranks(study, method):
    ordered = joint(study, lambda kind: study.estimate(kind, method, by="pos"))
    return {node: rank for rank, (node, _) in enumerate(ordered, start=1)}


@pytest.mark.parametrize("method", [name for name in METHODS if name != "relp"])
def test_the_fix_finds_the_true_ten_at_once(study, true_ten, method):
    found = ranks(study, method)
    assert len(found) == 1800
    needed = max(found[node] for node in true_ten)
    if method in ("atp_qk", "atp_star", "ig"):
        assert needed == 10, "ten is the least possible"
    else:
        assert 10 < needed <= 20


def test_the_query_that_plain_atp_overlooks(study, true_ten):
    hidden = study.node("L0H0.q@S2")
    assert hidden in true_ten
    assert ranks(study, "atp")[hidden] > 10 >= ranks(study, "atp_qk")[hidden]
    exact = study.exact([hidden])[hidden].value
    plain, fixed = (
        study.estimate("q", method, by="pos")[hidden] for method in ("atp", "atp_qk")
    )
    assert plain < 0.1 * exact
    assert 0.4 * exact < fixed < exact
