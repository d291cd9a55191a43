"""Effects of paths, labelled by writer and reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod

import torch
from torch import Tensor

from patchwidget.grids import Cost, Scale
from patchwidget.paths.ends import Reader, Writer
from patchwidget.paths.path import Path, joined
from patchwidget.paths.sides import Side


@dataclass(frozen=True, eq=False)
class PathGrid:
    """A value for every path from some writers to some readers.

    Values are effects as in `grids.Grid`: the change of the metric as a fraction of that
    between base and source run. Where no path is (a reader before its writer) is NaN.

    Attributes:
        writers, readers: what the axes stand for: see `writers.entries`.
        raw: change of the metric `[B, *axes]`, in the metric's units.
        by: `"pos"` if paths are cut by the position at which they are read, else None.
        scale: what an effect is a fraction of; None where effects are the raw changes.
        method: `"exact"`, or the estimate's name.
        direction: `"denoising"` or `"noising"`.
        metric: the metric's name.
        cost: what the whole grid takes; None where it was not counted.

    Example:
        >>> from patchwidget import PatchStudy, demo
        >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
        >>> paths = study.paths()
        >>> paths.axes, paths.sel(reader="L4H0.q").shape
        (('writer', 'reader'), torch.Size([46]))
        >>> [str(path) for path, _ in paths.top(2)]
        ['L4.mlp -> final', 'L1H0 -> L2H1.v']
    """

    writers: Side[Writer]
    readers: Side[Reader]
    raw: Tensor
    by: str | None = field(default=None, kw_only=True)
    scale: Scale | None = field(default=None, kw_only=True)
    method: str = field(default="exact", kw_only=True)
    direction: str = field(default="denoising", kw_only=True)
    metric: str = field(default="metric", kw_only=True)
    cost: Cost | None = field(default=None, kw_only=True)

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes: of the writers, of the readers, and the position."""
        at = () if self.by is None else (self.by,)
        return (*self.writers.axes, *self.readers.axes, *at)

    @property
    def per_pair(self) -> Tensor:
        """Effects of each pair `[B, *axes]`; their mean over pairs is `values`."""
        return self.raw if self.scale is None else self.scale.normalise(self.raw)

    @property
    def shown(self) -> Tensor:
        """`per_pair`; where both runs have the same metric, the raw changes."""
        return self.raw if self.scale is None else self.scale.shown(self.raw)

    @property
    def values(self) -> Tensor:
        """Mean effect over the pairs `[*axes]`."""
        return self.per_pair.mean(0)

    @property
    def mean_abs(self) -> Tensor:
        """Mean over the pairs of the size of each one's effect `[*axes]`."""
        return self.per_pair.abs().mean(0)

    def __getitem__(self, path: Path | str) -> float:
        """Mean effect of one path, by itself or its name: `"L1H2 -> L4H0.q"`.

        Raises:
            KeyError: if the grid has no such path.
        """
        writer, arrow, reader = str(path).partition(" -> ")
        if not arrow:
            raise KeyError(f"{path!r} is not a path: write 'L1H2 -> L4H0.q'")
        name, at, pos = writer.partition("@")
        cuts = self.by is not None and bool(at)
        found = self._cell(self.writers.place(name if cuts else writer), reader)
        value = found[int(pos)] if cuts else found
        if value.dim():
            raise KeyError(f"{path}: which position? This grid is cut by {self.by}")
        return float(value)

    def _cell(self, writer: int, reader: str) -> Tensor:
        shape = (prod(self.writers.shape), prod(self.readers.shape))
        flat = self.values.reshape(*shape, *self.values.shape[self._n_ends :])
        return flat[writer, self.readers.place(reader)]

    @property
    def _n_ends(self) -> int:
        """How many axes belong to the ends."""
        return len(self.writers.shape) + len(self.readers.shape)

    def path(self, cell: Sequence[int]) -> Path:
        """The path of a cell of `values`; at its position, where paths are cut so."""
        n_writer = len(self.writers.shape)
        writers = self.writers.entries[_flat(cell[:n_writer], self.writers.shape)]
        ends = cell[n_writer : self._n_ends]
        readers = self.readers.entries[_flat(ends, self.readers.shape)]
        if self.by is not None:
            pos = int(cell[-1])
            writers = tuple(replace(writer, pos=pos) for writer in writers)
        return Path(writers, readers)

    def top(self, k: int = 10, *, mean_abs: bool = False) -> list[tuple[Path, float]]:
        """The `k` paths of largest absolute effect, largest first.

        Args:
            k: how many.
            mean_abs: rank by `mean_abs`, not by the size of the mean over pairs.
        """
        values = self.mean_abs if mean_abs else self.values
        size = values.abs().nan_to_num(nan=-1.0).flatten()
        order = size.argsort(descending=True, stable=True)[: max(k, 0)].tolist()
        cells = [torch.unravel_index(torch.tensor(i), values.shape) for i in order]
        return [
            (self.path([int(c) for c in cell]), float(values[cell]))
            for i, cell in zip(order, cells, strict=True)
            if size[i] >= 0
        ]

    def sel(self, **cells: int | str | Writer | Reader) -> Tensor:
        """Effects at chosen places of some axes.

        Args:
            **cells: an axis and a number, or for `writer` and `reader` a name or the end
                itself: `paths.sel(writer="L1H2")`, `grid.sel(layer=4, head=0)`.

        Raises:
            KeyError: if the grid has no such axis, writer or reader.
        """
        unknown = set(cells) - set(self.axes)
        if unknown:
            raise KeyError(f"no axis {sorted(unknown)}: this grid has {self.axes}")
        places = {
            axis: value
            if isinstance(value, int)
            else self._side(axis).place(str(value))
            for axis, value in cells.items()
        }
        return self.values[tuple(places.get(axis, slice(None)) for axis in self.axes)]

    def _side(self, axis: str) -> Side[Writer] | Side[Reader]:
        if axis not in ("writer", "reader"):
            raise KeyError(f"{axis} is counted from 0: give a number")
        return self.writers if axis == "writer" else self.readers

    def __repr__(self) -> str:
        lines = [f"{path}: {value:+.4f}" for path, value in self.top(5)]
        ends = f"{_some(self.writers)} -> {_some(self.readers)}"
        head = f"{self.method} {ends} ({self.direction}, {self.metric})"
        return "\n".join([head, *lines])


def _flat(cell: Sequence[int], shape: Sequence[int]) -> int:
    place = 0
    for index, size in zip(cell, shape, strict=True):
        place = place * size + int(index)
    return place


def _some(side: Side[Writer] | Side[Reader]) -> str:
    count = len(side.entries)
    if count > 1:
        return f"{count} {'writers' if isinstance(side.entries[0][0], Writer) else 'readers'}"
    return joined(side.entries[0])
