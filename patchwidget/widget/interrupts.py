"""An interrupt (the notebook's stop button, Ctrl-C) reaches a job that runs between cells."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_told(tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` at an interrupt that would otherwise be ignored.

    A Jupyter kernel ignores interrupts while no cell runs, and a job runs just then. If
    anybody listens (a cell that awaits, `asyncio.run`), the interrupt is theirs.
    """
    on_main = threading.current_thread() is threading.main_thread()
    if not on_main or signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: tell())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
