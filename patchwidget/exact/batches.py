"""Which patches run together: of one layer and site, in the order of their positions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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


Start = tuple[int, str, int]
"""The layer that a patch begins in, its kind if it is of one node, its first position."""


def start_of(patch: Patch, first: int) -> Start:
    """Where the run of a patch starts, whose first change is at a position."""
    node = min(patch, key=lambda node: node.layer)
    return node.layer, node.kind if len(patch) == 1 else "", first


def batches(swap: Swap, patches: Mapping[Start, Sequence[Patch]]) -> Iterator[Batch]:
    """Patches, by where they start, put together."""
    for _, starts in groupby(sorted(patches), key=lambda start: start[:2]):
        yield from _cut(swap, [(patches[one], one[-1]) for one in starts])


def _cut(swap: Swap, groups: list[tuple[Sequence[Patch], int]]) -> Iterator[Batch]:
    """As few batches as there must be, of about the same number of rows."""
    rows = {first: len(swap.tokens) * (swap.n_pos - first) for _, first in groups}
    total = sum(len(patches) * rows[first] for patches, first in groups)
    share = total / ceil(total / rows_at_once(swap))
    at_most = most_patches(swap)
    taken, batch = 0, Batch([], [])
    for patch, first in ((one, first) for patches, first in groups for one in patches):
        is_full = taken + rows[first] / 2 > share or len(batch.patches) == at_most
        if batch.patches and is_full:
            yield batch
            taken, batch = 0, Batch([], [])
        batch.patches.append(patch)
        batch.starts.append(first)
        taken += rows[first]
    yield batch
