"""A path from writers to readers, and whether the stream runs that way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from patchwidget.paths.ends import Reader, Writer

END = 10**9  # later than any layer
ARROW = "->"


@dataclass(frozen=True)
class Path:
    """From one writer, or several patched together, to one reader or several.

    Attributes:
        writers: whose changes are carried.
        readers: what they reach.

    Example:
        >>> str(Path((Writer("head", 1, 2),), (Reader("q", 4, 0),)))
        'L1H2 -> L4H0.q'
        >>> Path.parse("L1H2 -> L4H0.q").writers
        (L1H2,)
    """

    writers: tuple[Writer, ...]
    readers: tuple[Reader, ...]

    def __str__(self) -> str:
        return f"{joined(self.writers)} {ARROW} {joined(self.readers)}"

    def __repr__(self) -> str:
        return str(self)

    @property
    def name(self) -> str:
        """What it is called."""
        return str(self)

    @classmethod
    def parse(cls, text: str, labels: Mapping[str, int] | None = None) -> Path:
        """Read the name of a path from one writer to one reader: `"L1H2 -> L4H0.q"`.

        Blanks around the arrow may be left out.

        Args:
            text: the name.
            labels: positions that may stand for a number, as in `Pairs.labels`.

        Raises:
            ValueError: if the text is not the name of such a path.
        """
        writer, arrow, reader = text.partition(ARROW)
        if not arrow:
            raise ValueError(f"{text!r} is not a path: write 'L1H2 -> L4H0.q'")
        return cls((Writer.parse(writer, labels),), (Reader.parse(reader),))


def joined(ends: Sequence[Writer | Reader]) -> str:
    """Names of ends that belong together."""
    return " + ".join(map(str, ends))


def obstacle(writer: Writer, reader: Reader, *, parallel: bool) -> str | None:
    """Why there is no path from a writer to a reader, in words; None if there is one.

    Args:
        writer: where it would start.
        reader: where it would end.
        parallel: whether the blocks' MLPs read the same stream as attention does.
    """
    if writes_at(writer, parallel=parallel) < reads_at(reader, parallel=parallel):
        return None
    if writer.layer != reader.layer:
        return (
            f"{writer} -> {reader} runs backwards: layer {reader.layer} has read before "
            f"layer {writer.layer} writes"
        )
    if reader.part == "mlp" and writer.part == "head":
        return (
            f"{writer} -> {reader} does not exist: in this model an MLP reads the same "
            "stream as the heads of its layer, and not what they write"
        )
    itself = reader.part == "mlp" or writer.head == reader.head
    return (
        f"{writer} -> {reader} leads "
        f"{'to itself' if itself and writer.part != 'embed' else 'into its own layer'}: "
        f"layer {reader.layer} reads before it writes. Choose a reader in a later layer"
    )


def writes_at(writer: Writer, *, parallel: bool) -> int:
    """When a writer writes, counted in half layers."""
    if writer.layer is None:
        return -1
    return 2 * writer.layer + (writer.part == "mlp" and not parallel)


def reads_at(reader: Reader, *, parallel: bool) -> int:
    """When a reader reads, counted in half layers: after writes of lower numbers."""
    if reader.part == "final":
        return END
    late = reader.part == "mlp" and not parallel
    return 2 * cast("int", reader.layer) + late
