"""The statistic of Algorithm 1: exact on the full design, and as numpy has it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from patchwidget.rank import Tally


def tally_of(members, effects):
    tally = Tally(members.shape[1])
    for row, effect in zip(members, effects, strict=True):
        tally.add(row, effect)
    return tally


def full_design(n_nodes):
    return np.array(list(product([False, True], repeat=n_nodes)))


@pytest.mark.parametrize("n_nodes", [2, 3, 6])
def test_additive_effects_come_out_exactly_on_the_full_design(n_nodes):
    effects = np.random.default_rng(n_nodes).normal(size=n_nodes)
    members = full_design(n_nodes)
    tally = tally_of(members, members @ effects)
    np.testing.assert_allclose(tally.differences, effects, atol=1e-13)
    assert tally.runs == 2**n_nodes
    assert tally.counts.tolist() == [[2 ** (n_nodes - 1)] * n_nodes] * 2


def test_interactions_come_out_as_the_average_over_backgrounds():
    members = full_design(4)
    effects = np.random.default_rng(1).normal(size=16)  # any function of the set
    found = tally_of(members, effects).differences
    by_set = {tuple(row): effect for row, effect in zip(members, effects, strict=True)}
    for node in range(4):
        gains = [
            by_set[(*row[:node], True, *row[node + 1 :])] - effect
            for row, effect in by_set.items()
            if not row[node]
        ]
        assert found[node] == pytest.approx(np.mean(gains), abs=1e-13)


def test_means_and_variances_are_numpys():
    generator = np.random.default_rng(3)
    members = generator.random((40, 5)) < 0.3
    # Far from 0, where sums of squares would lose every digit of the variance.
    effects = 1e8 + generator.normal(size=40)
    tally = tally_of(members, effects)
    for node in range(5):
        groups = effects[~members[:, node]], effects[members[:, node]]
        for row, group in enumerate(groups):
            assert tally.means[row, node] == pytest.approx(group.mean(), rel=1e-15)
            assert tally.variances[row, node] == pytest.approx(
                group.var(ddof=1), rel=1e-6
            )


def test_one_run_of_a_group_is_not_enough():
    members = np.array([[True, True], [False, True], [False, False], [False, False]])
    tally = tally_of(members, np.arange(4.0))
    assert tally.enough.tolist() == [False, True]
    assert np.isnan(tally.variances[1, 0])
    assert not np.isnan(tally.variances[0]).any()
