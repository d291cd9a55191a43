"""Verification as the page asks for it: the picks, the top of a kind, or all of it."""

from __future__ import annotations

from collections.abc import Iterator

from patchwidget.exact import Progress
from patchwidget.verify import VerifyProgress
from patchwidget.widget.answers import Question, nodes_of
from patchwidget.widget.board import Board
from patchwidget.widget.turns import Turn


def verification(asked: Question) -> list[Turn]:
    """The computations that a `verify.start` asks for.

    Raises:
        ValueError, TypeError, KeyError: if it cannot be told.
    """
    nodes, study = nodes_of(asked), asked.board.side.study
    if asked.body["what"] == "all":
        return _all(asked)
    kind = asked.kind() or "all kinds"
    label = "picks" if asked.body["what"] == "picked" else f"top {len(nodes)} of {kind}"
    return [Turn(len(nodes), lambda: study.steps("exact", nodes), label)]


def _all(asked: Question) -> list[Turn]:
    """Every node in rank order; kinds of different methods have no common ranking."""
    board = asked.board
    estimates, groups = board.side.estimates, dict[str, list[str]]()
    for kind in board.side.kinds(asked.kind()):
        method = estimates.method_for(kind, board.method)
        groups.setdefault(method, []).append(kind)
    return [_group(board, kinds, method) for method, kinds in groups.items()]


def _group(board: Board, kinds: list[str], method: str) -> Turn:
    extent = board.side.study.extent
    size = sum(len(list(extent.nodes(kind))) for kind in kinds)
    return Turn(
        size, lambda: _noted(board, kinds, method), f"verify {', '.join(kinds)}"
    )


def _noted(board: Board, kinds: list[str], method: str) -> Iterator[Progress]:
    """The steps of a verification; its bound goes into the report."""
    side = board.side
    for step in side.study.steps("verify", kinds, method):
        if isinstance(step, VerifyProgress) and step.report is not None:
            side.reports.note(step.report)
            board.note_report()
            board.flush(at_once=False)
        yield step
