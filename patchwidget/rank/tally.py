"""Runs with and without each node: counts, means and variances, one run at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


class Tally:
    """The statistic of AtP*'s Algorithm 1 (arXiv 2403.00745), for every node at once.

    One run serves all nodes: those that were patched in it and those that were not. Means
    and variances are updated by Welford's method, which loses nothing to rounding where
    the mean is large.

    Attributes:
        counts: runs without and with each node, `[2, n]`.
        means: of the effect of those runs, `[2, n]`; 0 where there is none.

    Example:
        >>> tally = Tally(2)
        >>> for a, b in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        ...     tally.add(np.array([a, b], dtype=bool), 3.0 * a - 1.0 * b)
        >>> tally.differences.tolist()
        [3.0, -1.0]
    """

    def __init__(self, n_nodes: int) -> None:
        self.counts = np.zeros((2, n_nodes), dtype=np.int64)
        self.means = np.zeros((2, n_nodes))
        self._squares = np.zeros((2, n_nodes))

    def add(self, members: NDArray[np.bool_], effect: float) -> None:
        """Take note of a run in which the nodes `members` `[n]` were patched together."""
        here = np.stack([~members, members])
        self.counts += here
        away = np.where(here, effect - self.means, 0.0)
        self.means += away / np.maximum(self.counts, 1)
        self._squares += away * np.where(here, effect - self.means, 0.0)

    @property
    def runs(self) -> int:
        """How many runs there were."""
        return int(self.counts[:, 0].sum()) if self.counts.size else 0

    @property
    def enough(self) -> NDArray[np.bool_]:
        """Which nodes were patched in two runs at least, and not patched in two `[n]`."""
        found: NDArray[np.bool_] = np.all(self.counts >= 2, axis=0)
        return found

    @property
    def differences(self) -> Numbers:
        """Mean effect of the runs with a node less that of those without it `[n]`."""
        found: Numbers = self.means[1] - self.means[0]
        return found

    @property
    def variances(self) -> Numbers:
        """Unbiased variances of the effect without and with each node `[2, n]`.

        NaN where there are fewer than two runs.
        """
        free = np.where(self.counts >= 2, self.counts - 1.0, np.nan)
        found: Numbers = self._squares / free
        return found
