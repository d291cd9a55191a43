"""What a study can be asked about circuits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from patchwidget.circuits.curve import (
    MIB_SHARES,
    CircuitCurve,
    circuit_curve,
    curve_circuits,
)
from patchwidget.circuits.interactions import (
    Interactions,
    interaction_need,
    interactions,
)
from patchwidget.circuits.kept import Whole
from patchwidget.circuits.order import Order, order_of
from patchwidget.circuits.parts import Member, Part, parts_of
from patchwidget.circuits.repair import Repair
from patchwidget.circuits.self_repair import SelfRepair
from patchwidget.circuits.spending import Found, Need, price, spend
from patchwidget.circuits.universe import universe
from patchwidget.circuits.whole_story import (
    SUBSETS,
    WholeStory,
    story_circuits,
    whole_story,
)
from patchwidget.exact import Patch, PatchCost, Progress, Runner
from patchwidget.exact.bar import exhaust
from patchwidget.nodes import Extent
from patchwidget.pairs import TokenPairs
from patchwidget.runs import Direction, Runs, computing
from patchwidget.watch import Watch

Members = Iterable[Member] | Member


class _Study(Protocol):
    """What these questions need of a study."""

    pairs: TokenPairs
    _runs: Runs
    _runner: Runner
    _watch: Watch
    _budget: int | None
    _repairs: dict[tuple[Patch, str], Repair]

    @property
    def extent(self) -> Extent: ...

    @property
    def metric(self) -> str: ...

    @property
    def direction(self) -> Direction: ...

    @property
    def directions(self) -> tuple[Direction, ...]: ...

    def reversed(self) -> Any: ...


class Circuits:
    """The part of `PatchStudy` that asks how nodes work together."""

    def interactions(
        self: _Study, nodes: Members, *, metric: str | None = None
    ) -> Interactions:
        """What every two of some nodes do together beyond what each does alone.

        Both directions are run, since each shows half of it: see `circuits.Interactions`.
        Single effects that are known are not run again.

        Args:
            nodes: two or more: nodes, names, or a `Writer` for a whole MLP (`"L3.mlp"`).
            metric: one of `metrics`; None is the first.

        Raises:
            ValueError: if there are not two, one is given twice or overlaps another, or
                the metric is not finite in a run.
            IndexError: if the model has no such node.
            RuntimeError: if the model changed since the study captured its runs.
        """
        parts = _picked(self, nodes)
        need = interaction_need(parts, self.directions)
        return interactions(parts, _found(self, need, metric, "interactions"))

    def self_repair(
        self: _Study, nodes: Members, *, metric: str | None = None
    ) -> Repair:
        """How every later head's direct effect changes when nodes are patched together.

        Values come from where the study's do: the other prompts, or its ablation. Ask
        where the clean run is the base (`direction="noising"`, or a `source`) for what
        makes up for a node that is taken away.

        Args:
            nodes: one or several: nodes, names, or a `Writer` for a whole MLP.
            metric: one of `metrics`; None is the first.

        Raises:
            ValueError: if there is none, one is given twice or overlaps another, a stream
                is patched beside other nodes, heads' writes are normed together
                (post-norm), the decoder does not cover the model, or the metric is not
                finite.
            IndexError: if the model has no such node.
            RuntimeError: if the model changed since the study captured its runs.
        """
        run, name = _repair(self, nodes, metric=metric)
        if (run.patch, name) not in self._repairs:
            exhaust(_repairing(self, run, name), f"self-repair of {run.patch[0]}")
        return self._repairs[run.patch, name]

    def whole_story(
        self: _Study,
        circuit: Members,
        *,
        among: Iterable[str] | str | None = None,
        subsets: int = SUBSETS,
        seed: int = 0,
        metric: str | None = None,
    ) -> WholeStory:
        """How faithful, minimal and complete a circuit is, with all else patched.

        In the noising direction, whichever is the study's: what lies outside gets the
        corrupted run's values, or those of the study's ablation, such as a mean's.

        Args:
            circuit: its members: heads (or their q, k, v or patterns), MLPs (`"L3.mlp"`),
                `"embed"`, `attn_out` or `mlp_out` at positions.
            among: the kinds that it is cut out of, such as `("z", "mlp")`; None is those
                of the members, all of them cut as the members are.
            subsets: how many random parts of the circuit are taken away to see whether it
                is complete; all parts, if there are no more.
            seed: of their drawing.
            metric: one of `metrics`; None is the first.

        Raises:
            ValueError: if there is no member, one is given twice or overlaps another, is
                not of the kinds or cannot be a member; if all parts together change
                nothing, or the metric is not finite in a run.
            IndexError: if the model has no such node.
            RuntimeError: if the model changed since the study captured its runs.
        """
        members, whole = _circuit(self, circuit, among)
        need = whole.need(story_circuits(members, whole, subsets, seed))
        effects = _found(self, need, metric, "the whole story")["noising"]
        return whole_story(members, whole, effects, subsets, seed)

    def circuit_curve(
        self: _Study,
        ranking: Order,
        *,
        among: Iterable[str] | str | None = None,
        absolute: bool = False,
        shares: Sequence[float] = MIB_SHARES,
        metric: str | None = None,
    ) -> CircuitCurve:
        """Faithfulness over the size of circuits, and its areas CPR and CMD.

        Args:
            ranking: a grid, a list of grids, a `Ranking`, or members in order.
            among: see `whole_story`.
            absolute: whether grids rank by size (MIB's CMD) or by signed value (its CPR).
            shares: sizes, as shares of all parts.
            metric: one of `metrics`; None is the first.

        Raises:
            ValueError: see `whole_story`; if a grid has gaps, shares are not ascending, or
                more parts are asked for than are ranked.
            IndexError, RuntimeError: see `whole_story`.
        """
        order, whole = _ranked(self, ranking, among, absolute=absolute)
        need = whole.need(curve_circuits(order, whole, shares))
        effects = _found(self, need, metric, "circuit curve")["noising"]
        return circuit_curve(order, whole, effects, shares)

    def circuit_cost(
        self: _Study, what: str, members: Any, **options: Any
    ) -> PatchCost:
        """What a question about a circuit would cost now, in all directions it needs.

        Args:
            what: `"interactions"`, `"self_repair"`, `"whole_story"` or
                `"circuit_curve"`.
            members: see the method of that name.
            **options: see the method of that name.

        Raises:
            ValueError, IndexError, TypeError: see the method of that name; or if there is
                no such question.
        """
        if what == SELF_REPAIR:
            run, name = _repair(self, members, **options)
            is_known = (run.patch, name) in self._repairs
            return self._runner.price([] if is_known else [run.work])
        return price(_need(self, what, members, options), _runners(self))


def circuit_steps(
    study: _Study, what: str, members: Any, **options: Any
) -> Iterator[Progress]:
    """The steps of one of `QUESTIONS`: what it needs is known when they are exhausted.

    Raises:
        ValueError, IndexError, RuntimeError: see the question's own method.
        TypeError: if the question has no such option.
    """
    if what == SELF_REPAIR:
        return _repairing(study, *_repair(study, members, **options))
    need = _need(study, what, members, options)
    return spend(need, _runners(study), study.direction)


def _need(study: _Study, what: str, members: Any, options: Mapping[str, Any]) -> Need:
    if what not in _NEEDS:
        raise ValueError(
            f"unknown question {what!r}: choose one of {', '.join(QUESTIONS)}"
        )
    return _NEEDS[what](study, members, **options)


def _interactions(study: _Study, nodes: Members) -> Need:
    return interaction_need(_picked(study, nodes), study.directions)


def _whole_story(
    study: _Study,
    circuit: Members,
    *,
    among: Iterable[str] | str | None = None,
    subsets: int = SUBSETS,
    seed: int = 0,
) -> Need:
    members, whole = _circuit(study, circuit, among)
    return whole.need(story_circuits(members, whole, subsets, seed))


def _circuit_curve(
    study: _Study,
    ranking: Order,
    *,
    among: Iterable[str] | str | None = None,
    absolute: bool = False,
    shares: Sequence[float] = MIB_SHARES,
) -> Need:
    order, whole = _ranked(study, ranking, among, absolute=absolute)
    return whole.need(curve_circuits(order, whole, shares))


_NEEDS: Mapping[str, Callable[..., Need]] = {
    "interactions": _interactions,
    "whole_story": _whole_story,
    "circuit_curve": _circuit_curve,
}
SELF_REPAIR = "self_repair"
QUESTIONS = (*_NEEDS, SELF_REPAIR)


def _repair(
    study: _Study, nodes: Members, *, metric: str | None = None
) -> tuple[SelfRepair, str]:
    """A run that reads self-repair, and the metric that it reads."""
    runs = study._runs.reading(metric or study.metric)  # noqa: SLF001 - the study's own other half
    parts = _picked(study, nodes)
    study._watch.check()  # noqa: SLF001 - the same
    with computing():
        return SelfRepair(runs, parts, study._budget), runs.metric.name  # noqa: SLF001 - the same


def _repairing(study: _Study, run: SelfRepair, metric: str) -> Iterator[Progress]:
    watch = study._watch  # noqa: SLF001 - the same
    yield from watch.over(run.steps(watch.check))
    study._repairs[run.patch, metric] = run.found  # noqa: SLF001 - the same


def _circuit(
    study: _Study, circuit: Members, among: Iterable[str] | str | None
) -> tuple[tuple[Part, ...], Whole]:
    members = _picked(study, circuit)
    return members, Whole(universe(members, among, study.extent))


def _ranked(
    study: _Study, ranking: Order, among: Iterable[str] | str | None, *, absolute: bool
) -> tuple[tuple[Part, ...], Whole]:
    order = order_of(ranking, study.pairs, study.extent, absolute=absolute)
    return order, Whole(universe(order, among, study.extent))


def _picked(study: _Study, members: Members) -> tuple[Part, ...]:
    return parts_of(members, study.pairs, study.extent)


def _runners(study: _Study) -> Callable[[Direction], Runner]:
    def runner(way: Direction) -> Runner:
        side = study if way == study.direction else study.reversed()
        found: Runner = side._runner  # noqa: SLF001 - the study's own other half
        return found

    return runner


def _found(study: _Study, need: Need, metric: str | None, label: str) -> Found:
    """What a question needs, run if it was not known."""
    runs = study._runs.reading(metric or study.metric)  # noqa: SLF001 - the same; an unknown name is refused first
    runners = _runners(study)
    exhaust(spend(need, runners, study.direction), label)
    return {way: runners(way).known.of(runs.metric.name) for way in need}
