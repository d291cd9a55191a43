"""What a study can be asked about circuits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from patchwidget.circuits.asked import (
    Among,
    Circuit,
    PathOrder,
    Study,
    circuit_of,
    node_runners,
    ranking_of,
)
from patchwidget.circuits.curve import (
    MIB_SHARES,
    CircuitCurve,
    circuit_curve,
    curve_runs,
)
from patchwidget.circuits.interactions import (
    Interactions,
    interaction_need,
    interactions,
)
from patchwidget.circuits.order import Order
from patchwidget.circuits.parts import Member, Part, parts_of
from patchwidget.circuits.repair import Repair
from patchwidget.circuits.self_repair import SelfRepair
from patchwidget.circuits.spending import Need, Run, Runners, price, spend
from patchwidget.circuits.whole_story import (
    SUBSETS,
    WholeStory,
    story_runs,
    whole_story,
)
from patchwidget.effects import Effect
from patchwidget.exact import PatchCost, Progress
from patchwidget.exact.bar import exhaust
from patchwidget.runs import Direction, computing

Members = Iterable[Member] | Member


class Circuits:
    """The part of `PatchStudy` that asks how nodes work together."""

    def interactions(
        self: Study, nodes: Members, *, metric: str | None = None
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
        name = _metric(self, metric)
        parts = _picked(self, nodes)
        need = interaction_need(parts, self.directions)
        runners = node_runners(self)
        return interactions(parts, _found(self, need, runners, name, "interactions"))

    def self_repair(
        self: Study, nodes: Members, *, metric: str | None = None
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
        self: Study,
        circuit: Circuit,
        *,
        among: Among = None,
        subsets: int = SUBSETS,
        seed: int = 0,
        metric: str | None = None,
    ) -> WholeStory:
        """How faithful, minimal and complete a circuit is, with all else patched.

        In the noising direction, whichever is the study's: what lies outside gets the
        corrupted run's values, or those of the study's ablation, such as a mean's.

        A circuit of paths is cut out of all paths of the model: who reads takes in what
        the ablated run has there, and what the circuit's paths bring; see
        `circuits.wiring`. That needs the decoder.

        Args:
            circuit: its members: heads (or their q, k, v or patterns), MLPs (`"L3.mlp"`),
                `"embed"`, `attn_out` or `mlp_out` at positions; or paths and their names
                (`"L1H0 -> L2H1.v"`), all of all positions or each of one.
            among: the kinds that it is cut out of, such as `("z", "mlp")`; None is those
                of the members, all of them cut as the members are. Not for paths.
            subsets: how many random parts of the circuit are taken away to see whether it
                is complete; all parts, if there are no more.
            seed: of their drawing.
            metric: one of `metrics`; None is the first.

        Raises:
            ValueError: if there is no member, one is given twice or overlaps another, is
                not of the kinds or cannot be a member; if a path runs backwards, or is
                named beside nodes; for paths where the decoder does not cover the model,
                or heads write through a post-norm; if all parts together change nothing,
                or the metric is not finite in a run.
            IndexError: if the model has no such node, or end of a path.
            RuntimeError: if the model changed since the study captured its runs.

        Example:
            >>> from patchwidget import PatchStudy, demo
            >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs(order="BABA"))
            >>> paths = ["L2H1 -> L4H0.q", "L2H1 -> L4H1.q", "L4H0 -> final"]
            >>> found = study.whole_story(paths, subsets=0)
            >>> len(found.members), found.n_parts
            (3, 2461)
        """
        name = _metric(self, metric)
        chosen, runners = circuit_of(self, circuit, among)
        runs = story_runs(chosen, subsets, seed)
        need = chosen.whole.need(runs.every)
        found = _found(self, need, runners, name, "the whole story")
        return whole_story(chosen, runs, found["noising"])

    def circuit_curve(
        self: Study,
        ranking: Order | PathOrder,
        *,
        among: Among = None,
        absolute: bool = False,
        shares: Sequence[float] = MIB_SHARES,
        metric: str | None = None,
    ) -> CircuitCurve:
        """Faithfulness over the size of circuits, and its areas CPR and CMD.

        Args:
            ranking: a grid, a list of grids, a `Ranking`, or members in order; of paths a
                `PathGrid`, such as `paths()`, or paths in order.
            among: see `whole_story`.
            absolute: whether grids rank by size (MIB's CMD) or by signed value (its CPR).
            shares: sizes, as shares of all parts.
            metric: one of `metrics`; None is the first.

        Raises:
            ValueError: see `whole_story`; if a grid has gaps, shares are not ascending, or
                more parts are asked for than are ranked.
            IndexError, RuntimeError: see `whole_story`.
        """
        name = _metric(self, metric)
        chosen, runners = ranking_of(self, ranking, among, absolute=absolute)
        runs = curve_runs(chosen, shares)
        need = chosen.whole.need(runs)
        found = _found(self, need, runners, name, "circuit curve")
        return circuit_curve(chosen, runs, found["noising"], shares)

    def circuit_cost(self: Study, what: str, members: Any, **options: Any) -> PatchCost:
        """What a question about a circuit would cost now, in all directions it needs.

        Args:
            what: `"interactions"`, `"self_repair"`, `"whole_story"` or
                `"circuit_curve"`.
            members: see the method of that name.
            **options: see the method of that name.

        Raises:
            ValueError, IndexError, TypeError, RuntimeError: see the method of that name;
                or if there is no such question.
        """
        if what == SELF_REPAIR:
            run, name = _repair(self, members, **options)
            is_known = (run.patch, name) in self._repairs
            return self._runner.price([] if is_known else [run.work])
        return price(*_need(self, what, members, options))


def circuit_steps(
    study: Study, what: str, members: Any, **options: Any
) -> Iterator[Progress]:
    """The steps of one of `QUESTIONS`: what it needs is known when they are exhausted.

    Raises:
        ValueError, IndexError, RuntimeError: see the question's own method.
        TypeError: if the question has no such option.
    """
    if what == SELF_REPAIR:
        return _repairing(study, *_repair(study, members, **options))
    return spend(*_need(study, what, members, options), study.direction)


Needed = tuple[Need[Any], Runners[Any]]


def _need(study: Study, what: str, members: Any, options: Mapping[str, Any]) -> Needed:
    """The runs that a question needs, and who makes them."""
    if what not in _NEEDS:
        raise ValueError(
            f"unknown question {what!r}: choose one of {', '.join(QUESTIONS)}"
        )
    return _NEEDS[what](study, members, **options)


def _interactions(study: Study, nodes: Members) -> Needed:
    need = interaction_need(_picked(study, nodes), study.directions)
    return need, node_runners(study)


def _whole_story(
    study: Study,
    circuit: Circuit,
    *,
    among: Among = None,
    subsets: int = SUBSETS,
    seed: int = 0,
) -> Needed:
    chosen, runners = circuit_of(study, circuit, among)
    return chosen.whole.need(story_runs(chosen, subsets, seed).every), runners


def _circuit_curve(
    study: Study,
    ranking: Order | PathOrder,
    *,
    among: Among = None,
    absolute: bool = False,
    shares: Sequence[float] = MIB_SHARES,
) -> Needed:
    chosen, runners = ranking_of(study, ranking, among, absolute=absolute)
    return chosen.whole.need(curve_runs(chosen, shares)), runners


_NEEDS: Mapping[str, Callable[..., Needed]] = {
    "interactions": _interactions,
    "whole_story": _whole_story,
    "circuit_curve": _circuit_curve,
}
SELF_REPAIR = "self_repair"
QUESTIONS = (*_NEEDS, SELF_REPAIR)


def _repair(
    study: Study, nodes: Members, *, metric: str | None = None
) -> tuple[SelfRepair, str]:
    """A run that reads self-repair, and the metric that it reads."""
    runs = study._runs.reading(_metric(study, metric))  # noqa: SLF001 - the study's own other half
    parts = _picked(study, nodes)
    study._watch.check()  # noqa: SLF001 - the same
    with computing():
        return SelfRepair(runs, parts, study._budget), runs.metric.name  # noqa: SLF001 - the same


def _repairing(study: Study, run: SelfRepair, metric: str) -> Iterator[Progress]:
    watch = study._watch  # noqa: SLF001 - the same
    yield from watch.over(run.steps(watch.check))
    study._repairs[run.patch, metric] = run.found  # noqa: SLF001 - the same


def _picked(study: Study, members: Members) -> tuple[Part, ...]:
    return parts_of(members, study.pairs, study.extent)


def _metric(study: Study, metric: str | None) -> str:
    """A metric's name, of the main one for None; an unknown one is refused first."""
    name = metric or study.metric
    return study._runs.reading(name).metric.name  # noqa: SLF001 - the same


def _found(
    study: Study, need: Need[Run], runners: Runners[Run], metric: str, label: str
) -> Mapping[Direction, Mapping[Run, Effect]]:
    """What a question needs, run if it was not known."""
    exhaust(spend(need, runners, study.direction), label)
    return {way: runners(way).known.of(metric) for way in need}
