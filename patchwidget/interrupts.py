"""An interrupt (the notebook's stop button, Ctrl-C) reaches what runs, and is not lost on the way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupts_told(tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` at an interrupt that would otherwise be ignored.

    A Jupyter kernel ignores interrupts while no cell runs, and a job runs just then. If
    anybody listens (a cell that awaits, `asyncio.run`), the interrupt is theirs.
    """
    if not _is_handled_by(signal.SIG_IGN):
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: tell())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def interrupts_kept() -> Iterator[None]:
    """Raise at the end an interrupt that was lost on the way.

    Python drops whatever is raised in the callback of a weak reference or in `__del__`:
    torch and the notebook have many of both, and an interrupt hits where it will.

    Raises:
        KeyboardInterrupt: at once, or if it was dropped, at the end.
    """
    if not _is_handled_by(signal.default_int_handler):
        yield
        return
    heard = []

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if heard:
        raise KeyboardInterrupt


def _is_handled_by(handler: object) -> bool:
    """Whether interrupts are heard so, and by this thread."""
    on_main = threading.current_thread() is threading.main_thread()
    return on_main and signal.getsignal(signal.SIGINT) is handler
