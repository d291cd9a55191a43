"""The heatmaps as a small picture, for a notebook that is looked at without a kernel.

No text of a study is in it: only names of kinds and methods, and numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from patchwidget.nodes import HEAD_KINDS, Node
from patchwidget.widget.colours import HATCH, INK, PAPER, coloured
from patchwidget.widget.pixels import LETTER_HEIGHT, LETTER_WIDTH, Pixels, png, write
from patchwidget.widget.wire import Record

WIDTH = 880
_MARGIN, _GAP = 8, 16
_SMALLEST_CELL, _LARGEST_CELL = 1, 13
_LINE = LETTER_HEIGHT + 4
_MODES = {"known": "exact where known", "mine_miss": "mine - exact or estimate"}


@dataclass(frozen=True)
class _Map:
    """One kind: values `[rows, columns]`, NaN where nothing is to be shown."""

    kind: str
    method: str
    values: NDArray[np.float32]
    verified: NDArray[np.bool_]
    largest: float

    @property
    def is_heads(self) -> bool:
        return self.kind in HEAD_KINDS


def thumbnail(
    grids: Mapping[str, Record],
    verified: Mapping[str, Record],
    shown: str,
    mine: Mapping[str, Record] | None = None,
) -> bytes:
    """A PNG of the maps, in the page's colours and in the same order, layer 0 on top.

    Args:
        grids: estimates, the trait.
        verified: exact effects, the trait.
        shown: which of them, the trait.
        mine: what somebody computed by hand, the trait.
    """
    by_kind: dict[str, list[tuple[Node, Record]]] = {}
    for name, record in verified.items():
        node = Node.parse(name)
        if node.by is None:
            by_kind.setdefault(node.kind, []).append((node, record))
    maps = []
    for grid in grids.values():
        results = by_kind.get(grid["kind"], [])
        if shown in ("mine", "mine_miss"):
            maps.append(_own_map(grid, results, shown, (mine or {}).get(grid["kind"])))
        else:
            maps.append(_map(grid, results, shown))
    lines = [list(some) for _, some in groupby(maps, lambda one: one.is_heads)]
    pictures = [_line(some, shown) for some in lines]
    if not pictures:
        return png(_paper(_LINE, WIDTH))
    return png(np.concatenate(pictures))


def _map(grid: Record, results: list[tuple[Node, Record]], shown: str) -> _Map:
    estimates = np.frombuffer(grid["data"], "<f4").reshape(grid["shape"])
    values = estimates.copy()
    if shown in ("exact", "miss"):
        values.fill(np.nan)
    is_verified = np.zeros(values.shape, bool)
    sizes = [_largest(estimates)]
    for node, record in results:
        exact, estimate = record["exact"], record["estimate"]
        is_verified[node.cell] = True
        sizes.append(abs(exact))
        if shown == "miss":
            off = np.nan if estimate is None else estimate
            values[node.cell] = abs((exact if grid["signed"] else abs(exact)) - off)
        elif shown != "estimate":
            values[node.cell] = exact
    largest = max(*sizes, _largest(values))
    return _Map(grid["kind"], grid["method"], values, is_verified, largest)


def _own_map(
    grid: Record, results: list[tuple[Node, Record]], shown: str, own: Record | None
) -> _Map:
    """Somebody's own values, or their difference from what is known best."""
    best = _map(grid, results, "known")
    values = np.full_like(best.values, np.nan)
    if own is not None:
        values = np.frombuffer(own["data"], "<f4").reshape(own["shape"])
    if shown == "mine_miss":
        sized = (lambda them: them) if grid["signed"] else np.abs
        values = sized(values) - sized(best.values)
    return replace(best, values=values, largest=max(best.largest, _largest(values)))


def _largest(values: NDArray[np.float32]) -> float:
    """The largest finite magnitude; 0 where there is none."""
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def _line(maps: list[_Map], shown: str) -> Pixels:
    """All maps of positions, or all of heads, on one scale."""
    scale = max(one.largest for one in maps)
    drawn = [_drawn(one, scale, _cell(one), signed=shown != "miss") for one in maps]
    rows: list[list[Pixels]] = [[]]
    used = _MARGIN
    for picture in drawn:
        if rows[-1] and used + picture.shape[1] > WIDTH - _MARGIN:
            rows.append([])
            used = _MARGIN
        rows[-1].append(picture)
        used += picture.shape[1] + _GAP
    what = "by head" if maps[0].is_heads else "by position"
    caption = _paper(_LINE + _MARGIN, WIDTH)
    words = f"{_MODES.get(shown, shown)} {what} scale +-{scale:.3g}"
    write(caption, words, _MARGIN, _MARGIN, INK)
    return np.concatenate([caption, *map(_beside, rows)])


def _cell(one: _Map) -> tuple[int, int]:
    """Height and width of a cell: all columns are shown, however many there are."""
    layers, columns = one.values.shape
    width = (WIDTH - 2 * _MARGIN) // columns
    width = max(_SMALLEST_CELL, min(width, _LARGEST_CELL, 240 // columns + 4))
    height = max(2, min(_LARGEST_CELL, 240 // layers))
    return height, width


def _drawn(one: _Map, scale: float, cell: tuple[int, int], *, signed: bool) -> Pixels:
    """A map under its name, in a frame."""
    height, width = cell
    pixels = coloured(one.values, scale, signed=signed)
    pixels = pixels.repeat(height, axis=0).repeat(width, axis=1)
    for row, column in np.argwhere(one.verified):
        # A corner, as on the page.
        top, right = row * height, (column + 1) * width
        pixels[top : top + 3, max(right - 3, column * width) : right] = INK
    title = f"{one.kind} {one.method}"
    room = max(pixels.shape[1] + 2, len(title) * LETTER_WIDTH)
    picture = _paper(_LINE + pixels.shape[0] + 2, room)
    write(picture, title, 0, 0, INK)
    picture[_LINE:, : pixels.shape[1] + 2] = HATCH
    picture[_LINE + 1 : -1, 1 : pixels.shape[1] + 1] = pixels
    return picture


def _beside(pictures: list[Pixels]) -> Pixels:
    """Maps in a row of the whole width; what is wider than that is cut off."""
    height = max(len(picture) for picture in pictures) + _MARGIN
    row, left = _paper(height, WIDTH), _MARGIN
    for picture in pictures:
        room = row[: len(picture), left : left + picture.shape[1]]
        room[:] = picture[:, : room.shape[1]]
        left += picture.shape[1] + _GAP
    return row


def _paper(height: int, width: int) -> Pixels:
    return np.full((height, width, 3), PAPER, np.uint8)
