"""Student's t against printed tables, closed forms and brute-force integration."""

from __future__ import annotations

from math import atan, pi, sqrt
from statistics import NormalDist

import numpy as np
import pytest

from patchwidget.verify import upper_quantile, upper_tail

DEGREES = (1, 2, 3, 5, 10, 20, 30, 60, 120)
# Printed in every textbook (Fisher and Yates, table III).
TABLE = {
    0.10: (3.078, 1.886, 1.638, 1.476, 1.372, 1.325, 1.310, 1.296, 1.289),
    0.05: (6.314, 2.920, 2.353, 2.015, 1.812, 1.725, 1.697, 1.671, 1.658),
    0.025: (12.706, 4.303, 3.182, 2.571, 2.228, 2.086, 2.042, 2.000, 1.980),
    0.01: (31.821, 6.965, 4.541, 3.365, 2.764, 2.528, 2.457, 2.390, 2.358),
    0.0005: (636.619, 31.599, 12.924, 6.869, 4.587, 3.850, 3.646, 3.460, 3.373),
}


@pytest.mark.parametrize("tail", TABLE)
def test_quantiles_are_those_of_the_tables(tail):
    found = upper_quantile(tail, DEGREES)
    np.testing.assert_allclose(found, TABLE[tail], atol=5.1e-4, rtol=0)


@pytest.mark.parametrize("df", [0.7, 1.5, 2.5, 7.3, 33.8, 250.6])
@pytest.mark.parametrize("t", [0.0, 0.3, 1.7, 6.0])
def test_tails_are_the_integral_of_the_density(df, t):
    # t = sqrt(df) tan(angle) turns the density into cos(angle) ** (df - 1) on a finite range
    # whose end, for df < 1, is the only place where it is not smooth: u = sqrt(distance).
    def area(start):
        u = np.linspace(0, sqrt(pi / 2 - start), 400_001)[1:]
        values = 2 * u * np.sin(u * u) ** (df - 1)
        first = 2 * u[0] ** (2 * df) / (2 * df)
        return first + float(((values[1:] + values[:-1]) / 2 * np.diff(u)).sum())

    expected = area(atan(t / sqrt(df))) / area(0.0) / 2
    assert float(upper_tail(t, df)) == pytest.approx(expected, rel=1e-6)


def test_closed_forms():
    t = np.array([0.0, 0.01, 1.0, 5.0, 1e4])
    np.testing.assert_allclose(
        upper_tail(t, 1), [0.5 - atan(x) / pi for x in t], rtol=1e-11
    )
    exact = [0.5 - x / (2 * sqrt(2 + x * x)) for x in t]
    np.testing.assert_allclose(upper_tail(t, 2), exact, rtol=1e-7)


@pytest.mark.parametrize("tail", [0.5, 0.4, 0.1, 0.01, 1e-6])
def test_quantiles_invert_tails(tail):
    df = np.array([0.5, 1.0, 1.9, 3.3, 17.2, 400.0, 1e5])
    found = upper_quantile(tail, df)
    np.testing.assert_allclose(upper_tail(found, df), tail, rtol=1e-9)
    assert (np.diff(found) <= 0).all(), "more degrees of freedom, lighter tails"


def test_many_degrees_of_freedom_are_the_normal_distribution():
    for tail in (0.1, 0.01):
        normal = -NormalDist().inv_cdf(tail)
        assert float(upper_quantile(tail, 1e6)) == pytest.approx(normal, rel=1e-5)


@pytest.mark.parametrize("tail", [0.0, -0.1, 0.6, 1.0, float("nan")])
def test_a_tail_is_a_probability_up_to_a_half(tail):
    with pytest.raises(ValueError, match="tail"):
        upper_quantile(tail, 3)


@pytest.mark.parametrize("df", [0, -2, float("nan")])
def test_degrees_of_freedom_are_positive(df):
    with pytest.raises(ValueError, match="degrees of freedom"):
        upper_quantile(0.1, [3.0, df])
