"""Which paths of a grid are there to be run, and in which batches."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from math import ceil
from typing import cast

from patchwidget.paths.ends import Reader, Writer
from patchwidget.paths.path import Path, joined, obstacle, reads_at, writes_at
from patchwidget.paths.sides import Side


@dataclass(frozen=True)
class Route:
    """One run: a writer's change is carried to readers.

    Attributes:
        writer, reader: the entries of the grid's sides whose cell this is.
        readers: those of the entry that the change reaches.
    """

    writer: int
    reader: int
    readers: tuple[Reader, ...]

    @property
    def layers(self) -> tuple[int, int]:
        """The first and the last layer that reads; (-1, -1) for the model's end."""
        if self.readers[0].part == "final":
            return -1, -1
        layers = [cast("int", reader.layer) for reader in self.readers]
        return min(layers), max(layers)


@dataclass(frozen=True)
class Group:
    """Routes that run as one batch.

    Attributes:
        routes: in the order of their starts.
        starts: the first position that each of them changes, ascending.
    """

    routes: tuple[Route, ...]
    starts: tuple[int, ...]


def routes(
    writers: Side[Writer],
    readers: Side[Reader],
    *,
    parallel: bool,
    only: Collection[tuple[int, int]] | None = None,
) -> list[Route]:
    """All cells that have a path, or those of `only`, places of a writer and a reader.

    Where both ends are named, all of their writers must come before all of their readers.
    Of all heads or MLPs as readers those are left out that read too early; as writers,
    those that reach none of the readers, and a set is reached as far as it comes later.

    Raises:
        ValueError: if a named path runs backwards, or there is no path at all.
    """
    found = []
    for (w, ours), (r, theirs) in product(
        enumerate(writers.entries), enumerate(readers.entries)
    ):
        if only is not None and (w, r) not in only:
            continue
        written = max(writes_at(writer, parallel=parallel) for writer in ours)
        reached = tuple(
            reader for reader in theirs if reads_at(reader, parallel=parallel) > written
        )
        if writers.named and readers.named and len(reached) < len(theirs):
            raise ValueError(_backwards(ours, theirs, parallel=parallel))
        if reached:
            found.append(Route(w, r, reached))
    if not found:
        names = Path(writers.entries[-1], readers.entries[-1])
        raise ValueError(f"no path leads there: {names} and all others run backwards")
    return found


def _backwards(
    writers: Sequence[Writer], readers: Sequence[Reader], *, parallel: bool
) -> str:
    reasons = (obstacle(w, r, parallel=parallel) for w in writers for r in readers)
    return next(reason for reason in reasons if reason is not None)


def groups(
    moving: Sequence[tuple[Route, int]], rows: int, at_most: int, sizes: tuple[int, int]
) -> Iterator[Group]:
    """Routes with the position of their first change, those with the same layers together.

    Args:
        moving: routes and starts.
        rows: how many positions of runs make a batch.
        at_most: how many runs make one at most.
        sizes: pairs, and positions of each.
    """
    ordered = sorted(moving, key=lambda one: (one[0].layers, one[1], one[0].writer))
    n_pairs, n_pos = sizes
    for _, members in groupby(ordered, key=lambda one: one[0].layers):
        each = list(members)
        total = sum(n_pairs * (n_pos - start) for _, start in each)
        size = min(at_most, ceil(len(each) / ceil(total / rows)))
        for first in range(0, len(each), size):
            some = each[first : first + size]
            yield Group(
                tuple(route for route, _ in some), tuple(start for _, start in some)
            )


def path_of(route: Route, writers: Side[Writer], readers: Side[Reader]) -> Path:
    """What a route stands for, to be named."""
    return Path(writers.entries[route.writer], readers.entries[route.reader])


def label(writers: Side[Writer], readers: Side[Reader]) -> str:
    """What is run, in a few words."""
    ends = (
        joined(side.entries[0])
        if len(side.entries) == 1
        else f"{len(side.entries)} ends"
        for side in (writers, readers)
    )
    return f"paths {' -> '.join(ends)}"
