"""What is verified, how estimates fared there, and what may still hide elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Any

from patchwidget.nodes import Node
from patchwidget.verify.agreement import Agreement, Check
from patchwidget.verify.bound import Bound
from patchwidget.verify.settling import Settling

_SHOWN_MISSES = 5


@dataclass(frozen=True, eq=False)
class Verification:
    """The state of a verification, at its end or at any moment before.

    Effects are means over the pairs; nodes are ranked by the mean size of the estimates.

    Attributes:
        kinds: the kinds of its nodes.
        by: how finely they are cut.
        method: the estimate.
        checks: what is verified, in rank order.
        total: all nodes of these kinds.
        idle: how many of them have no effect for sure and are never run: the base run
            and the source have the same value there.
        patches: exact patches of one node that this call has run.
        bound_runs: runs of random sets that it has taken for the bound.
        bound: on the largest effect that is not verified; None if there is none.
        without_bound: why there is none.
        settling: whether the top K is found; None if that was not asked.
        why: why it stopped, or that it goes on.

    Example:
        >>> from patchwidget import PatchStudy, demo
        >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
        >>> found = study.verify("v", top=3, bound_runs=0)
        >>> found.settled, len(found.checks) < found.total
        (True, True)
    """

    kinds: tuple[str, ...]
    by: str | None
    method: str
    checks: tuple[Check, ...]
    total: int
    idle: int
    patches: int
    bound_runs: int
    bound: Bound | None
    without_bound: str
    settling: Settling | None
    why: str

    @property
    def verified(self) -> int:
        """How many nodes were run and are known exactly."""
        return len(self.checks)

    @property
    def unverified(self) -> int:
        """How many nodes may have an effect that is not known."""
        return self.total - self.idle - self.verified

    @property
    def runs(self) -> int:
        """All patched runs of this call, those for the bound included."""
        return self.patches + self.bound_runs

    @property
    def settled(self) -> bool | None:
        """Whether the top K is taken as found; None if that was not asked."""
        return None if self.settling is None else self.settling.settled

    @cached_property
    def agreement(self) -> Agreement:
        """How well estimates agree with exact effects on what is verified."""
        return Agreement(self.checks)

    def misses(self, k: int = 10) -> list[Check]:
        """The `k` verified nodes whose estimate is farthest off, worst first."""
        ordered = sorted(self.checks, key=lambda check: -check.miss)
        return ordered[: max(k, 0)]

    def top(self, k: int = 10) -> list[Check]:
        """The `k` verified nodes of largest exact effect, largest first."""
        ordered = sorted(self.checks, key=lambda check: -abs(check.exact))
        return ordered[: max(k, 0)]

    def __getitem__(self, node: Node) -> Check:
        """The check of a node.

        Raises:
            KeyError: if it is not verified here.
        """
        for check in self.checks:
            if check.node == node:
                return check
        raise KeyError(f"{node} is not among the verified nodes of {self._what}")

    @property
    def _what(self) -> str:
        cut = f" by {self.by}" if self.by else ""
        return f"{', '.join(self.kinds)}{cut}, ranked by {self.method}"

    def __repr__(self) -> str:
        state = (
            f"{self.verified} of {self.total} nodes verified, {self.idle} cannot matter, "
            f"{self.unverified} left"
        )
        lines = [f"{self._what}: {state}", f"stopped: {self.why}"]
        if self.settling is not None:
            lines.append(str(self.settling))
        lines.append(f"bound: {self.bound or f'none, {self.without_bound}'}")
        lines.append(f"agreement on what is verified: {self.agreement.overall}")
        misses = "; ".join(map(repr, self.misses(_SHOWN_MISSES)))
        lines.append(f"worst misses: {misses or 'none'}")
        spent = f"{self.patches} patches and {self.bound_runs} runs for the bound"
        return "\n".join([*lines, f"spent: {spent}"])

    def to_dict(self, misses: int = 10) -> dict[str, Any]:
        """Plain numbers and words: no NaN, no infinity, None where there is no number."""
        return {
            "kinds": list(self.kinds),
            "by": self.by,
            "method": self.method,
            "total": self.total,
            "idle": self.idle,
            "verified": self.verified,
            "unverified": self.unverified,
            "patches": self.patches,
            "bound_runs": self.bound_runs,
            "why": self.why,
            "settling": self._settling_dict(),
            "bound": None if self.bound is None else self.bound.to_dict(),
            "without_bound": self.without_bound,
            "agreement": self.agreement.to_dict(),
            "misses": [_record(check) for check in self.misses(misses)],
        }

    def _settling_dict(self) -> dict[str, Any] | None:
        found = self.settling
        if found is None:
            return None
        return {
            "top": found.top,
            "settled": found.settled,
            "kth": found.kth,
            "slack": found.slack if isfinite(found.slack) else None,
            "next": found.next,
            "words": str(found),
        }


def _record(check: Check) -> dict[str, Any]:
    return {
        "node": str(check.node),
        "estimate": check.estimate,
        "exact": check.exact,
        "miss": check.miss,
    }
