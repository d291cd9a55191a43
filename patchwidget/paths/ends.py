"""The two ends of a path: who writes to the residual stream, and who reads from it.

A *writer* adds to the stream: the embedding, a head's output, an MLP's output. A *reader*
takes the stream in, each through its own norm: queries, keys and values of a head, an MLP,
the end of the model. Between a writer and every reader after it lies a *path*: the stream
carries the write there unchanged. What does not differ between the two runs of a study
(biases, the positions' embedding) is part of no writer's change.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from patchwidget.nodes import Extent, Node, whole

WRITER_PARTS = ("embed", "head", "mlp")
HEAD_PARTS = ("q", "k", "v")
READER_PARTS = (*HEAD_PARTS, "mlp", "final")
_NAME = re.compile(
    r"^L?(?P<layer>\d+)(?:(?:H|\.)(?P<head>\d+))?(?:\.(?P<part>[a-z_]+))?(?:@(?P<pos>.+))?$"
)


@dataclass(frozen=True)
class Writer:
    """Something that adds to the residual stream.

    Attributes:
        part: `"embed"`, `"head"` or `"mlp"`.
        layer: layer, from 0; the embedding has none.
        head: head, from 0; only of a head.
        pos: the position at which it writes; None is all of them.

    Raises:
        ValueError: if the parts do not make a writer.

    Example:
        >>> str(Writer("head", 1, 2)), str(Writer("mlp", 3, pos=5)), str(Writer("embed"))
        ('L1H2', 'L3.mlp@5', 'embed')
        >>> Writer.parse("L1H2") == Writer("head", 1, 2)
        True
    """

    part: str
    layer: int | None = None
    head: int | None = None
    pos: int | None = None

    def __post_init__(self) -> None:
        _know(self.part, WRITER_PARTS, "writer")
        _require(self, "layer", needed=self.part != "embed")
        _require(self, "head", needed=self.part == "head")
        _whole(self, "pos")

    def __str__(self) -> str:
        head = "" if self.head is None else f"H{self.head}"
        name = {"embed": "embed", "head": f"L{self.layer}{head}"}
        pos = "" if self.pos is None else f"@{self.pos}"
        return name.get(self.part, f"L{self.layer}.{self.part}") + pos

    def __repr__(self) -> str:
        return str(self)

    @classmethod
    def of(cls, node: Node) -> Writer:
        """The writer that a node stands for: a head's z, an MLP's output.

        Raises:
            ValueError: if the node writes nothing of its own.
        """
        if node.kind == "z":
            return cls("head", node.layer, node.head, node.pos)
        if node.kind == "mlp_out":
            return cls("mlp", node.layer, pos=node.pos)
        if node.kind == "resid_pre" and node.layer == 0:
            return cls("embed", pos=node.pos)
        raise ValueError(
            f"{node} is not a writer: a path starts at a head, Head(1, 2), at "
            "Writer('mlp', 1) or at Writer('embed')"
        )

    @classmethod
    def parse(cls, text: str, labels: Mapping[str, int] | None = None) -> Writer:
        """Read a writer's name: `"L1H2"`, `"L3.mlp@5"`, `"embed"`.

        Args:
            text: the name.
            labels: positions that may stand for a number, as in `Pairs.labels`.

        Raises:
            ValueError: if the text is not a writer's name.
        """
        name, _, place = text.strip().partition("@")
        pos = f"@{place}" if place else ""
        if name == "embed":
            # Read by the node's own rules, the named positions among them.
            return (
                cls.of(Node.parse(f"L0.resid_pre{pos}", labels)) if pos else cls(name)
            )
        match = _NAME.match(name)
        if match is None:
            raise ValueError(
                f"{text.strip()!r} is not a writer: write 'L1H2', 'L3.mlp', 'embed'"
            )
        if match["part"] in ("mlp", "mlp_out") and not match["head"]:
            if not pos:
                return cls("mlp", int(match["layer"]))
            name = f"L{match['layer']}.mlp_out"
        return cls.of(Node.parse(name + pos, labels))

    def check(self, extent: Extent) -> None:
        """Refuse a writer that this model does not have.

        Raises:
            IndexError: naming the part that is out of range and the range.
            ValueError: for an MLP where there is none.
        """
        if self.part == "mlp":
            _require_mlp(extent, str(self))
        _within(self, "layer", extent.n_layers)
        _within(self, "head", extent.n_heads)
        _within(self, "pos", extent.n_pos)


@dataclass(frozen=True)
class Reader:
    """Something that takes in the residual stream, at all positions.

    Attributes:
        part: `"q"`, `"k"` or `"v"` of a head, `"mlp"`, or `"final"`: the end of the
            model, which the metric reads.
        layer: layer, from 0; the end has none.
        head: head of q, k and v: a KV head for k and v.

    Raises:
        ValueError: if the parts do not make a reader.

    Example:
        >>> str(Reader("q", 4, 0)), str(Reader("mlp", 3)), str(Reader("final"))
        ('L4H0.q', 'L3.mlp', 'final')
        >>> Reader.parse("L4H0.q") == Reader("q", 4, 0)
        True
    """

    part: str
    layer: int | None = None
    head: int | None = None

    def __post_init__(self) -> None:
        _know(self.part, READER_PARTS, "reader")
        _require(self, "layer", needed=self.part != "final")
        _require(self, "head", needed=self.part in HEAD_PARTS)

    def __str__(self) -> str:
        head = "" if self.head is None else f"H{self.head}"
        return self.part if self.layer is None else f"L{self.layer}{head}.{self.part}"

    def __repr__(self) -> str:
        return str(self)

    @classmethod
    def of(cls, node: Node) -> Reader:
        """The reader that a node stands for: a head's query, key or value.

        Raises:
            ValueError: if it is none, or only one position of one.
        """
        if node.kind in HEAD_PARTS and node.pos is None:
            return cls(node.kind, node.layer, node.head)
        raise ValueError(
            f"{node} is not a reader: a path ends at Reader('q', 4, 0) (or k, v), "
            "Reader('mlp', 4) or Reader('final'), at all positions"
        )

    @classmethod
    def parse(cls, text: str) -> Reader:
        """Read a reader's name: `"L4H0.q"`, `"L3.mlp"`, `"final"`.

        Raises:
            ValueError: if the text is not a reader's name.
        """
        match = _NAME.match(text.strip())
        if text.strip() == "final":
            return cls("final")
        if match is None or match["part"] is None or match["pos"] is not None:
            raise ValueError(
                f"{text.strip()!r} is not a reader: write 'L4H0.q' (or k, v), 'L3.mlp' or 'final'"
            )
        head = None if match["head"] is None else int(match["head"])
        return cls(match["part"], int(match["layer"]), head)

    def check(self, extent: Extent) -> None:
        """Refuse a reader that this model does not have.

        Raises:
            IndexError: naming the part that is out of range and the range; for a query
                head where a KV head is wanted, the KV head that serves it.
            ValueError: for an MLP where there is none.
        """
        if self.part == "mlp":
            _require_mlp(extent, str(self))
        _within(self, "layer", extent.n_layers)
        if self.part not in ("k", "v"):
            _within(self, "head", extent.n_heads)
            return
        head, group = cast("int", self.head), extent.n_heads // extent.n_kv_heads
        if extent.n_kv_heads <= head < extent.n_heads:
            raise IndexError(
                f"{self}: keys and values are those of KV heads, 0 to "
                f"{extent.n_kv_heads - 1}. Query head {head} is served by KV head "
                f"{head // group}: Reader({self.part!r}, {self.layer}, {head // group})"
            )
        _within(self, "head", extent.n_kv_heads, "KV head")


def _know(part: object, parts: tuple[str, ...], what: str) -> None:
    if part not in parts:
        raise ValueError(f"unknown {what} {part!r}: choose one of {', '.join(parts)}")


def _require(end: Writer | Reader, name: str, *, needed: bool) -> None:
    _whole(end, name)
    if (getattr(end, name) is None) == needed:
        what = f"{end.part} {type(end).__name__.lower()}"
        raise ValueError(f"a {what} {'needs' if needed else 'has no'} {name}")


def _whole(end: Writer | Reader, name: str) -> None:
    value = getattr(end, name)
    if value is not None:
        object.__setattr__(end, name, whole(name, value))


def _within(end: Writer | Reader, name: str, size: int, what: str = "") -> None:
    value = getattr(end, name)
    if value is not None and not 0 <= value < size:
        raise IndexError(
            f"{end}: there is no {what or name} {value}, only 0 to {size - 1}"
        )


def _require_mlp(extent: Extent, name: str) -> None:
    if not extent.d_mlp:
        raise ValueError(f"{name}: the blocks of this model have no MLP")
