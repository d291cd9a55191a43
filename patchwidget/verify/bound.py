"""How large an effect may still hide among the nodes that were not verified.

Random sets of those nodes are patched; for each node the runs with it are compared with
the runs without. The hypothesis "some node has an effect of theta or more" is rejected
when it is rejected for every node (an intersection-union test), so no correction for many
nodes is due; turned round, it gives an upper bound on the largest effect (the diagnostic
of AtP*, arXiv 2403.00745, section 3.3; Welch's t for each node):

    max over nodes of |mean with - mean without| + t(df, confidence) * standard error

Its level holds where effects add up. Where they interact it need not: on the bundled model
(z, q and k by position, the top ten verified, 516 nodes left, 200 sets with a tenth of the
nodes each) bounds of 90 % confidence held for 79 % of 200 seeds (`make bench-estimates`),
and larger sets did worse. They came out at 1.1 times the true value, a fiftieth of the
largest effects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchwidget.nodes import Node
from patchwidget.rank import Tally
from patchwidget.verify.student import upper_quantile

ASSUMPTION = (
    "It bounds the average of what a node adds on top of random sets of the other "
    "unverified nodes. That is its effect alone only where effects add up: where nodes "
    "interact, one that is patched alone may do more than the bound says, and such bounds "
    "hold less often than their confidence. It takes means of runs as normally distributed."
)


@dataclass(frozen=True)
class Bound:
    """A one-sided upper bound on the largest effect among unverified nodes.

    Attributes:
        value: no unverified node's mean effect is larger in size, with `confidence`.
        confidence: the share of such bounds that hold, at least, where the assumption does.
        node: the node that could be that large.
        unverified: how many nodes it is about: those not verified when sets were drawn.
        runs: how many random sets were run for it.
        share: probability with which a node was in a set.
    """

    value: float
    confidence: float
    node: Node
    unverified: int
    runs: int
    share: float
    assumption = ASSUMPTION

    def __str__(self) -> str:
        nodes = "node" if self.unverified == 1 else "nodes"
        return (
            f"with {self.confidence:.0%} confidence no effect among the "
            f"{self.unverified} unverified {nodes} is larger than {self.value:.4f} "
            f"({self.node} could be), from {self.runs} runs of random sets"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and words."""
        return {
            "value": self.value,
            "confidence": self.confidence,
            "node": str(self.node),
            "unverified": self.unverified,
            "runs": self.runs,
            "share": self.share,
            "words": str(self),
            "assumption": self.assumption,
        }


class TooFewRunsError(ValueError):
    """A node was in fewer than two sets, or left out of fewer than two."""


def check_confidence(confidence: float) -> None:
    """Refuse what is no confidence level of a one-sided bound.

    Raises:
        ValueError: if it is below 1/2 or not below 1.
    """
    if not 0.5 <= confidence < 1:
        raise ValueError(f"confidence is from 0.5 to below 1, got {confidence}")


def upper_bounds(tally: Tally, confidence: float) -> NDArray[np.float64]:
    """Each node's one-sided upper bound on the size of its effect, `[n]`.

    Raises:
        TooFewRunsError: if there are too few runs for a node's variances.
        ValueError: if the confidence is out of range.
    """
    check_confidence(confidence)
    if not tally.enough.all():
        raise TooFewRunsError(
            f"{tally.runs} runs are too few: of {int((~tally.enough).sum())} of the "
            "nodes there were fewer than two runs with them, or without them"
        )
    of_mean = tally.variances / tally.counts
    squared = of_mean.sum(0)
    largest = of_mean.max(0)
    # Where runs do not differ at all, there is nothing to be uncertain about.
    ratio = of_mean / np.where(largest > 0, largest, 1.0)
    free = (ratio**2 / (tally.counts - 1)).sum(0)
    df = np.where(largest > 0, ratio.sum(0) ** 2 / np.where(free > 0, free, 1.0), 1.0)
    margin = upper_quantile(1 - confidence, df) * np.sqrt(squared)
    found: NDArray[np.float64] = np.abs(tally.differences) + margin
    return found
