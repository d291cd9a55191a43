"""Effects of paths, labelled by writer and reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod

from torch import Tensor

from patchwidget.grids import Cost, Labelled, Scale
from patchwidget.paths.ends import Reader, Writer
from patchwidget.paths.path import ARROW, Path, joined
from patchwidget.paths.sides import Side


@dataclass(frozen=True, eq=False)
class PathGrid(Labelled[Path]):
    """A value for every path from some writers to some readers.

    A place of `sel` is a number, or for `writer` and `reader` a name or the end itself.
    Values are effects as in `grids.Grid`: the change of the metric as a fraction of that
    between base and source run. Where no path is (a reader before its writer) is NaN.

    Attributes:
        writers, readers: what the axes stand for: see `writers.entries`.
        raw: change of the metric `[B, *axes]`, in the metric's units.
        by: `"pos"` if paths are cut by the position at which they are written, else None.
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

    def __getitem__(self, path: Path | str) -> float:
        """Mean effect of one path, by itself or its name: `"L1H2 -> L4H0.q"`.

        Raises:
            KeyError: if the grid has no such path.
        """
        writer, arrow, reader = map(str.strip, str(path).partition(ARROW))
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

    def label(self, cell: Sequence[int]) -> Path:
        """The path of a cell of `values`; at its position, where paths are cut so."""
        n_writer = len(self.writers.shape)
        writers = self.writers.entries[_flat(cell[:n_writer], self.writers.shape)]
        ends = cell[n_writer : self._n_ends]
        readers = self.readers.entries[_flat(ends, self.readers.shape)]
        if self.by is not None:
            pos = int(cell[-1])
            writers = tuple(replace(writer, pos=pos) for writer in writers)
        return Path(writers, readers)

    def _place(self, axis: str, place: int | str | Writer | Reader) -> int:
        return place if isinstance(place, int) else self._side(axis).place(str(place))

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
