"""What a study can be asked about trust: to verify, and to rank by runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from patchwidget.exact import PatchCost, Patches, Progress, Runner
from patchwidget.exact.bar import exhaust
from patchwidget.grids import Grid
from patchwidget.nodes import Node
from patchwidget.rank import RANKINGS, Ranking, mean_effect, patched_by, ranking_of
from patchwidget.runs import Runs
from patchwidget.slices import Slices
from patchwidget.verify.agreement import Check
from patchwidget.verify.diagnosis import Diagnosis, diagnosing
from patchwidget.verify.loop import Loop
from patchwidget.verify.plan import Plan
from patchwidget.verify.verification import Verification
from patchwidget.watch import Watch

Kinds = str | Iterable[str]


class _Study(Protocol):
    """What these questions need of a study."""

    _runner: Runner
    _runs: Runs
    _watch: Watch

    def nodes(self, what: Node | str) -> list[Node]: ...

    def estimate(
        self, kind: str, method: str = "atp", *, by: str | None = None
    ) -> Grid: ...

    def estimating(self, kind: str, method: str, *, by: str | None) -> Slices[Grid]: ...

    def diagnosing(
        self, node: Node | str, method: str = "atp"
    ) -> Iterator[Diagnosis]: ...

    def steps(
        self,
        what: str,
        nodes: Any,
        method: str = "atp",
        *,
        by: str | None = None,
        **plan: Any,
    ) -> Iterator[Progress]: ...

    def _patches(self, what: str, by: str | None, window: int | None) -> Patches: ...


class Verifying:
    """The part of `PatchStudy` that checks estimates."""

    def verify(
        self: _Study,
        kind: Kinds,
        method: str = "atp",
        *,
        by: str | None = None,
        **plan: Any,
    ) -> Verification:
        """Check estimates by exact patches in rank order, and bound what is left.

        It stops when the top is settled, a budget is spent, or every node is verified;
        then random sets of what is left are run for the bound. What is known already is
        not run again: calling again goes on.

        Args:
            kind: a kind, or several whose nodes are ranked in one list.
            method: the estimate that ranks them.
            by: see `estimate`.
            **plan: `top`, `patches`, `seconds`, `confidence`, `bound_runs`, `share` and
                `seed`: see `verify.Plan`.

        Raises:
            ValueError: if a kind or the method is unknown, or a value is out of range.
            TypeError: if the plan has no such part.
            RuntimeError: if the model changed since the study captured its runs.

        Example:
            >>> from patchwidget import PatchStudy, demo
            >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
            >>> study.verify(["z", "v"], by="pos", top=3, bound_runs=0).settled
            True
        """
        kinds = _kinds(kind)
        loop = loop_of(self, kinds, method, by=by, **plan)
        exhaust(loop.steps(), f"verify {', '.join(kinds)}")
        return loop.report()

    def bound_cost(
        self: _Study,
        kind: Kinds,
        method: str = "atp",
        *,
        by: str | None = None,
        **plan: Any,
    ) -> PatchCost:
        """What `steps("bound", ...)` would cost now: the runs of random sets.

        Raises:
            ValueError, TypeError, RuntimeError: see `verify`.
        """
        return loop_of(self, kind, method, by=by, **plan).bound_cost()

    def rank(
        self: _Study,
        kind: Kinds,
        method: str = "atp",
        *,
        by: str | None = None,
        **options: Any,
    ) -> Ranking:
        """Nodes in the order in which a method would look at them, and what that cost.

        Args:
            kind: a kind, or several whose nodes are ranked in one list.
            method: an estimate, or a ranking that spends exact patches: `"subsampling"`,
                `"blocks"`, `"hierarchical"`, `"random"`. These leave out the nodes at
                which base and source have the same value: they have no effect.
            by: see `estimate`.
            **options: the ranking's own, such as `runs` and `seed`: see `patchwidget.rank`.

        Raises:
            ValueError: see `verify`; or if no node can have an effect.
            TypeError: if the ranking has no such option.
        """
        kinds = _kinds(kind)
        if method not in RANKINGS:
            return ranking_of(
                *(self.estimate(one, method, by=by) for one in kinds), **options
            )
        nodes = [patch[0] for one in kinds for patch in self._patches(one, by, None)]
        moving = self._runner.moving(nodes)
        steps = RANKINGS[method](moving, patched_by(self._runner), **options)
        (last,) = deque(steps, maxlen=1)
        return last

    def moving(self: _Study, kind: str, *, by: str | None = None) -> list[Node]:
        """The nodes of a kind that can have an effect: base and source differ there.

        Raises:
            ValueError: if the kind is unknown, cannot be cut that way, or is not in this
                model.
        """
        return self._runner.moving(patch[0] for patch in self._patches(kind, by, None))

    def diagnose(self: _Study, node: Node | str, method: str = "atp") -> Diagnosis:
        """Causes that a node's miss is consistent with; its patch is run if it was not.

        Raises:
            ValueError: if the name is not a node's, or the method is unknown.
            IndexError: if the model has no such node.
            RuntimeError: if the model changed since the study captured its runs.
        """
        (last,) = deque(self.diagnosing(node, method), maxlen=1)
        return last

    def diagnosing(
        self: _Study, node: Node | str, method: str = "atp"
    ) -> Iterator[Diagnosis]:
        """`diagnose` step by step: what is found so far.

        Raises:
            ValueError, IndexError, RuntimeError: see `diagnose`.
        """
        (one,) = self.nodes(node)
        grid = self.estimate(one.kind, method, by=one.by)
        self._runner.finish([(one,)], f"exact {one}")
        cell: tuple[Any, ...] = (slice(None), *one.cell)
        shown = grid.shown[cell]
        check = Check(
            one,
            float(shown.mean()),
            float(shown.abs().mean()),
            mean_effect(self._runner.known.of()[one,]),
            grid.signed,
        )
        yield from self._watch.over(diagnosing(self._runs, check))


def loop_of(
    study: _Study, kind: Kinds, method: str, *, by: str | None, **plan: Any
) -> Loop:
    """A verification of a study that has not begun.

    Raises:
        ValueError, TypeError, RuntimeError: see `Verifying.verify`.
    """
    asked = Plan(**plan)
    grids = [study.estimate(one, method, by=by) for one in _kinds(kind)]
    return Loop(study._runner, grids, asked)  # noqa: SLF001 - the study's own other half


def stepwise(
    study: _Study,
    what: str,
    kind: Kinds,
    method: str = "atp",
    *,
    by: str | None = None,
    **plan: Any,
) -> Iterator[Progress]:
    """A verification, or its bound, that makes its estimates step by step, too.

    Args:
        study: what is verified.
        what: `"verify"` or `"bound"`.
        kind: see `Verifying.verify`.
        method: see `Verifying.verify`.
        by: see `Verifying.verify`.
        **plan: see `Verifying.verify`.

    Raises:
        ValueError, TypeError, RuntimeError: see `Verifying.verify`.
    """
    Plan(**plan)  # refused before anything is computed
    kinds = _kinds(kind)
    for one in kinds:
        yield Progress(0, 0)
        # Kept by the study, which asks again.
        for _ in study.estimating(one, method, by=by):
            yield Progress(0, 0)
    yield Progress(0, 0)
    yield from study.steps(what, kinds, method, by=by, **plan)


def _kinds(kind: Kinds) -> tuple[str, ...]:
    kinds = (kind,) if isinstance(kind, str) else tuple(kind)
    if not kinds:
        raise ValueError("no kind is given to be ranked")
    return kinds
