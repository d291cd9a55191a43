"""Several computations as one, with one progress."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import cast

from patchwidget.exact import Progress


@dataclass(frozen=True)
class Turn:
    """One computation among several.

    Attributes:
        size: how many things it computes, as far as is known before.
        start: begins it, when its turn comes.
        label: what the page calls it.
    """

    size: int
    start: Callable[[], Iterator[Progress]]
    label: str


def in_turn(turns: Sequence[Turn]) -> Iterator[Progress]:
    """The steps of each, one after the other; the work is shared out by size."""
    sizes = [turn.size for turn in turns]
    before = 0
    for number, turn in enumerate(turns):
        after = sum(sizes[number + 1 :])
        weight = max(1, before + turn.size + after)
        last = Progress(0, turn.size)
        # Closing the whole closes the one that is under way.
        with closing(cast("Generator[Progress, None, None]", turn.start())) as steps:
            for last in steps:
                yield replace(
                    last,
                    done=before + last.done,
                    total=before + last.total + after,
                    work=(before + turn.size * last.work) / weight,
                )
        before += last.total
