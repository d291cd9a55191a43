"""What `verify` spends until it takes the true top ten as found, and whether it is right."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from estimators import JOINT, TOP, estimates

from patchwidget.nodes import Node
from patchwidget.study import PatchStudy
from patchwidget.verify import Loop, Plan


@dataclass(frozen=True)
class Verified:
    """One verification.

    Attributes:
        patches: exact patches of one node that it ran.
        settled: whether it takes the top as found.
        right: how many of the true top are in the top that it has verified.
        passes: what the estimate cost, in forward passes.
    """

    patches: int
    settled: bool
    right: int
    passes: float


def verified(
    study: PatchStudy, method: str, effects: Mapping[Node, float]
) -> Verified | None:
    """Verify the joint list in a study that knows nothing yet.

    None if the method is not defined for a kind of it.
    """
    grids = estimates(study, JOINT, method)
    if grids is None:
        return None
    steps = Loop(study._runner, grids, Plan(top=TOP, bound_runs=0)).steps()
    (last,) = deque(steps, maxlen=1)
    report = last.report
    true = sorted(effects, key=lambda node: -abs(effects[node]))[:TOP]
    right = set(true) & {check.node for check in report.top(TOP)}
    passes = max(grid.cost.passes for grid in grids)
    return Verified(report.patches, report.settled, len(right), passes)
