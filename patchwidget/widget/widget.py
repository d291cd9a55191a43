"""The widget: shows a study, and answers a pick on screen with the exact patch.

- The study is the whole of the science; the widget only shows it.
- Kernel-owned traits say what is studied and what is known: `study`, `grids`, `mine`,
  `verified`, `report`, `circuit`, `question`, `job`. The page reads them.
- View-owned traits (`settings.Settings`) say what is looked at. The page writes them,
  Python may too: a pick on screen and a selection set in a cell are one event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from time import monotonic
from typing import Any

import traitlets

from patchwidget.effects import Effect
from patchwidget.exact import Progress
from patchwidget.nodes import Node
from patchwidget.saving import SavedStudy
from patchwidget.study import PatchStudy
from patchwidget.widget import messages
from patchwidget.widget.answering import Answering
from patchwidget.widget.asking import Asking
from patchwidget.widget.board import Board
from patchwidget.widget.bundle import bundled
from patchwidget.widget.comparing import Comparing
from patchwidget.widget.estimates import LABELS
from patchwidget.widget.jobs import Job, Jobs, running_loop
from patchwidget.widget.page import weakly
from patchwidget.widget.settings import VIEW_OWNED
from patchwidget.widget.sharing import Sharing
from patchwidget.widget.side import Side
from patchwidget.widget.turns import Turn, in_turn
from patchwidget.widget.verifying import exactly, named

PROGRESS_EVERY_S = 0.1


def _nothing() -> None:
    """Undo a subscription that there is not."""


class PatchWidget(Asking, Comparing, Sharing, Answering):
    """A study in a notebook: estimates of every node, exact effects of the picked ones.

    Args:
        study: a `PatchStudy`, or one that was loaded from a file; or a study's own
            arguments, from which one is made.
        *args: see `PatchStudy`.
        mine: tensors of your own by kind, see `compare`.
        **kwargs: `selection`, `shown`, `pair`, `method`, `direction`, `kind`, `names`,
            `folds` and `wide` set those attributes; all others, and the direction where
            no study is given, are `PatchStudy`'s.

    Attributes:
        selection: names of the picked nodes. Setting it, as picking on screen, fires
            their exact patches.
        method: the estimate that is shown, see `PatchStudy.estimate`; kinds that it does
            not give are shown by `"atp"`. Setting it estimates anew.
        direction: `"denoising"` or `"noising"`. Setting it shows `study.reversed()`.
        shown: `"estimate"`, `"exact"`, `"known"` (exact where known), `"miss"`, `"mine"`
            or `"mine_miss"` (see `compare`).
        pair: the pair whose prompt and attention are shown; -1 is the mean.
        kind: the kind that scatter and ranking are about; empty for all.
        names: your names of heads: `{"L9H9": "name mover"}`.
        folds: parts of the page that are folded away, of `"prompt"`, `"grids"`, `"row"`,
            `"neurons"`, `"scatter"`, `"ranking"`, `"picks"`, `"attention"` and
            `"circuit"`; at first `"row"`, `"neurons"` and `"circuit"`, whose estimates
            are made when they are opened.
        wide: whether it takes all the width of the page.
        verified: what is known exactly, by node name.
        report: by kind, how the method agrees with what is verified, and the bound.
        circuit: paths that were verified on the page, and what was asked there about the
            picks together, `interactions`, `repair` and `story`, or about these paths,
            `path_story`.
        mine, question: what you gave to `compare`, and to `ask` with what was said of it.
        job: what is being computed.

    Raises:
        TypeError: if a study is given and arguments for another one.
        ValueError, IndexError: if a setting is not possible in this study.

    Example:
        >>> from patchwidget import PatchStudy, PatchWidget, demo
        >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
        >>> widget = PatchWidget(study, method="atp_qk")
        >>> widget.selection = ["L0H0.q"]
        >>> sorted(widget.verified)
        ['L0H0.q']
    """

    _esm = bundled("widget.js")
    _css = bundled("widget.css")

    study = traitlets.Dict(read_only=True).tag(sync=True)
    grids = traitlets.Dict(read_only=True).tag(sync=True)
    verified = traitlets.Dict(read_only=True).tag(sync=True)
    report = traitlets.Dict(read_only=True).tag(sync=True)
    circuit = traitlets.Dict(read_only=True).tag(sync=True)
    job = traitlets.Dict(read_only=True).tag(sync=True)

    def __init__(
        self,
        study: Any,
        *args: Any,
        mine: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        is_made = isinstance(study, (PatchStudy, SavedStudy))
        ours = {"direction"} if is_made else set()
        ours |= set(VIEW_OWNED) - {"direction"}
        settings = {name: kwargs.pop(name) for name in ours & set(kwargs)}
        if not is_made:
            study = PatchStudy(study, *args, **kwargs)
        elif args or kwargs:
            raise TypeError("a PatchStudy is given: it has its arguments already")
        self._told = monotonic()
        self._unsubscribe: Callable[[], None] = _nothing
        self._verifying: list[Turn] = []  # asked for, and not finished
        self._given_up: list[Turn] = []
        self._under_way: list[Turn] = []
        self._sides: dict[str, Side] = {}
        self._side = self._side_of(study)
        self._jobs = Jobs(
            running_loop(), self._on_state, self._on_progress, weakly(self.cancel)
        )
        for name, value in {"direction": study.direction, **settings}.items():
            self.set_trait(name, value)
        self._take_mine({} if mine is None else mine)
        # Everything is known before the page hears of the widget: one message opens it.
        self._board = Board(self._side, self.method, self._tell, lambda: self.selection)
        self._show(self._side_wanted())
        self.set_trait("job", asdict(Job()))
        super().__init__()
        self.on_msg(self._on_message)
        if self.selection:
            self._pursue()

    def start(self, what: str, nodes: Any, *args: Any, **kwargs: Any) -> None:
        """Run a long computation between the notebook's cells, and return at once.

        The newest one wins: what was started before stops, and keeps what it finished.

        Args:
            what: `"exact"`, `"verify"`, `"bound"` or `"joint"`.
            nodes: see `PatchStudy.steps`.
            *args: see `PatchStudy.steps`.
            **kwargs: see `PatchStudy.steps`.

        Raises:
            ValueError, TypeError, IndexError: see `PatchStudy.steps`; of what only shows
                once it runs, `job` and `settled` tell.
            RuntimeError: if the widget is closed.
        """
        self._want(what, nodes, *args, **kwargs)
        self._pursue()

    def run(self, what: str, nodes: Any, *args: Any, **kwargs: Any) -> None:
        """Run a long computation to its end, with a bar: see `start`.

        An interrupt stops it; what was finished is kept, here and on the page.

        Raises:
            RuntimeError: if the widget is closed, or the job is cancelled from the page.
            Exception: whatever the computation raises, see `PatchStudy.steps`.
        """
        self._want(what, nodes, *args, **kwargs)
        self._under_way = self._turns() + self._verifying
        try:
            self._jobs.run(lambda: self._steps(self._under_way), self._label())
        except BaseException:
            self._take_back()
            raise

    async def settled(self) -> None:
        """Wait until what was asked for has run; an interrupt stops it.

        Raises:
            RuntimeError: if it failed, with the reason.
        """
        await self._jobs.settled()

    def cancel(self) -> None:
        """Stop what is running; effects that are finished stay, settings go back.

        What the page waits for is refused, and can be asked for again.
        """
        self._cancels += 1
        self._jobs.cancel()
        self._jobs.soon(self._take_back)

    def close(self) -> None:
        """Stop what is running and leave the notebook, with what it holds in memory."""
        # ipywidgets closes once more when it collects a widget, even a half-made one.
        if self._is_open:
            self._jobs.cancel()
            self._jobs.drop_errands()
            self._is_open, self._is_closed = False, True
            self._unsubscribe()
            self._unsubscribe = _nothing  # it knows the study
            self._sides, self._verifying, self._given_up = {}, [], []
            self._under_way = []
            del self._side, self._board
        super().close()

    def verify(self) -> None:
        """Run the exact patches of the picks that are not known yet, or once more.

        Picking does so by itself; after a failure or a cancelled job this tries again.
        """
        self._pursue()

    def _want(self, what: str, nodes: Any, *args: Any, **kwargs: Any) -> None:
        """What is asked for now, instead of what was asked for before."""
        if not self._is_open:
            raise RuntimeError("this widget is closed: make a new PatchWidget(study)")
        self._verifying = [
            named(self._side_wanted().study, what, nodes, *args, **kwargs)
        ]

    def _retry(self) -> None:
        """Go on with what failed or was cancelled."""
        self._verifying = self._given_up
        self._pursue()

    @traitlets.observe("method", "direction")
    def _on_setting(self, _: dict[str, Any]) -> None:
        if self._is_open:
            # They are in the order, or of the study, of before.
            self._verifying, self._given_up = [], []
            offered = self._side_wanted().estimates.methods
            # A study without its model may know other methods in the other direction.
            if offered and self.method not in offered:
                self._quietly(method=next(iter(offered)))
            self._pursue()

    @traitlets.observe("selection")
    def _on_selection(self, _: dict[str, Any]) -> None:
        self._pursue()

    def _pursue(self) -> None:
        """Bring the page to what is asked for, by a job if anything is to be computed."""
        if not self._is_open:
            return
        self._board.reveal(self._side.study.nodes(self.selection))
        turns = self._turns()
        if not turns and self._verifying and self._is_under_way(self._verifying):
            return
        turns += self._verifying
        if turns:
            self._under_way = turns
            self._jobs.start(lambda: self._steps(turns), self._label())
        else:
            self._jobs.cancel()

    def _label(self) -> str:
        return ", then ".join(turn.label for turn in self._under_way)

    def _is_under_way(self, turns: list[Turn]) -> bool:
        is_part = turns == self._under_way[-len(turns) :]
        return is_part and self.job["state"] == "running"

    def _turns(self) -> list[Turn]:
        """What has to be shown: picks first, since somebody waits for them."""
        side = self._side_wanted()
        if side is not self._side:
            return [self._showing(side), *self._picks(side)]
        if self.method != self._board.method:
            return [*self._picks(side), self._showing(side)]
        return self._picks(side)

    def _picks(self, side: Side) -> list[Turn]:
        """Exact patches of the picks that are not known, and what picks lack."""
        known = side.study.verified
        new = [node for node in side.study.nodes(self.selection) if node not in known]
        is_shown = side is self._side and self.method == self._board.method
        if not new and not (is_shown and self._board.lacking()):
            return []
        names = ", ".join(map(str, new[:3])) + (" ..." if new[3:] else "")
        label = names or f"estimates: {LABELS[self.method]}"
        return [Turn(len(new), lambda: self._patching(side, new), label)]

    def _patching(self, side: Side, nodes: list[Node]) -> Iterator[Progress]:
        """Exact patches, and estimates unless they come next, by another method."""
        if self.method == self._board.method:
            return exactly(self._board, side, nodes)
        return side.study.steps("exact", nodes)

    def _showing(self, side: Side) -> Turn:
        """Estimates by the chosen method, and then all of the study anew."""
        size = len(self._board.wanted(side))
        other = "" if side is self._side else f", {side.study.direction}"
        label = f"estimates: {LABELS[self.method]}{other}"
        return Turn(size, lambda: self._estimating(side), label)

    def _estimating(self, side: Side) -> Iterator[Progress]:
        cuts = self._board.wanted(side)  # of the picks that are known by now
        yield from side.estimating(cuts, self.method)
        self._show(side)

    def _steps(self, turns: list[Turn]) -> Iterator[Progress]:
        try:
            yield from in_turn(turns)
            self._verifying = []
        except GeneratorExit:
            raise  # a newer job goes on with what was wanted
        except BaseException:
            self._take_back()
            raise

    def _show(self, side: Side) -> None:
        """Show a study by the chosen method, and hear of what it finds."""
        self._unsubscribe()
        self._unsubscribe = side.study.subscribe(weakly(self._learn))
        self._side = side
        self._board.show(side, self.method)

    def _take_back(self) -> None:
        """Settings that nothing was computed for go back to what is on show."""
        if not self._is_open:
            return
        self._given_up, self._verifying = self._verifying, []
        self._board.give_up()
        self._quietly(direction=self._side.study.direction, method=self._board.method)

    def _quietly(self, **settings: str) -> None:
        """Set what is to start nothing."""
        was_open, self._is_open = self._is_open, False
        try:
            for name, value in settings.items():
                self.set_trait(name, value)
        finally:
            self._is_open = was_open

    def _side_wanted(self) -> Side:
        study = self._side.study
        return self._side_of(
            study if study.direction == self.direction else study.reversed()
        )

    def _side_of(self, study: PatchStudy) -> Side:
        if study.direction not in self._sides:
            self._sides[study.direction] = Side(study)
        return self._sides[study.direction]

    def _tell(self, traits: dict[str, Any]) -> None:
        with self.hold_sync():
            for name, value in traits.items():
                self.set_trait(name, value)

    def _on_state(self, job: Job) -> None:
        try:
            if self._is_open and job.state != "running":
                self._board.flush(at_once=True)
        finally:  # also where the page cannot be told any more
            self.set_trait("job", asdict(job))

    def _on_progress(self, job: Job, seconds_left: float | None) -> None:
        now = monotonic()
        if now - self._told > PROGRESS_EVERY_S:
            self._told = now
            self.send(messages.progress(job.id, job.done, job.total, seconds_left))

    def _learn(self, found: tuple[Effect, ...]) -> None:
        """Show what became known, by this widget's job or by a cell, in a few messages."""
        # Nothing found is the end of a computation: a job of ours has several.
        is_end = not found and self.job["state"] != "running"
        self._board.learn(found, at_once=is_end)
