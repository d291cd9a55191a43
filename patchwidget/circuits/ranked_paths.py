"""The order in which the paths of a grid join a circuit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import overload

import numpy as np

from patchwidget.circuits.path_members import cut_of
from patchwidget.circuits.wiring import Numbers, Wiring
from patchwidget.nodes import Extent
from patchwidget.paths import Path, PathGrid, Reader, Writer
from patchwidget.paths.path import joined
from patchwidget.paths.sides import End, Side


class RankedPaths(Sequence[Path]):
    """The paths of a grid, those of the largest values first.

    A grid by position has hundreds of thousands: a `Path` is made when it is asked for.

    Args:
        grid: a value for each path.
        wiring: all paths of the model, cut as the grid is; see `cut_of_grid`.
        absolute: whether their sizes count, or their signed values.

    Raises:
        ValueError: if a path has no value.

    Example:
        >>> from patchwidget import PatchStudy, demo
        >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
        >>> wiring = Wiring(study.extent, parallel=False)
        >>> paths = RankedPaths(study.paths(), wiring, absolute=True)
        >>> len(paths), paths[0]
        (2461, L4.mlp -> final)
    """

    def __init__(self, grid: PathGrid, wiring: Wiring, *, absolute: bool) -> None:
        self._writers, self._readers = _single(grid.writers), _single(grid.readers)
        self._is_cut = grid.by is not None
        # Apple's devices have no double precision.
        values = grid.values.detach().cpu().double().numpy()
        values = values.reshape(len(self._writers), len(self._readers), -1)
        self._shape = values.shape
        starts = wiring.numbers(self._writers, self._readers)[..., None]
        numbers = (starts + np.arange(self._shape[2])).ravel()
        cells = np.flatnonzero(wiring.every[numbers])
        scores = np.abs(values).ravel()[cells] if absolute else values.ravel()[cells]
        self._cells: Numbers = cells
        self._refuse_gaps(cells[np.isnan(scores)])
        self._cells = cells[np.argsort(-scores, kind="stable")]
        self._numbers: Numbers = numbers[self._cells]

    @property
    def numbers(self) -> list[int]:
        """Theirs, as the wiring counts them."""
        found: list[int] = self._numbers.tolist()
        return found

    def _refuse_gaps(self, gaps: Numbers) -> None:
        if len(gaps):
            raise ValueError(
                f"{len(gaps)} of {len(self)} paths have no value, {self._path(int(gaps[0]))} "
                "among them: rank by a grid that is known everywhere, or by a list"
            )

    def __len__(self) -> int:
        return len(self._cells)

    @overload
    def __getitem__(self, place: int) -> Path: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Path, ...]: ...

    def __getitem__(self, place: int | slice) -> Path | tuple[Path, ...]:
        """The path of a place in the order, or those of several."""
        if isinstance(place, slice):
            return tuple(map(self._path, self._cells[place].tolist()))
        return self._path(int(self._cells[place]))

    def _path(self, cell: int) -> Path:
        from_, to, pos = np.unravel_index(cell, self._shape)
        writer = self._writers[from_]
        if self._is_cut:
            writer = replace(writer, pos=int(pos))
        return Path((writer,), (self._readers[to],))


def cut_of_grid(grid: PathGrid, extent: Extent) -> str | None:
    """How the paths of a grid are cut: `"pos"`, or None where they are of all positions.

    Raises:
        ValueError: if an end is given twice or is several, or some writers are cut by
            position and others are not.
        IndexError: if the model has no such writer or reader.
    """
    writers, readers = _single(grid.writers), _single(grid.readers)
    if grid.by is not None:
        writers = [replace(one, pos=grid.raw.shape[-1] - 1) for one in writers]
    seen: set[Writer | Reader] = set()
    ends: list[Writer | Reader] = [*writers, *readers]
    for end in ends:
        end.check(extent)
        if end in seen:
            raise ValueError(f"{end} is given twice in this grid: name each end once")
        seen.add(end)
    return cut_of(writers)


def _single(side: Side[End]) -> list[End]:
    """The ends of a side, one each."""
    for entry in side.entries:
        if len(entry) != 1:
            raise ValueError(
                f"{joined(entry)} has several ends, and a path of a circuit leads from one "
                "writer to one reader: rank by a grid of single ones"
            )
    return [end for (end,) in side.entries]
