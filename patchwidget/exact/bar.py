"""A progress bar for those who wait: in scripts as text, in notebooks as a widget."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from patchwidget.exact.progress import Progress
from patchwidget.interrupts import interrupts_kept

# Most calls are over before a bar could be read.
SHOWN_AFTER_S = 1.0
_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]"


def exhaust(steps: Iterator[Progress], label: str, unit: str = "patches") -> None:
    """Run a computation to its end, with a bar and an estimate of the remaining time.

    An interrupt (Ctrl-C) closes the computation, which keeps what it finished.
    """
    from tqdm.auto import tqdm

    bar = tqdm(
        total=1.0, desc=label, delay=SHOWN_AFTER_S, bar_format=_FORMAT, leave=False
    )
    try:
        while True:
            with interrupts_kept():
                step = next(steps, None)
                if step is None:
                    break
                told = f"{label}, {step.done}/{step.total} {unit}"
                bar.set_description_str(told, refresh=False)
                bar.update(step.work - bar.n)
    finally:
        bar.close()
        # Also where the interrupt hit the bar, not the computation.
        if isinstance(steps, Generator):
            steps.close()
