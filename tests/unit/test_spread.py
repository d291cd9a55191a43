"""The spread over pairs, against a slow loop and on data whose mean is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from patchwidget import spread as room
from patchwidget.spread import DRAWS, LEVEL, spread


def slow_interval(column):
    """One cell's interval, draw by draw."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(len(column), (DRAWS, len(column)), generator=generator)
    means = [np.mean([column[i] for i in row]) for row in rows.tolist()]
    return np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])


@pytest.mark.parametrize("shape", [(2, 3), (8, 2, 3), (5,), (3, 1, 1)])
def test_it_is_what_a_slow_loop_gives(shape):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    found = spread(values)
    assert found.shape == (4, *shape[1:])
    columns = values.double().reshape(shape[0], -1).T.tolist()
    for column, (low, high, start, end) in zip(
        columns, found.reshape(4, -1).T.tolist(), strict=True
    ):
        assert (low, high) == (min(column), max(column))
        assert [start, end] == pytest.approx(slow_interval(column), abs=1e-12)


def test_intervals_hold_the_true_mean_about_as_often_as_they_say():
    values = torch.randn(30, 4000, generator=torch.Generator().manual_seed(2))
    _, _, start, end = spread(values)
    held = float(((start <= 0) & (end >= 0)).double().mean())
    assert LEVEL - 0.04 < held < LEVEL + 0.01
    few = spread(values[:8])
    held = float(((few[2] <= 0) & (few[3] >= 0)).double().mean())
    assert 0.81 < held < 0.87, "as the docstring warns"


def test_many_cells_are_taken_in_parts(monkeypatch):
    values = torch.randn(4, 10, generator=torch.Generator().manual_seed(3))
    whole = spread(values)
    monkeypatch.setattr(room, "_MEANS_AT_ONCE", 3 * DRAWS)
    assert torch.equal(spread(values), whole)


def test_one_pair_has_no_spread():
    assert spread(torch.ones(1, 2, 3)) is None


@pytest.mark.parametrize("wild", [float("nan"), float("inf")])
def test_what_is_not_finite_has_none_and_its_neighbours_do(wild):
    values = torch.tensor([[0.0, 1.0], [wild, 2.0]])
    found = spread(values)
    assert found[:, 0].isnan().all()
    assert torch.equal(found[:, 1], spread(values[:, 1:])[:, 0])


def test_equal_values_have_no_width():
    assert torch.equal(spread(torch.full((5, 2), 0.25)), torch.full((4, 2), 0.25))


def test_random_numbers_of_the_user_are_left_alone():
    before = torch.get_rng_state()
    once = spread(torch.arange(6.0).reshape(3, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(spread(torch.arange(6.0).reshape(3, 2)), once)
