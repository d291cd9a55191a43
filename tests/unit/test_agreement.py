"""Figures of agreement against brute force; where they are not defined, they are None."""

from __future__ import annotations

import json

import numpy as np
import pytest

from patchwidget.nodes import Node
from patchwidget.verify import Agreement, Check, figures


def brute_ranks(values):
    """1 + how many are smaller + half of how many others are alike."""
    return [
        1
        + sum(other < one for other in values)
        + (sum(o == one for o in values) - 1) / 2
        for one in values
    ]


def brute_recall(estimates, effects, k):
    def largest(values):
        return set(sorted(range(len(values)), key=lambda i: -abs(values[i]))[:k])

    return len(largest(estimates) & largest(effects)) / k


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [2, 3, 11, 50])
def test_figures_equal_brute_force(n, seed):
    generator = np.random.default_rng(seed)
    effects = generator.normal(size=n)
    estimates = 0.5 * effects + generator.normal(size=n)
    found = figures(estimates, effects)
    assert found.n == n
    assert found.pearson == pytest.approx(np.corrcoef(estimates, effects)[0, 1])
    assert found.slope == pytest.approx(np.polyfit(estimates, effects, 1)[0])
    ranks = brute_ranks(estimates), brute_ranks(effects)
    assert found.spearman == pytest.approx(np.corrcoef(*ranks)[0, 1])
    for k, value in found.recall.items():
        expected = brute_recall(estimates, effects, k) if k < n else None
        assert value == expected


def test_ties_share_their_ranks():
    estimates, effects = [1, 1, 2, 2, 2, 5], [3, 1, 1, 4, 4, 4]
    ranks = brute_ranks(estimates), brute_ranks(effects)
    assert figures(estimates, effects).spearman == pytest.approx(
        np.corrcoef(*ranks)[0, 1]
    )


def test_a_slope_below_one_means_estimates_too_large():
    found = figures([1.0, 2.0, 4.0], [0.5, 1.0, 2.0])
    assert (found.pearson, found.slope) == (pytest.approx(1), pytest.approx(0.5))


def test_recall_is_by_the_size_that_ranked():
    """Pairs that cancel: a mean of 0, yet ranked first."""
    found = figures([0.0, 0.2, 0.1], [0.9, 0.1, 0.1], sizes=[1.0, 0.2, 0.1])
    assert found.recall[1] == 1.0
    assert figures([0.0, 0.2, 0.1], [0.9, 0.1, 0.1]).recall[1] == 0.0


@pytest.mark.parametrize(
    ("estimates", "effects", "defined"),
    [
        ([], [], set()),
        ([1.0], [2.0], set()),
        ([0.1, 0.1, 0.1], [1.0, 2.0, 3.0], set()),
        ([1.0, 2.0, 3.0], [0.1, 0.1, 0.1], {"slope"}),
        ([0.0, 0.0], [0.0, 0.0], set()),
    ],
)
def test_what_does_not_vary_has_no_correlation(estimates, effects, defined):
    found = figures(estimates, effects)
    for name in ("pearson", "slope", "spearman"):
        assert (getattr(found, name) is not None) == (name in defined), name
    if "slope" in defined:
        assert found.slope == pytest.approx(0, abs=1e-12)
    json.dumps(found.to_dict(), allow_nan=False)
    assert "not defined" in repr(found)


def test_recall_needs_effects_to_be_recalled():
    found = figures([3.0, 2.0, 1.0] + [0.0] * 30, [1.0, 0.0, 2.0] + [0.0] * 30)
    assert found.recall == {1: 0.0, 5: None, 10: None, 20: None}


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e200])
def test_units_do_not_matter(scale):
    estimates, effects = (
        np.array([1.0, 2.0, -4.0, 3.0]),
        np.array([2.0, 1.0, -3.0, 5.0]),
    )
    found, plain = (
        figures(scale * estimates, scale * effects),
        figures(estimates, effects),
    )
    assert found.pearson == pytest.approx(plain.pearson)
    assert found.slope == pytest.approx(plain.slope)


def test_values_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        figures([1.0, float("nan")], [1.0, 2.0])
    with pytest.raises(ValueError, match="2 estimates, 1 effects"):
        figures([1.0, 2.0], [1.0])


def checks_of(kinds, layers, *, signed=True):
    generator = np.random.default_rng(0)
    return [
        Check(
            Node(kind, layer, head=head), x := generator.normal(), abs(x), 2 * x, signed
        )
        for kind in kinds
        for layer in range(layers)
        for head in range(3)
    ]


def test_agreement_is_cut_by_kind_and_layer():
    checks = checks_of("zq", 2)
    found = Agreement(checks)
    assert found.overall.n == 12
    assert {kind: one.n for kind, one in found.by_kind.items()} == {"q": 6, "z": 6}
    assert {layer: one.n for layer, one in found.by_layer.items()} == {0: 6, 1: 6}
    assert found.of("q", 1).n == 3
    assert found.of(layer=0) == found.by_layer[0]
    assert found.of(kind="v").n == 0
    assert found.of("z", 1).slope == pytest.approx(2)
    json.dumps(found.to_dict(), allow_nan=False)
    assert "layer 1" in repr(found)


def test_sizes_are_compared_with_sizes():
    node = Node("z", 0, head=0)
    assert Check(node, 0.3, 0.3, -0.5, signed=False).miss == pytest.approx(0.2)
    assert Check(node, 0.3, 0.3, -0.5).miss == pytest.approx(0.8)
