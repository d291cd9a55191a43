"""Is the true top K found? What the verified nodes say about those still to come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isnan

import numpy as np

from patchwidget.verify.agreement import Check

# How much an estimate may fall short: as much as that of 19 in 20 verified nodes did.
SHARE = 0.95


@dataclass(frozen=True)
class Settling:
    """Whether any node that is not verified could still belong to the top K.

    Attributes:
        top: K.
        settled: whether it is taken as found.
        kth: size of the K-th largest verified effect; None with fewer than K.
        slack: 95th percentile of |exact| / estimate over the verified, 1 at least: how
            far estimates fell short so far. Infinite if too many of 0 were wrong.
        next: the largest estimate that is not verified; None if all are.
    """

    top: int
    settled: bool
    kth: float | None
    slack: float
    next: float | None

    def __str__(self) -> str:
        """Why, in words."""
        if self.next is None:
            return f"top {self.top} settled: nothing is left that could belong to it"
        if self.kth is None:
            return f"top {self.top} not settled: fewer than {self.top} are verified"
        reach, verb = self.next * self.slack, "is" if self.settled else "is not"
        return (
            f"top {self.top} {'' if self.settled else 'not '}settled: the next estimate "
            f"is {self.next:.4g}, estimates fell short by up to {self.slack:.3g} times so "
            f"far, and {_shown(reach)} {verb} below the {_ordinal(self.top)} largest "
            f"verified effect, {self.kth:.4g}"
        )


def settling(checks: Sequence[Check], following: float | None, top: int) -> Settling:
    """Judge by what is verified.

    Args:
        checks: what is verified.
        following: the largest estimate that is not verified; None if all are.
        top: K.
    """
    slack = _slack(checks)
    effects = sorted((abs(check.exact) for check in checks), reverse=True)
    kth = effects[top - 1] if len(effects) >= top else None
    if following is None:
        return Settling(top, settled=True, kth=kth, slack=slack, next=None)
    reach = following * slack
    # Where estimates of 0 were wrong, another of 0 tells nothing.
    is_below = kth is not None and not isnan(reach) and reach < kth
    return Settling(top, settled=is_below, kth=kth, slack=slack, next=following)


def _slack(checks: Sequence[Check]) -> float:
    short = [
        abs(check.exact) / check.size if check.size else inf
        for check in checks
        if check.size or check.exact
    ]
    if not short:
        return 1.0
    # An observed value, not one in between: in between a number and infinity is none.
    return max(1.0, float(np.quantile(short, SHARE, method="higher")))


def _shown(reach: float) -> str:
    return "an unknown reach" if isnan(reach) else f"{reach:.4g}"


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"
