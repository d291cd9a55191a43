"""A question above the maps: what is picked is judged by exact effects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import traitlets

from patchwidget.exact import Progress
from patchwidget.nodes import Node
from patchwidget.questions import Question
from patchwidget.widget import messages
from patchwidget.widget.answers import Request
from patchwidget.widget.board import Board
from patchwidget.widget.side import Side
from patchwidget.widget.turns import Turn
from patchwidget.widget.verifying import completing
from patchwidget.widget.wire import Record

NOTHING_SAID: Record = {"reply": None, "solution": None}


class Asking(traitlets.HasTraits):
    """The question on show, and what was said of it."""

    question = traitlets.Dict(read_only=True).tag(sync=True)

    _side: Side
    _is_open: bool
    _asked: Question | None = None
    _count = 0

    def _side_wanted(self) -> Side:
        raise NotImplementedError

    def ask(self, question: Question | None) -> None:
        """Show a question above the maps, instead of the one before.

        The person picks nodes and presses check; patches that it takes to judge them are
        run. Hints and the solution unfold one by one.

        Args:
            question: what is asked, or None for nothing.

        Raises:
            TypeError: if it is no `Question`.
            ValueError, IndexError: if the study does not have what is asked for.
            RuntimeError: if the widget is closed.

        Example:
            >>> from patchwidget import PatchStudy, PatchWidget, Question, Top, demo
            >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
            >>> widget = PatchWidget(study)
            >>> question = Question("Which two heads matter most for their values?", Top(2, "v"))
            >>> widget.ask(question)
        """
        if not self._is_open:
            raise RuntimeError("this widget is closed: make a new PatchWidget(study)")
        if question is not None and not isinstance(question, Question):
            raise TypeError(
                f"ask takes a patchwidget.Question, got {question!r}: "
                "Question(prompt, answer)"
            )
        record: Record = {}
        if question is not None:
            question.nodes(self._side_wanted().study)  # refused here, not on a click
            self._count += 1
            record = {
                "id": self._count,
                "prompt": question.prompt,
                "hints": list(question.hints),
                **NOTHING_SAID,
            }
        self._asked = question
        self.set_trait("question", record)

    def _judgement(self, asked: Request) -> list[Turn]:
        """Judge the picks, or tell the solution: at once, or after patches that it takes."""
        question, side = self._asked, self._side
        if question is None or asked.body.get("about") != self._count:
            raise ValueError("this question is not asked any more")
        is_check = asked.body["kind"] == messages.QUESTION_CHECK
        picks = side.study.nodes(asked.picked) if is_check else []
        known = side.study.verified
        new = [node for node in question.nodes(side.study, picks) if node not in known]

        def tell() -> None:
            if is_check:
                reply = question.judge(side.study, picks)
                names = list(map(str, picks))
                said = {"right": reply.right, "words": reply.words, "picks": names}
                self._say(question, side, reply=said)
            else:
                self._say(question, side, solution=question.solution(side.study))

        if not new:
            tell()
            return []
        label = (
            f"exact effects of {len(new)} nodes, to {'check' if is_check else 'solve'}"
        )
        board = asked.board
        return [Turn(len(new), lambda: _after(board, side, new, tell), label)]

    def _say(self, question: Question, side: Side, **said: Any) -> None:
        """Unless another question is asked by now, or another direction is on show."""
        if question is self._asked and side is self._side:
            self.set_trait("question", self.question | said)

    @traitlets.observe("study")
    def _on_study(self, change: dict[str, Any]) -> None:
        """What was said was said of the direction of before."""
        if not self.question:
            return
        if change["old"]["direction"] != change["new"]["direction"]:
            self.set_trait("question", self.question | NOTHING_SAID)


def _after(
    board: Board, side: Side, nodes: list[Node], tell: Callable[[], None]
) -> Iterator[Progress]:
    """The exact patches of nodes, what can be told from them, and what picks lack."""
    yield from side.study.steps("exact", nodes)
    tell()
    yield from completing(board, Progress(len(nodes), len(nodes)))
