"""Estimates that a study has made: given again when asked again, and saved with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from patchwidget.grids import Grid

# A grid has a value a pair: those of patterns by source are as large as the patterns.
MOST_BYTES = 2**28


@dataclass(frozen=True)
class Asked:
    """What a grid of estimates was asked by.

    Attributes:
        method, kind, by, metric: see `PatchStudy.estimate`.
        options: the method's own as JSON, sorted by name.
    """

    method: str
    kind: str
    by: str | None
    metric: str
    options: str = "{}"

    @classmethod
    def of(
        cls,
        method: str,
        kind: str,
        by: str | None,
        metric: str,
        options: Mapping[str, Any],
    ) -> Asked:
        """The same for options that mean the same: numpy's numbers are numbers."""
        text = json.dumps(dict(options), sort_keys=True, default=_plain)
        return cls(method, kind, by, metric, text)

    def __str__(self) -> str:
        by = f" by {self.by}" if self.by else ""
        options = "" if self.options == "{}" else f" {self.options}"
        return f"{self.method} of {self.kind}{by} on {self.metric}{options}"


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else repr(value)


class Kept:
    """Finished grids of one study in one direction, the newest up to `MOST_BYTES`.

    Attributes:
        dropped: what was given up to stay within the memory, and not made again.
    """

    def __init__(self) -> None:
        self._grids: dict[Asked, Grid] = {}
        self.dropped: dict[Asked, None] = {}

    def get(self, asked: Asked) -> Grid | None:
        """A grid, if it was made before."""
        return self._grids.get(asked)

    def keep(self, asked: Asked, grid: Grid) -> None:
        """Keep a grid, and give up the oldest where memory would not suffice."""
        self.dropped.pop(asked, None)
        self._grids[asked] = grid
        while sum(_bytes(one) for one in self._grids.values()) > MOST_BYTES:
            oldest = next(iter(self._grids))
            del self._grids[oldest]
            self.dropped[oldest] = None

    def items(self) -> Iterator[tuple[Asked, Grid]]:
        """All that is kept, oldest first."""
        yield from self._grids.items()


def _bytes(grid: Grid) -> int:
    return grid.raw.numel() * grid.raw.element_size()
