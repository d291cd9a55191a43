"""Quantiles of Student's t distribution, for any number of degrees of freedom.

The tail is an incomplete beta function, evaluated by its continued fraction (Abramowitz
and Stegun 26.5.8, 26.7.1; Lentz's method), and inverted by Newton's.
"""

from __future__ import annotations

from math import lgamma
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[np.float64]

_TINY = 1e-300
_FRACTION_TERMS = 10_000
_NEWTON_STEPS = 200


def upper_quantile(tail: float, df: ArrayLike) -> Numbers:
    """The t that is exceeded with probability `tail`, for each degree of freedom.

    Args:
        tail: above 0 and at most 1/2.
        df: degrees of freedom, above 0, whole or not.

    Raises:
        ValueError: if either is out of range.

    Example:
        >>> upper_quantile(0.05, [1, 10, 30.5]).round(3).tolist()
        [6.314, 1.812, 1.696]
    """
    df = np.asarray(df, dtype=np.float64)
    if not 0 < tail <= 0.5:
        raise ValueError(f"a tail lies above 0 and at most at 1/2, got {tail}")
    if not (df > 0).all():
        raise ValueError(f"degrees of freedom are positive, got {df.min()}")
    # The tail is convex here and t's is the heavier one, so Newton's steps from the
    # normal quantile climb to the root and never pass it.
    t = np.full(df.shape, -NormalDist().inv_cdf(tail))
    for _ in range(_NEWTON_STEPS):
        step = (upper_tail(t, df) - tail) / _density(t, df)
        t = t + step
        if (np.abs(step) <= 1e-13 * np.maximum(t, 1e-3)).all():
            break
    return t


def upper_tail(t: ArrayLike, df: ArrayLike) -> Numbers:
    """Probability that Student's t with `df` degrees of freedom exceeds t >= 0."""
    t, df = np.broadcast_arrays(np.asarray(t, float), np.asarray(df, float))
    rest = t * t / (df + t * t)
    half = np.full(df.shape, 0.5)
    # The fraction converges fast on one side of the mean of the beta distribution.
    near = rest < (half + 1) / (half + df / 2 + 2)
    a, b = np.where(near, half, df / 2), np.where(near, df / 2, half)
    found = _lower_beta(np.where(near, rest, df / (df + t * t)), a, b)
    tail: Numbers = np.where(near, 1 - found, found) / 2
    return tail


def _density(t: Numbers, df: Numbers) -> Numbers:
    log = -(df + 1) / 2 * np.log1p(t * t / df) - np.log(df) / 2
    found: Numbers = np.exp(log - _log_beta(df / 2, np.full(df.shape, 0.5)))
    return found


def _log_beta(a: Numbers, b: Numbers) -> Numbers:
    pairs = zip(a.flat, b.flat, strict=True)
    found = [lgamma(x) + lgamma(y) - lgamma(x + y) for x, y in pairs]
    return np.asarray(found).reshape(a.shape)


def _lower_beta(x: Numbers, a: Numbers, b: Numbers) -> Numbers:
    """The regularised incomplete beta function I_x(a, b)."""
    with np.errstate(divide="ignore"):  # log 0 gives 0 in the end, as it should
        log = a * np.log(x) + b * np.log1p(-x) - _log_beta(a, b) - np.log(a)
    found: Numbers = np.exp(log) * _fraction(x, a, b)
    return found


def _fraction(x: Numbers, a: Numbers, b: Numbers) -> Numbers:
    """The continued fraction of the incomplete beta function."""
    c = np.ones(x.shape)
    d = 1 / _off_zero(1 - (a + b) * x / (a + 1))
    found = d.copy()
    for m in range(1, _FRACTION_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        last = np.ones(x.shape)
        for term in (even, odd):
            d = 1 / _off_zero(1 + term * d)
            c = _off_zero(1 + term / c)
            last = c * d
            found = found * last
        if (np.abs(last - 1) < 1e-16 * 4).all():
            break
    return found


def _off_zero(values: Numbers) -> Numbers:
    return np.where(np.abs(values) < _TINY, _TINY, values)
