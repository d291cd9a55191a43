"""The loop: exact patches in the order of the estimates, then a bound on the rest.

Nodes that the estimate thinks much of are run first, so that its false alarms cost a few
runs and do no other harm. What it thinks little of is never run; the bound says how large
an effect may have been overlooked there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from time import monotonic

import numpy as np

from patchwidget.exact import Patch, PatchCost, Progress, Runner
from patchwidget.grids import Grid
from patchwidget.nodes import Node
from patchwidget.rank import Tally, mean_effect, means_of, patched_by, sizes_of
from patchwidget.rank.subsampling import patches_of, sampled
from patchwidget.verify.agreement import Check
from patchwidget.verify.bound import Bound, TooFewRunsError, upper_bounds
from patchwidget.verify.plan import Plan
from patchwidget.verify.settling import Settling, settling
from patchwidget.verify.verification import Verification

GOING_ON = "not by itself: it goes on, or was closed"
ONLY_BOUND = "only a bound was asked for"


@dataclass(frozen=True)
class VerifyProgress(Progress):
    """One step of a verification.

    Attributes:
        report: the state after it.
    """

    report: Verification | None = None


@dataclass(frozen=True)
class _Candidate:
    node: Node
    estimate: float
    size: float
    signed: bool


class Loop:
    """One verification of the nodes of some kinds.

    What is known of these nodes already counts as verified and is not run again, whoever
    ran it: after a loop was closed, another one goes on.

    Args:
        runner: runs patches, and keeps what it found.
        grids: estimates of each kind, by one method.
        plan: when to stop.

    Raises:
        ValueError: if the grids are of several methods or a kind is given twice.
    """

    def __init__(self, runner: Runner, grids: Sequence[Grid], plan: Plan) -> None:
        self._runner, self._grids, self._plan = runner, grids, plan
        every = _candidates(grids)
        moving = set(runner.moving(one.node for one in every))
        self._total, self._nodes = len(every), [one.node for one in every]
        self._ranked = sorted(
            (one for one in every if one.node in moving), key=lambda one: -one.size
        )
        self._checks: dict[Node, Check] = {}
        self._patches = self._bound_runs = 0
        self._bound: Bound | None = None
        self._without_bound = "it is drawn when the patches are done"
        self._why = GOING_ON
        self._started = monotonic()

    def steps(self) -> Iterator[VerifyProgress]:
        """Run it, a layer of a batch at a step."""
        self._started = monotonic()
        until = self._time_for_patches()
        report = self.report()
        yield self._progress(report)
        while (why := self._reason(report, until)) is None:
            with closing(self._runner.steps(self._batch())) as steps:
                for step in steps:
                    self._patches += len(step.found)
                    report = self.report() if step.found else report
                    yield self._progress(report, step)
                    if monotonic() > until:
                        break
        yield from self.bounding(why)

    def bounding(self, why: str = ONLY_BOUND) -> Iterator[VerifyProgress]:
        """Draw random sets of what is not verified; the bound tightens on the way.

        Args:
            why: why no more patches of single nodes are run.
        """
        self._why = why
        plan, nodes = self._plan, self._unverified()
        if not nodes:
            self._without_bound = "none is needed: nothing is unverified"
        elif not plan.bound_runs:
            self._without_bound = "none was asked for (bound_runs=0)"
        else:
            yield from self._drawing(nodes)
        yield self._progress(self.report(), finished=True)

    def bound_cost(self) -> PatchCost:
        """What the runs for the bound would cost now."""
        return self._runner.cost(self._random_sets())

    def report(self) -> Verification:
        """What is verified now, and what is not."""
        checks = self._verified()
        return Verification(
            tuple(grid.kind for grid in self._grids),
            next((grid.by for grid in self._grids if grid.by), None),
            self._grids[0].method,
            checks,
            self._total,
            self._total - len(self._ranked),
            self._patches,
            self._bound_runs,
            self._bound,
            "" if self._bound else self._without_bound,
            self._settling(checks),
            self._why,
        )

    def _verified(self) -> tuple[Check, ...]:
        """Every candidate that is known, by whatever made it known."""
        known = self._runner.known.of()
        for one in self._ranked:
            if one.node not in self._checks and (one.node,) in known:
                exact = mean_effect(known[one.node,])
                check = Check(one.node, one.estimate, one.size, exact, one.signed)
                self._checks[one.node] = check
        return tuple(
            self._checks[one.node] for one in self._ranked if one.node in self._checks
        )

    def _settling(self, checks: Sequence[Check]) -> Settling | None:
        if self._plan.top is None:
            return None
        following = next((one.size for one in self._waiting()), None)
        return settling(checks, following, self._plan.top)

    def _waiting(self) -> Iterator[_Candidate]:
        """What is not verified, in rank order."""
        known = self._runner.known
        return (one for one in self._ranked if (one.node,) not in known)

    def _batch(self) -> list[Patch]:
        """The next patches, as many as run at once."""
        size = self._allowed(self._runner.at_once)
        return [(one.node,) for one in islice(self._waiting(), size)]

    def _allowed(self, wanted: int) -> int:
        """How many more patches the budget has, of some that are wanted."""
        budget = self._plan.patches
        return wanted if budget is None else min(wanted, budget - self._patches)

    def _reason(self, report: Verification, until: float) -> str | None:
        """Why to stop; None to go on."""
        plan = self._plan
        if not report.unverified:
            return "every node that could matter is verified"
        if report.settled:
            return f"the top {plan.top} is settled"
        if plan.patches is not None and self._patches >= plan.patches:
            return f"the budget of {plan.patches} patches is spent"
        if monotonic() > until:
            return f"the budget of {plan.seconds:g} seconds is spent"
        return None

    def _time_for_patches(self) -> float:
        """When patches have to end, so that the bound is done in time too."""
        plan = self._plan
        if plan.seconds is None:
            return float("inf")
        sets = self._random_sets()
        needed = self._runner.cost(sets).seconds if sets else 0.0
        return self._started + plan.seconds - min(needed, plan.seconds / 2)

    def _random_sets(self) -> list[Patch]:
        """What would be run for the bound."""
        plan, waiting = self._plan, self._unverified()
        if not waiting or not plan.bound_runs:
            return []
        sets = patches_of(waiting, plan.bound_runs, plan.share, plan.seed)
        return [one for one in sets if one]

    def _unverified(self) -> list[Node]:
        """What the bound is about, in an order that no estimate decides."""
        waiting = {one.node for one in self._waiting()}
        return [node for node in self._nodes if node in waiting]

    def _drawing(self, nodes: Sequence[Node]) -> Iterator[VerifyProgress]:
        plan, counted = self._plan, 0
        tallies = sampled(
            nodes, self._sets, runs=plan.bound_runs, share=plan.share, seed=plan.seed
        )
        with closing(tallies):
            for tally in tallies:
                if tally.runs > counted:
                    counted = tally.runs
                    self._conclude(nodes, tally)
                yield self._progress(self.report())
                if plan.seconds and monotonic() - self._started > plan.seconds:
                    return

    def _sets(self, patches: Sequence[Patch]) -> Iterator[Mapping[Patch, float]]:
        """Runs of random sets, of which only new ones are counted."""
        steps = patched_by(self._runner)(patches)
        yield next(steps)  # what is known already
        for found in steps:
            self._bound_runs += len(found)
            yield found

    def _conclude(self, nodes: Sequence[Node], tally: Tally) -> None:
        plan = self._plan
        try:
            bounds = upper_bounds(tally, plan.confidence)
        except TooFewRunsError as error:
            self._without_bound = str(error)
            return
        worst = int(np.argmax(bounds))
        self._bound = Bound(
            float(bounds[worst]),
            plan.confidence,
            nodes[worst],
            len(nodes),
            tally.runs,
            plan.share,
        )

    def _progress(
        self,
        report: Verification,
        step: Progress | None = None,
        *,
        finished: bool = False,
    ) -> VerifyProgress:
        done = report.runs
        if finished:
            return VerifyProgress(done, done, (), 1.0, report)
        total = self._planned(report)
        work = done / total
        if self._plan.seconds is not None:
            passed = (monotonic() - self._started) / self._plan.seconds
            work = max(work, min(1.0, passed))
        return VerifyProgress(done, total, step.found if step else (), work, report)

    def _planned(self, report: Verification) -> int:
        """Runs that there will be at the most."""
        goes_on = self._why == GOING_ON
        ahead = self._allowed(report.unverified) if goes_on else 0
        leaves_some = report.unverified > ahead or self._plan.top is not None
        sets = self._plan.bound_runs if leaves_some else 0
        return max(1, report.patches + ahead + sets)


def _candidates(grids: Sequence[Grid]) -> list[_Candidate]:
    """Every node with its estimate, in the order of the grids' cells."""
    if len({grid.method for grid in grids}) != 1:
        raise ValueError("estimates of one method are needed, for one kind at least")
    if len({(grid.kind, grid.by) for grid in grids}) != len(grids):
        raise ValueError("a kind is given twice")
    return [
        _Candidate(node, float(mean), float(size), grid.signed)
        for grid in grids
        for node, mean, size in zip(
            grid.nodes(), means_of(grid), sizes_of(grid), strict=True
        )
    ]
