"""Estimates of all paths of one direction, as the page asks for them: node by node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from math import isfinite
from typing import TypeVar

from patchwidget.nodes import Extent
from patchwidget.paths import Path, PathGrid, Reader, Writer
from patchwidget.widget.wire import Record

HEAD_PARTS = ("q", "k", "v")
End = TypeVar("End", Writer, Reader)


class PathEstimates:
    """Means over the pairs of a grid of paths, without its pairs.

    Args:
        grid: estimates of all paths.
        extent: what the model has.
    """

    def __init__(self, grid: PathGrid, extent: Extent) -> None:
        self._group = extent.n_heads // extent.n_kv_heads
        self._method, self._cost = grid.method, grid.cost
        self._values: list[list[float]] = grid.shown.mean(0).tolist()
        self._writers = _places(grid.writers.entries)
        self._readers = _places(grid.readers.entries)

    def value(self, path: Path) -> float | None:
        """The estimate of one path; None where there is none."""
        (writer,), (reader,) = path.writers, path.readers
        if writer not in self._writers or reader not in self._readers:
            return None  # it begins at one position
        value = self._values[self._writers[writer]][self._readers[reader]]
        return value if isfinite(value) else None

    def around(self, node: Writer) -> Record:
        """Where a head's or an MLP's inputs come from, and where its output goes.

        Under GQA keys and values are those of the KV head that serves the head.
        """
        return {
            "node": str(node),
            "method": self._method,
            "into": {reader.part: self._into(reader) for reader in self._read_by(node)},
            "out": self._out_of(node),
            "cost": None if self._cost is None else asdict(self._cost),
        }

    def _read_by(self, node: Writer) -> list[Reader]:
        if node.part == "mlp":
            return [Reader("mlp", node.layer)]
        if node.head is None:
            return []
        heads = {"q": node.head, "k": node.head // self._group}
        heads["v"] = heads["k"]
        return [Reader(part, node.layer, heads[part]) for part in HEAD_PARTS]

    def _into(self, reader: Reader) -> list[Record]:
        column = self._readers[reader]
        return _ranked(
            (Path((writer,), (reader,)), str(writer), self._values[row][column])
            for writer, row in self._writers.items()
        )

    def _out_of(self, writer: Writer) -> list[Record]:
        row = self._values[self._writers[writer]]
        return _ranked(
            (Path((writer,), (reader,)), str(reader), row[column])
            for reader, column in self._readers.items()
        )


def _places(entries: Sequence[tuple[End, ...]]) -> dict[End, int]:
    return {end: number for number, (end,) in enumerate(entries)}


def _ranked(paths: Iterable[tuple[Path, str, float]]) -> list[Record]:
    """Paths that there are, those of largest size first."""
    found = [
        {"path": str(path), "end": end, "value": value}
        for path, end, value in paths
        if isfinite(value)
    ]
    return sorted(found, key=lambda entry: -abs(entry["value"]))
