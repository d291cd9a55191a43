"""One side of a grid of paths: its writers or its readers, and how they lie in axes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import product
from typing import Generic, TypeVar, cast

from patchwidget.nodes import Extent, Node
from patchwidget.paths.ends import HEAD_PARTS, Reader, Writer
from patchwidget.paths.path import joined

End = TypeVar("End", Writer, Reader)
AnyWriter = Writer | Node | str
AnyReader = Reader | Node | str
Writers = (
    AnyWriter | AbstractSet[AnyWriter] | Sequence[AnyWriter | AbstractSet[AnyWriter]]
)
Readers = (
    AnyReader | AbstractSet[AnyReader] | Sequence[AnyReader | AbstractSet[AnyReader]]
)


@dataclass(frozen=True)
class Side(Generic[End]):
    """Ends of paths in the order of a grid's cells.

    Attributes:
        entries: one or more ends each, of the same paths.
        axes: names of the axes in which they lie; none for a single entry.
        shape: their lengths.
        named: whether the ends were named, or are all of a part.

    Example:
        >>> Side.of_each("writer", [Writer("embed"), Writer("head", 0, 1)]).shape
        (2,)
    """

    entries: tuple[tuple[End, ...], ...]
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    named: bool = True

    @classmethod
    def of_each(cls, axis: str, ends: Iterable[End]) -> Side[End]:
        """Ends one by one along one axis."""
        entries = tuple((end,) for end in ends)
        return cls(entries, (axis,), (len(entries),))

    def place(self, name: str) -> int:
        """Where an entry is, by its name.

        Raises:
            KeyError: if there is none of that name.
        """
        for number, entry in enumerate(self.entries):
            if joined(entry) == name:
                return number
        names = [repr(joined(entry)) for entry in self.entries[:3]]
        more = ["..."] if len(self.entries) > len(names) else []
        end = self.axes[0] if self.axes else "end"
        raise KeyError(f"{name!r} is no {end} here: choose {', '.join(names + more)}")


def writer_side(
    given: Writers, extent: Extent, labels: Mapping[str, int] | None
) -> Side[Writer]:
    """What was asked for as writers.

    Args:
        given: `"head"` or `"mlp"` for all of them, in axes of their own; one writer, a
            node that stands for it, or its name; a set of them, which are patched
            together; or a list of all these, one by one.
        extent: what the model has.
        labels: names of positions.

    Raises:
        ValueError: if there is none, one is not a writer, or two of a set overlap.
        IndexError: if the model has no such writer.
    """
    if given in ("head", "mlp"):
        sizes = {"layer": extent.n_layers, "head": extent.n_heads}
        return _all_of(Writer, str(given), "writer_", sizes, extent)

    def one(end: object) -> Writer:
        if isinstance(end, Writer):
            return end
        if isinstance(end, Node):
            return Writer.of(end)
        if isinstance(end, str):
            return Writer.parse(end, labels)
        raise TypeError(f"{end!r} is not a writer: use Head(1, 2), a Writer or a name")

    entries, axes = _entries(given, one, "writer")
    for writer in {writer for entry in entries for writer in entry}:
        writer.check(extent)
    for entry in entries:
        _refuse_overlap(entry)
    return Side(entries, axes, (len(entries),) if axes else ())


def reader_side(given: Readers, extent: Extent) -> Side[Reader]:
    """What was asked for as readers.

    Args:
        given: `"q"`, `"k"`, `"v"` or `"mlp"` for all of them, in axes of their own; one
            reader or its name; a set of them, which are reached together; or a list of
            all these, one by one.
        extent: what the model has.

    Raises:
        ValueError: if there is none, one is not a reader, or a set holds the end of the
            model beside others.
        IndexError: if the model has no such reader.
    """
    if isinstance(given, str) and given in (*HEAD_PARTS, "mlp"):
        n_heads = extent.n_heads if given == "q" else extent.n_kv_heads
        sizes = {"layer": extent.n_layers, "head": n_heads}
        return _all_of(Reader, given, "", sizes, extent)

    def one(end: object) -> Reader:
        if isinstance(end, Reader):
            return end
        if isinstance(end, Node):
            return Reader.of(end)
        if isinstance(end, str):
            return Reader.parse(end)
        raise TypeError(f"{end!r} is not a reader: use a Reader, a part or a name")

    entries, axes = _entries(given, one, "reader")
    for reader in {reader for entry in entries for reader in entry}:
        reader.check(extent)
    for entry in entries:
        if len(entry) > 1 and any(reader.part == "final" for reader in entry):
            raise ValueError(
                f"{joined(entry)}: the end of the model reads what all other readers do; "
                "it cannot be reached together with them. Ask for 'final' alone"
            )
    return Side(entries, axes, (len(entries),) if axes else ())


def _all_of(
    cls: type[End], part: str, prefix: str, sizes: Mapping[str, int], extent: Extent
) -> Side[End]:
    axes = ("layer",) if part == "mlp" else ("layer", "head")
    shape = tuple(sizes[axis] for axis in axes)
    cells = product(*map(range, shape))
    ends = [cls(part, **dict(zip(axes, cell, strict=True))) for cell in cells]
    ends[0].check(extent)  # an MLP may be what the model has none of
    entries = tuple((end,) for end in ends)
    return Side(entries, tuple(prefix + axis for axis in axes), shape, named=False)


def _entries(
    given: object, one: Callable[[object], End], what: str
) -> tuple[tuple[tuple[End, ...], ...], tuple[str, ...]]:
    """Entries and axes of what was named."""

    def entry(ends: object) -> tuple[End, ...]:
        if not isinstance(ends, AbstractSet):
            return (one(ends),)
        found = {one(end) for end in ends}
        if not found:
            raise ValueError(f"a set of {what}s is empty: there is nothing to patch")
        return tuple(sorted(found, key=_order))

    if isinstance(given, (Writer, Reader, Node, str, AbstractSet)):
        return (entry(given),), ()
    found = tuple(entry(ends) for ends in cast("Iterable[object]", given))
    if not found:
        raise ValueError(f"no {what} is given: name one at least")
    return found, (what,)


def _order(end: Writer | Reader) -> tuple[int, str]:
    return (-1 if end.layer is None else end.layer), str(end)


def _refuse_overlap(entry: tuple[Writer, ...]) -> None:
    whole = {(w.part, w.layer, w.head): w for w in entry if w.pos is None}
    for writer in entry:
        other = whole.get((writer.part, writer.layer, writer.head))
        if other is not None and other != writer:
            raise ValueError(
                f"{other} and {writer} overlap: {other} writes at all positions already"
            )
