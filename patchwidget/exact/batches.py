"""Which patches run together: of one layer and site, in the order of their positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil
from operator import itemgetter

from patchwidget.exact.budget import batch_size
from patchwidget.exact.swap import Patch, Swap


@dataclass(frozen=True)
class Batch:
    """Patches that run as one.

    Attributes:
        patches: their nodes.
        first: the first position at which any of them changes something.
    """

    patches: list[Patch]
    first: int

    def pieces(self, size: int) -> Iterator[Batch]:
        """Batches of at most that many of the patches."""
        for start in range(0, len(self.patches), size):
            yield Batch(self.patches[start : start + size], self.first)


def batches(swap: Swap, patches: Sequence[tuple[Patch, int]]) -> Iterator[Batch]:
    """Patches with the position of their first change, put together.

    Those that start alike run together, and a later start joins an earlier one only where
    a batch would otherwise be too small to keep the machine busy.
    """

    def start(one: tuple[Patch, int]) -> tuple[int, str]:
        node = min(one[0], key=lambda node: node.layer)
        return node.layer, node.kind if len(one[0]) == 1 else ""

    ordered = sorted(patches, key=lambda one: (start(one), one[1]))
    for _, group in groupby(ordered, key=start):
        yield from _cut(swap, list(group))


def _cut(swap: Swap, members: list[tuple[Patch, int]]) -> Iterator[Batch]:
    waiting, first = list[Patch](), 0
    for position, group in groupby(members, key=itemgetter(1)):
        if not waiting:
            first = position
        waiting += [patch for patch, _ in group]
        # A later start is given rows that it need not compute when it joins.
        if 4 * len(waiting) >= batch_size(swap, first):
            yield from _evenly(swap, waiting, first)
            waiting = []
    if waiting:
        yield from _evenly(swap, waiting, first)


def _evenly(swap: Swap, patches: list[Patch], first: int) -> Iterator[Batch]:
    """As few batches as there must be, of about the same size."""
    count = ceil(len(patches) / batch_size(swap, first))
    yield from Batch(patches, first).pieces(ceil(len(patches) / count))
