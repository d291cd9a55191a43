"""The bundled model, whose truth is known: what verification finds there, and for how much."""

from __future__ import annotations

import pytest

from patchwidget import PatchStudy, demo
from patchwidget.verify import cost_of_verified_recall

KINDS = ["z", "q", "k"]


@pytest.fixture(scope="module")
def model():
    return demo.load_model()


@pytest.fixture(scope="module")
def truth(model):
    """Exact effects of the joint by-position list: 1,800 nodes."""
    study = PatchStudy(model, demo.ioi_pairs())
    return {
        node: grid[node]
        for grid in (study.exact(kind, by="pos") for kind in KINDS)
        for node in grid.nodes()
    }


@pytest.mark.parametrize(
    ("method", "at_most"),
    [("atp", 20), ("atp_qk", 10), ("graddrop", 20), ("atp_star", 20), ("ig", 20)],
)
def test_the_true_top_ten_is_verified_with_few_patches(model, truth, method, at_most):
    """A tenth of the exhaustive patches is 180, of those that can matter 53."""
    study = PatchStudy(model, demo.ioi_pairs())
    found = study.verify(KINDS, method, by="pos", top=10, bound_runs=0)
    assert found.total == len(truth) == 1800
    best = sorted(truth, key=lambda node: -abs(truth[node]))[:10]
    assert [check.node for check in found.top(10)] == best
    assert found.settled
    assert found.patches <= at_most


def test_what_is_not_run_has_no_effect(model, truth):
    study = PatchStudy(model, demo.ioi_pairs())
    moving = set(study._runner.moving(truth))
    assert len(moving) == 536
    assert all(effect == 0 for node, effect in truth.items() if node not in moving)


def test_the_bound_is_of_the_size_of_what_was_missed(model, truth):
    """Effects interact here, so its level need not hold: it is no more than close."""
    study = PatchStudy(model, demo.ioi_pairs())
    found = study.verify(KINDS, by="pos", top=10)
    verified = {check.node for check in found.checks}
    missed = max(abs(effect) for node, effect in truth.items() if node not in verified)
    assert missed / 2 < found.bound.value < 3 * missed
    assert found.bound.value < found.settling.kth / 10, "it says something"


def test_estimates_beat_rankings_that_spend_runs(model, truth):
    study = PatchStudy(model, demo.ioi_pairs())
    costs = {
        method: cost_of_verified_recall(study.rank(KINDS, method, by="pos"), truth, 10)[
            -1
        ]
        for method in ("atp", "atp_qk", "blocks", "random")
    }
    assert costs["atp_qk"] == 4 + 10, "an oracle takes 10"
    assert costs["atp_qk"] < costs["atp"] < costs["blocks"] < costs["random"]
