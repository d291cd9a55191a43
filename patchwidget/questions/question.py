"""A question whose answer is a set of picks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from patchwidget.effects import Effects
from patchwidget.nodes import Node
from patchwidget.questions.reply import Reply
from patchwidget.questions.rules import rule_of
from patchwidget.questions.top import Top
from patchwidget.study import PatchStudy

Answer = Top | Node | str | Iterable[Node | str] | Callable[[Effects], object]


class Question:
    """Something to be found by picking nodes; `PatchWidget.ask` puts it on the page.

    What is picked is judged by exact effects alone: patches that it takes are run.

    Args:
        prompt: the question.
        answer: what is right: `Top(k, kind)`, the largest exact effects of a kind; nodes
            or their names, exactly these; or a function of the picks' exact effects
            (an `Effects`), which returns True, False, or a sentence on what is wrong.
        hints: help, to be unfolded one by one.
        solution: words to show with the answer, which unfolds after the last hint.

    Raises:
        TypeError, ValueError: if a part of it is something else, or the prompt is empty.

    Example:
        >>> from patchwidget import PatchStudy, Question, Top, demo
        >>> question = Question(
        ...     "Which two heads matter most for their outputs?",
        ...     Top(2, "z"),
        ...     hints=["Look at the map of outputs.", "Verify the top 10."],
        ... )
        >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
        >>> question.judge(study, ["L0H1.q"])
        Not yet: L0H1.q is not what is asked for: whole heads' z. 2 are to be found.
    """

    def __init__(
        self,
        prompt: str,
        answer: Answer,
        *,
        hints: Sequence[str] = (),
        solution: str = "",
    ) -> None:
        for name, text in (("prompt", prompt), ("solution", solution)):
            if not isinstance(text, str):
                raise TypeError(f"the {name} of a question is text, got {text!r}")
        if not prompt.strip():
            raise ValueError("a question without words: give a prompt")
        if isinstance(hints, str) or not all(isinstance(one, str) for one in hints):
            raise TypeError(f"hints are a list of texts, got {hints!r}")
        self.prompt, self.hints, self._words = prompt, tuple(hints), solution
        self._rule = rule_of(answer)

    def nodes(self, study: PatchStudy, picks: Iterable[Node | str] = ()) -> list[Node]:
        """The nodes whose exact effects it takes to judge picks.

        Raises:
            ValueError, IndexError, TypeError: if the study does not have what is asked
                for, or picked.
        """
        return list(dict.fromkeys([*study.nodes(picks), *self._rule.nodes(study)]))

    def judge(self, study: PatchStudy, picks: Iterable[Node | str]) -> Reply:
        """Judge picks; exact patches that are not known are run.

        Raises:
            ValueError, IndexError, TypeError: see `nodes`.
            RuntimeError: see `PatchStudy.exact`.
        """
        nodes = list(dict.fromkeys(study.nodes(picks)))
        return self._rule.judge(
            self._effects(study, nodes), nodes, self._rule.nodes(study)
        )

    def solution(self, study: PatchStudy) -> str:
        """The right answer in words; exact patches that are not known are run.

        Raises:
            ValueError, IndexError, RuntimeError: see `judge`.
        """
        wanted = self._rule.nodes(study)
        found = self._rule.solution(self._effects(study, []), wanted)
        words = " ".join(part for part in (found, self._words) if part)
        return (
            words or "There is no one answer: check says whether your picks are right."
        )

    def _effects(self, study: PatchStudy, picks: Sequence[Node]) -> Effects:
        found = study.exact(self.nodes(study, picks))
        assert isinstance(found, Effects)  # noqa: S101 - nodes give Effects
        return found

    def __repr__(self) -> str:
        return f"Question({self.prompt!r})"
