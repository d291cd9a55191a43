"""The widget as a page sees it: what arrives, who shows it, and when it may be forgotten.

- What a page sends may arrive on any thread. It is looked at there and acted upon in the
  thread of the kernel's loop, so that it never happens in the middle of anything else.
- ipywidgets keeps every widget for ever. Here a widget that no page shows any more is kept
  by whoever holds it, and by nobody else.
"""

from __future__ import annotations

import logging
import sys
import weakref
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import anywidget
import traitlets
from ipywidgets.widgets import widget as ipywidgets_room

from patchwidget.widget import messages
from patchwidget.widget.jobs import Jobs

logger = logging.getLogger("patchwidget")
logger.addHandler(logging.NullHandler())

# An output that is drawn again has no view for a moment.
UNSEEN_AFTER_S = 1.0
# Of each kind of problem one line is enough; a page could make up any number of them.
MOST_REPORTS = 50


def weakly(method: Callable[..., None]) -> Callable[..., None]:
    """A bound method that does not keep its object alive."""
    reference = weakref.WeakMethod(method)

    def call(*args: Any) -> None:
        found = reference()
        if found is not None:
            found(*args)

    return call


def cell_and_run() -> tuple[str, str] | None:
    """The notebook cell that runs now, and which run of it this is."""
    shell = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return None
    asked = kernel.get_parent()
    cell = (asked.get("metadata") or {}).get("cellId")
    return (cell, asked["header"]["msg_id"]) if cell else None


class Page(anywidget.AnyWidget):
    """A widget that hears and is forgotten in good order."""

    _jobs: Jobs
    _is_open = False
    _is_superseded = False  # the cell that made it was run once more
    _made_in: tuple[str, str] | None = None
    _pages: ClassVar[weakref.WeakSet[Page]] = weakref.WeakSet()

    def __init__(self) -> None:
        self._reported: set[str] = set()
        # Counting starts from a number: without one, views are not counted at all.
        super().__init__(_view_count=0)
        self._is_open = True
        self.comm.on_msg(weakly(self._hear))
        self.comm.on_close(weakly(self._on_comm_closed))
        self._keep(self._jobs.loop is not None)  # no loop, no page
        self._made_in = cell_and_run()
        for other in list(self._pages):
            other._supersede(self._made_in)  # noqa: SLF001 - of the same class
        self._pages.add(self)

    @abstractmethod
    def cancel(self) -> None:
        """Stop what is running."""

    def _hear(self, message: Any) -> None:
        """What the page sends, on whatever thread."""
        if not self._is_open:
            return
        problem = messages.envelope_problem(message)
        if problem is not None:
            self._report_once(problem)
            return
        if messages.is_cancel(message):
            self._handle_msg(
                message
            )  # heard at once, also beside a cell that is running
        else:
            self._jobs.soon(weakly(self._handle_msg), message)

    def _on_comm_closed(self, _: Any) -> None:
        """The page has forgotten it: nobody can see it again."""
        self._jobs.soon(weakly(self.close))

    def _report_once(self, problem: str) -> None:
        if problem not in self._reported and len(self._reported) < MOST_REPORTS:
            self._reported.add(problem)
            logger.warning("ignored a message from the page: %s", problem)

    # --- who shows it -------------------------------------------------------------------

    @traitlets.observe("_view_count")
    def _on_view_count(self, change: dict[str, Any]) -> None:
        if not self._is_open:
            return
        if change["new"]:
            self._keep(True)
        elif change["old"]:
            self._jobs.later(UNSEEN_AFTER_S, weakly(self._if_unseen))

    def _supersede(self, by: tuple[str, str] | None) -> None:
        """Another widget was made: in a later run of the same cell?"""
        mine = self._made_in
        if by is not None and mine is not None and by[0] == mine[0] and by != mine:
            self._is_superseded = True
            if not self._is_kept:
                self.close()
            elif not self._view_count:  # it was never on show
                self._keep(False)

    def _if_unseen(self) -> None:
        """The last view is gone: nobody waits for results."""
        if not self._is_open or self._view_count:
            return
        self.cancel()
        self._keep(False)
        if self._is_superseded:
            self.close()

    def _keep(self, is_kept: bool) -> None:  # noqa: FBT001 - a name for the other would say less
        """Keep it alive for the page, or leave that to whoever holds it."""
        self._is_kept = is_kept
        kept = self if is_kept else weakref.proxy(self)
        _registry()[self.model_id] = kept


def _registry() -> Any:
    """All widgets that are open, by model id, as ipywidgets 8 and 7 keep them."""
    found = getattr(ipywidgets_room, "_instances", None)
    return ipywidgets_room.Widget.widgets if found is None else found
