"""Known exact effects as a grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from patchwidget.effects import Effect
from patchwidget.exact.swap import Patch
from patchwidget.grids import Grid
from patchwidget.nodes import Extent
from patchwidget.windows import Windows


def filled(grid: Grid, known: Mapping[Patch, Effect], extent: Extent) -> Grid:
    """A grid of the same form with exact effects where they are known, NaN elsewhere.

    Raises:
        ValueError: if its window is not a number of layers.
    """
    raw = grid.raw.new_full(grid.raw.shape, float("nan"))
    patches = Windows(extent, grid.kind, grid.by, grid.window)
    for node, patch in zip(extent.nodes(grid.kind, grid.by), patches, strict=True):
        if patch in known:
            cell: tuple[Any, ...] = (slice(None), *node.cell)
            raw[cell] = known[patch].raw
    return replace(grid, raw=raw)
