"""Which patches run together: of one layer and site, in the order of their positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil

from patchwidget.exact.budget import most_patches, rows_at_once
from patchwidget.exact.swap import Patch, Swap


@dataclass(frozen=True)
class Batch:
    """Patches that run as one.

    Attributes:
        patches: their nodes.
        starts: the first position at which each of them changes something, ascending.
    """

    patches: list[Patch]
    starts: list[int]

    @property
    def first(self) -> int:
        """The first position at which any of them changes something."""
        return self.starts[0]

    def pieces(self, size: int) -> Iterator[Batch]:
        """Batches of at most that many of the patches."""
        for start in range(0, len(self.patches), size):
            stop = start + size
            yield Batch(self.patches[start:stop], self.starts[start:stop])


def batches(swap: Swap, patches: Sequence[tuple[Patch, int]]) -> Iterator[Batch]:
    """Patches with the position of their first change, put together."""

    def start(one: tuple[Patch, int]) -> tuple[int, str]:
        node = min(one[0], key=lambda node: node.layer)
        return node.layer, node.kind if len(one[0]) == 1 else ""

    ordered = sorted(patches, key=lambda one: (start(one), one[1]))
    for _, group in groupby(ordered, key=start):
        yield from _cut(swap, list(group))


def _cut(swap: Swap, members: list[tuple[Patch, int]]) -> Iterator[Batch]:
    """As few batches as there must be, of about the same number of rows."""
    rows = [len(swap.tokens) * (swap.n_pos - start) for _, start in members]
    share = sum(rows) / ceil(sum(rows) / rows_at_once(swap))
    at_most = most_patches(swap)
    taken, batch = 0, list[tuple[Patch, int]]()
    for member, count in zip(members, rows, strict=True):
        is_full = taken + count / 2 > share or len(batch) == at_most
        if batch and is_full:
            yield _batch(batch)
            taken, batch = 0, []
        batch.append(member)
        taken += count
    yield _batch(batch)


def _batch(members: list[tuple[Patch, int]]) -> Batch:
    return Batch([patch for patch, _ in members], [start for _, start in members])
