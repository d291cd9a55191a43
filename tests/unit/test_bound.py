"""The bound on what was not verified: its formula, its coverage, what it cannot say."""

from __future__ import annotations

import numpy as np
import pytest

from patchwidget.rank import Tally
from patchwidget.rank.subsampling import drawn
from patchwidget.verify import TooFewRunsError, upper_bounds, upper_quantile

REPETITIONS = 200


def tally_of(members, effects):
    tally = Tally(members.shape[1])
    for row, effect in zip(members, effects, strict=True):
        tally.add(row, effect)
    return tally


def additive(seed, n_nodes, runs, share):
    """Heavy-tailed effects of either sign, and the tally of random sets of them."""
    effects = np.random.default_rng(10_000 + seed).standard_t(3, n_nodes)
    members = drawn(n_nodes, runs, share, seed)
    return np.abs(effects), tally_of(members, members @ effects)


@pytest.mark.parametrize(
    ("n_nodes", "runs", "share", "confidence"),
    [
        (100, 200, 0.1, 0.9),
        (100, 100, 0.3, 0.8),
        (8, 60, 0.2, 0.9),
        (30, 200, 0.1, 0.99),
    ],
)
def test_coverage_is_at_least_nominal(n_nodes, runs, share, confidence):
    held, ratios = 0, []
    for seed in range(REPETITIONS):
        sizes, tally = additive(seed, n_nodes, runs, share)
        bound = upper_bounds(tally, confidence).max()
        held += bound >= sizes.max()
        ratios.append(bound / sizes.max())
    assert held >= confidence * REPETITIONS
    assert np.median(ratios) < 3, "a bound that says something"


def test_a_bound_that_is_too_low_is_noticed():
    """The same count fails the plain differences, which are no bound."""
    held = 0
    for seed in range(REPETITIONS):
        sizes, tally = additive(seed, 8, 60, 0.2)
        held += np.abs(tally.differences)[sizes.argmax()] >= sizes.max()
    assert held < 0.9 * REPETITIONS


def test_more_runs_bound_tighter():
    medians = []
    for runs in (100, 400):
        found = [additive(seed, 50, runs, 0.2) for seed in range(20)]
        medians.append(
            np.median([upper_bounds(t, 0.9).max() / s.max() for s, t in found])
        )
    assert 1 < medians[1] < medians[0]


def test_the_formula_is_welchs():
    generator = np.random.default_rng(4)
    members = generator.random((30, 6)) < 0.4
    effects = generator.normal(size=30)
    found = upper_bounds(tally_of(members, effects), 0.95)
    for node in range(6):
        inside, outside = effects[members[:, node]], effects[~members[:, node]]
        parts = [group.var(ddof=1) / len(group) for group in (inside, outside)]
        free = [
            part**2 / (len(group) - 1)
            for part, group in zip(parts, (inside, outside), strict=True)
        ]
        df = sum(parts) ** 2 / sum(free)
        margin = float(upper_quantile(0.05, df)) * np.sqrt(sum(parts))
        expected = abs(inside.mean() - outside.mean()) + margin
        assert found[node] == pytest.approx(expected, rel=1e-10)


def test_effects_of_zero_are_bounded_by_zero():
    members = drawn(5, 40, 0.3, 0)
    found = upper_bounds(tally_of(members, np.zeros(40)), 0.9)
    assert (found == 0).all()


def test_one_group_without_variance_leaves_the_other_ones_degrees():
    members = np.array([[True], [True], [False], [False], [False]])
    found = upper_bounds(tally_of(members, np.array([2.0, 2.0, 0.0, 1.0, 2.0])), 0.9)
    expected = 1 + float(upper_quantile(0.1, 2)) * np.sqrt(1 / 3)
    assert found[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e30])
def test_units_do_not_matter(scale):
    _, tally = additive(0, 10, 60, 0.3)
    members = drawn(10, 60, 0.3, 0)
    effects = np.random.default_rng(10_000).standard_t(3, 10)
    scaled = upper_bounds(tally_of(members, scale * (members @ effects)), 0.9)
    if scale > 1e-100:  # below, squares vanish: the margin is lost, the rest is not
        np.testing.assert_allclose(scaled, scale * upper_bounds(tally, 0.9), rtol=1e-9)
    assert np.isfinite(scaled).all()


def test_too_few_runs_are_no_bound():
    members = drawn(20, 5, 0.1, 0)
    with pytest.raises(TooFewRunsError, match="5 runs are too few"):
        upper_bounds(tally_of(members, np.arange(5.0)), 0.9)


@pytest.mark.parametrize("confidence", [0.0, 0.3, 1.0, 1.5, float("nan")])
def test_confidence_is_a_level(confidence):
    _, tally = additive(0, 4, 40, 0.3)
    with pytest.raises(ValueError, match="confidence"):
        upper_bounds(tally, confidence)
