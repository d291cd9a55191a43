"""What a circuit is cut out of, and who makes its runs: a circuit of nodes, or of paths."""

# ruff: noqa: SLF001 - the study's own other half

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, cast

from patchwidget.circuits.kept import Chosen
from patchwidget.circuits.order import Order, order_of
from patchwidget.circuits.parts import Member, parts_of
from patchwidget.circuits.path_members import are_paths, cut_of, paths_in_order
from patchwidget.circuits.path_runner import PathRunner, additive_decoder
from patchwidget.circuits.ranked_paths import RankedPaths, cut_of_grid
from patchwidget.circuits.repair import Repair
from patchwidget.circuits.spending import Runners
from patchwidget.circuits.universe import Parts, universe
from patchwidget.exact import Patch, Runner
from patchwidget.grids import Grid
from patchwidget.nodes import Extent, Node
from patchwidget.pairs import TokenPairs
from patchwidget.paths import Path, PathGrid, Writer
from patchwidget.rank import Ranking
from patchwidget.runs import Direction, Runs
from patchwidget.watch import Watch

Among = Iterable[str] | str | None
Circuit = Iterable[Member] | Member | Iterable[Path] | Path
PathOrder = PathGrid | Iterable[Path] | Path


class Study(Protocol):
    """What questions about circuits need of a study."""

    pairs: TokenPairs
    _runs: Runs
    _runner: Runner
    _watch: Watch
    _budget: int | None
    _repairs: dict[tuple[Patch, str], Repair]
    _path_runners: dict[str | None, PathRunner]

    @property
    def extent(self) -> Extent:
        """How many of everything there are."""
        ...

    @property
    def metric(self) -> str:
        """Name of the main metric."""
        ...

    @property
    def direction(self) -> Direction:
        """Which run the values are put into."""
        ...

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Those that can be had."""
        ...

    def reversed(self) -> Any:
        """The same study in the other direction."""
        ...


Asked = tuple[Chosen[Any, Any], Runners[Any]]
"""A circuit or a ranking, and who makes the runs that it needs."""


def circuit_of(study: Study, circuit: Circuit, among: Among) -> Asked:
    """A circuit as a user names it.

    Raises:
        ValueError, IndexError, TypeError: see `PatchStudy.whole_story`.
    """
    members = _listed(circuit)
    if are_paths(members):
        return _of_paths(study, members, among)
    parts = parts_of(members, study.pairs, study.extent)
    return _of_nodes(study, parts, among)


def ranking_of(
    study: Study, ranking: Order | PathOrder, among: Among, *, absolute: bool
) -> Asked:
    """Parts or paths in the order of a ranking.

    Raises:
        ValueError, IndexError, TypeError: see `PatchStudy.circuit_curve`.
    """
    if isinstance(ranking, PathGrid):
        return _of_grid(study, ranking, among, absolute=absolute)
    if not isinstance(ranking, (Grid, Ranking)):
        members = _listed(cast("Circuit", ranking))
        if are_paths(members):
            return _of_paths(study, members, among)
        ranking = cast("Order", members)
    order = order_of(ranking, study.pairs, study.extent, absolute=absolute)
    return _of_nodes(study, order, among)


def _listed(members: Circuit) -> tuple[Any, ...]:
    is_one = isinstance(members, (Node, Writer, str, Path))
    return (members,) if is_one else tuple(cast("Iterable[Any]", members))


def _of_nodes(study: Study, parts: Sequence[Any], among: Among) -> Asked:
    keys = tuple(parts)
    whole = Parts(universe(keys, among, study.extent))
    return Chosen(keys, keys, whole), node_runners(study)


def _of_paths(study: Study, given: Sequence[Any], among: Among) -> Asked:
    _refuse_kinds(among)
    parallel = additive_decoder(study._runs).weights.layers[0].parallel
    paths = paths_in_order(given, study.pairs.labels, study.extent, parallel=parallel)
    runner = _path_runner(study, cut_of(path.writers[0] for path in paths))
    numbers = tuple(map(runner.wiring.number, paths))
    return Chosen(paths, numbers, runner.wiring), lambda _: runner


def _of_grid(study: Study, grid: PathGrid, among: Among, *, absolute: bool) -> Asked:
    _refuse_kinds(among)
    runner = _path_runner(study, cut_of_grid(grid, study.extent))
    paths = RankedPaths(grid, runner.wiring, absolute=absolute)
    return Chosen(paths, paths.numbers, runner.wiring), lambda _: runner


def _refuse_kinds(among: Among) -> None:
    if among is not None:
        raise ValueError(
            f"among={among!r} names kinds of nodes: a circuit of paths is cut out of all "
            "paths of the model. Leave among out"
        )


def _path_runner(study: Study, by: str | None) -> PathRunner:
    """Who makes runs of circuits of paths that are cut by position, or are not."""
    side = _side(study, "noising")
    if by not in side._path_runners:
        found = PathRunner(side._runs, by, side._watch, side._budget)
        side._path_runners[by] = found
    return side._path_runners[by]


def node_runners(study: Study) -> Callable[[Direction], Runner]:
    """Who patches nodes in either direction."""
    return lambda way: _side(study, way)._runner


def _side(study: Study, way: Direction) -> Study:
    side: Study = study if way == study.direction else study.reversed()
    return side
