"""Requests of a page: each gets a reply, at once or after many turns of others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Iterator
from typing import Any

from patchwidget.slices import looking
from patchwidget.widget import answers, circuit_answers, messages
from patchwidget.widget.answers import Answer, Request, Steps
from patchwidget.widget.board import Board
from patchwidget.widget.settings import Settings
from patchwidget.widget.turns import Turn
from patchwidget.widget.verifying import verification

ANSWERS = {**answers.ANSWERS, **circuit_answers.ANSWERS}
STARTS = {messages.VERIFY_START: verification, **circuit_answers.STARTS}


class Answering(Settings):
    """The part of the widget that hears what a page asks for."""

    _board: Board
    _verifying: list[Turn]
    _cancels = 0  # how often what runs was cancelled

    @abstractmethod
    def _pursue(self) -> None:
        """Bring the page to what is asked for."""

    @abstractmethod
    def _retry(self) -> None:
        """Go on with what failed or was cancelled."""

    @abstractmethod
    def _judgement(self, asked: Request) -> list[Turn]:
        """What it takes to judge the picks, or to tell a solution."""

    def _on_message(
        self,
        _: Any,
        content: Any,
        buffers: list[memoryview],  # noqa: ARG002 - the comm's form
    ) -> None:
        problem = messages.request_problem(content)
        if problem is not None:
            self._report_once(problem)
        elif content["kind"] in messages.OF_JOBS:
            self._on_job_message(content)
        else:
            self._jobs.errand(self._answering(content))

    def _on_job_message(self, content: messages.Message) -> None:
        """Cancel and retry are heard at once, also beside a cell that is running."""
        (self.cancel if content["kind"] == messages.JOB_CANCEL else self._retry)()
        self.send(messages.reply(content, {}))

    def _answering(self, content: messages.Message) -> Iterator[None]:
        """Answer a request; what goes wrong on the way is an answer, too."""
        if not self._is_open:
            return
        asked = Request(content, self._board, list(self.selection))
        try:
            if content["kind"] in messages.STARTING:
                answer: Answer = self._start(asked)
            else:
                found = ANSWERS[content["kind"]](asked)
                if isinstance(found, Generator):
                    found = yield from self._while_wanted(found)
                answer = found
        except Exception as error:  # noqa: BLE001 - it goes back to whoever asked
            self.send(messages.failure(content, error))
        else:
            self.send(messages.reply(content, answer[0]), answer[1])

    def _while_wanted(self, steps: Steps) -> Steps:
        """The steps of an answer, until they are cancelled with all that runs."""
        cancels = self._cancels

        def look() -> None:
            if not self._is_open or self._cancels != cancels:
                raise RuntimeError("the answer was cancelled on its way: ask again")

        return looking(steps, look)

    def _start(self, asked: Request) -> Answer:
        """Begin what a page asks for; what it finds comes as traits."""
        if self._side_wanted() is not self._side:
            raise RuntimeError(
                f"the maps of {self.direction} are not there yet: ask when they are"
            )
        turns = STARTS.get(asked.body["kind"], self._judgement)(asked)
        if turns:
            self._verifying = turns
            self._pursue()
        return {}, []
