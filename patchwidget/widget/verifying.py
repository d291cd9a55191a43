"""Verification as the page asks for it: picks, the top of a kind, all of it, a bound."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from functools import partial
from typing import Any, cast

from patchwidget.exact import Progress
from patchwidget.grids import Grid
from patchwidget.nodes import Node
from patchwidget.paths import Path, PathGrid, Writer
from patchwidget.rank import Ranking
from patchwidget.study import PatchStudy
from patchwidget.verify import Plan, VerifyProgress, stepwise
from patchwidget.widget.answers import Request, groups_of, nodes_of
from patchwidget.widget.board import Board
from patchwidget.widget.side import Side
from patchwidget.widget.turns import Turn

_SINGLE = (str, Node, Writer, Path)
_RANKED = (Grid, PathGrid, Ranking)
_ONE = (*_SINGLE, *_RANKED)  # what is not a list of things to ask about


def exactly(board: Board, side: Side, nodes: Sequence[Node]) -> Iterator[Progress]:
    """Exact patches of nodes, and then what the picks lack to be shown.

    In this order whoever stops in the middle of long estimates keeps the exact effects.
    """
    if nodes:
        yield from side.study.steps("exact", nodes)
    yield from completing(board, Progress(len(nodes), len(nodes)))


def completing(board: Board, so_far: Progress) -> Iterator[Progress]:
    """The estimates that picks are shown beside, slice by slice: then they are shown.

    Args:
        board: what the page shows.
        so_far: told at each slice; its work is 0, since nobody can tell how long it takes.
    """
    side, method = board.side, board.method
    for kind, by in board.lacking():
        for _ in side.estimates.making(kind, method, by):
            yield so_far
        board.flush(at_once=True)  # a quick one does not wait for those that take long
    board.flush(at_once=True)


def verification(asked: Request) -> list[Turn]:
    """The computations that a `verify.start` asks for.

    Raises:
        ValueError, TypeError, KeyError: if it cannot be told.
    """
    if asked.body["what"] == "bound":
        return [_bound(asked.board, *one) for one in groups_of(asked)]
    nodes, board = nodes_of(asked), asked.board
    if asked.body["what"] == "all":
        return [_all(asked.board, *one) for one in groups_of(asked)]
    kind = asked.kind() or "all kinds"
    label = "picks" if asked.body["what"] == "picked" else f"top {len(nodes)} of {kind}"
    return [Turn(len(nodes), partial(exactly, board, board.side, nodes), label)]


def named(study: PatchStudy, what: str, nodes: Any, *args: Any, **kwargs: Any) -> Turn:
    """A computation as `PatchStudy.steps` is asked for it.

    Raises:
        ValueError, TypeError, IndexError: if it can be told before anything is run.
    """
    if not isinstance(nodes, _ONE):
        nodes = [one if isinstance(one, _ONE) else list(one) for one in nodes]
    if isinstance(nodes, _SINGLE):
        label = f"{what} {nodes}"
    elif isinstance(nodes, _RANKED):
        label = f"{what} of a ranking"
    else:
        label = f"{what}, {len(nodes)} asked for"
    if what in ("verify", "bound"):  # estimates come first: the size shows after them
        return Turn(0, lambda: stepwise(study, what, nodes, *args, **kwargs), label)
    steps = study.steps(what, nodes, *args, **kwargs)
    size = next(steps).total
    cast("Generator[Progress]", steps).close()
    return Turn(size, lambda: study.steps(what, nodes, *args, **kwargs), label)


def _all(board: Board, kinds: list[str], method: str) -> Turn:
    """Every node in rank order."""
    extent = board.side.study.extent
    size = sum(len(list(extent.nodes(kind))) for kind in kinds)
    label = f"verify {', '.join(kinds)}"
    return Turn(size, lambda: _noted(board, "verify", kinds, method), label)


def _bound(board: Board, kinds: list[str], method: str) -> Turn:
    """Random sets of what is not verified."""
    label = f"bound on {', '.join(kinds)}"
    return Turn(Plan().bound_runs, lambda: _noted(board, "bound", kinds, method), label)


def _noted(
    board: Board, what: str, kinds: list[str], method: str
) -> Iterator[Progress]:
    """The steps of a verification; its bound goes into the report."""
    side = board.side
    for step in stepwise(side.study, what, kinds, method):
        if isinstance(step, VerifyProgress) and step.report is not None:
            side.reports.note(step.report)
            board.note_report()
            board.flush(at_once=False)
        yield step
