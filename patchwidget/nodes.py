"""The nodes of a model that can be patched, and their names.

- A *kind* is a family of activations, named as in TransformerLens: `z`, `resid_pre`.
- A *node* is one cell of a kind: one head, one position of one layer, one neuron.
- `by` says how finely a kind is cut: a head as a whole (`None`), by position (`"pos"`),
  a pattern by destination (`"dest"`) or by destination and source (`"dest_src"`).

A node knows where its values lie in the tensor of its kind; it knows nothing of models.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, cast

STREAM_KINDS = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out")
VECTOR_KINDS = ("z", "q", "k", "v")
HEAD_KINDS = (*VECTOR_KINDS, "pattern")
KINDS = (*STREAM_KINDS, *HEAD_KINDS, "neuron")

# Axes in the order of TransformerLens' own patching functions: heads come *after* the
# position in its by-position results, and before it in its pattern results.
_Cuts = dict[str | None, tuple[str, ...]]
_STREAM_AXES: _Cuts = {None: ("layer", "pos")}
_VECTOR_AXES: _Cuts = {None: ("layer", "head"), "pos": ("layer", "pos", "head")}
_AXES: dict[str, _Cuts] = {
    **dict.fromkeys(STREAM_KINDS, _STREAM_AXES),
    **dict.fromkeys(VECTOR_KINDS, _VECTOR_AXES),
    "pattern": {
        None: ("layer", "head"),
        "dest": ("layer", "head", "pos"),
        "dest_src": ("layer", "head", "pos", "src"),
    },
    "neuron": {None: ("layer", "pos", "neuron")},
}
# Names that TransformerLens uses for the same activations.
_ALIASES = {"post": "neuron", "attn": "pattern"}
_HOOK_NAME = re.compile(r"^(?:attn\.|mlp\.)?hook_(\w+)$")
_NODE_NAME = re.compile(
    r"^L?(?P<layer>\d+)(?:(?:H|\.)(?P<head>\d+))?(?:\.(?P<kind>[a-z_]+))?"
    r"(?:@(?P<pos>[^,#]+)(?:,(?P<src>[^#]+))?)?(?:#(?P<neuron>\d+))?$"
)


def kind_name(kind: str) -> str:
    """Our name of a kind, given ours or TransformerLens' (`"attn.hook_z"`).

    Raises:
        ValueError: if there is no such kind.
    """
    hook = _HOOK_NAME.match(kind) if isinstance(kind, str) else None
    name = hook.group(1) if hook else kind
    name = _ALIASES.get(name, name)
    if name not in KINDS:
        raise ValueError(f"unknown kind {kind!r}: choose one of {', '.join(KINDS)}")
    return name


def cut_of(kind: str, by: str | None = None) -> str | None:
    """The one name of a way to cut a kind; `"pos"` is what it already is, or `"dest"`.

    Raises:
        ValueError: if the kind cannot be cut that way.
    """
    kind = kind_name(kind)
    if by == "pos" and kind not in VECTOR_KINDS:
        return "dest" if kind == "pattern" else None
    if by not in _AXES[kind]:
        raise ValueError(
            f"{kind} cannot be had by {by!r}: choose one of {list(_AXES[kind])}"
        )
    return by


def cuts_of(kind: str) -> tuple[str | None, ...]:
    """Every way to cut a kind.

    Raises:
        ValueError: if there is no such kind.
    """
    return tuple(_AXES[kind_name(kind)])


def axes_of(kind: str, by: str | None = None) -> tuple[str, ...]:
    """The axes of a grid over `kind`, in TransformerLens' order.

    Raises:
        ValueError: if the kind cannot be cut that way.
    """
    return _AXES[kind_name(kind)][cut_of(kind, by)]


@dataclass(frozen=True)
class Extent:
    """How many of everything there are in one model on prompts of one length."""

    n_layers: int
    n_heads: int
    n_kv_heads: int
    n_pos: int
    d_mlp: int

    def size(self, axis: str, kind: str) -> int:
        """Length of one axis; keys and values count their own (KV) heads."""
        if axis == "head":
            return self.n_kv_heads if kind in ("k", "v") else self.n_heads
        sizes = {
            "layer": self.n_layers,
            "pos": self.n_pos,
            "src": self.n_pos,
            "neuron": self.d_mlp,
        }
        return sizes[axis]

    def shape(self, kind: str, by: str | None = None) -> tuple[int, ...]:
        """Shape of a grid over `kind`."""
        return tuple(self.size(axis, kind) for axis in axes_of(kind, by))

    def nodes(self, kind: str, by: str | None = None) -> Iterator[Node]:
        """Every node of a kind, in the order of its grid's cells."""
        axes = axes_of(kind, by)
        for cell in product(*(range(size) for size in self.shape(kind, by))):
            yield Node(kind_name(kind), **dict(zip(axes, cell, strict=True)))

    def check(self, node: Node) -> None:
        """Refuse a node that this model does not have.

        Raises:
            IndexError: naming the part that is out of range and the range.
        """
        for axis in ("layer", "head", "pos", "src", "neuron"):
            value = getattr(node, axis)
            if value is None:
                continue
            size = self.size(axis, node.kind)
            if not 0 <= value < size:
                is_kv = axis == "head" and node.kind in ("k", "v")
                what = "KV head" if is_kv else axis
                group = self.n_heads // self.n_kv_heads
                served = is_kv and 0 <= value < self.n_heads
                raise IndexError(
                    f"{node}: there is no {what} {value}, only 0 to {size - 1}"
                    + (
                        f". Query head {value} is served by KV head {value // group}"
                        if served
                        else ""
                    )
                )


@dataclass(frozen=True)
class Node:
    """One thing that can be patched.

    Attributes:
        kind: one of `KINDS`; TransformerLens' hook names are accepted.
        layer: layer, from 0.
        head: head of a head kind (a KV head for `k` and `v`).
        pos: position; `None` is all positions. For `pattern` it is the destination.
        src: source position of a `pattern` node.
        neuron: index of an MLP neuron.

    Raises:
        ValueError: if the parts do not make a node of that kind.

    Example:
        >>> str(Node("q", 9, head=9, pos=12))
        'L9H9.q@12'
        >>> Node.parse("9.9.q@12") == Node("q", 9, head=9, pos=12)
        True
    """

    kind: str
    layer: int
    head: int | None = None
    pos: int | None = None
    src: int | None = None
    neuron: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", kind_name(self.kind))
        for axis in ("layer", "head", "pos", "src", "neuron"):
            self._check_integer(axis)
        is_head = self.kind in HEAD_KINDS
        self._require("head", needed=is_head)
        self._require("neuron", needed=self.kind == "neuron")
        if self.pos is None and not is_head:
            raise ValueError(f"a {self.kind} node needs a position: pos=...")
        if self.src is not None and (self.kind != "pattern" or self.pos is None):
            raise ValueError("only a pattern node with a destination has a source")

    def _check_integer(self, axis: str) -> None:
        value = getattr(self, axis)
        if value is not None or axis == "layer":
            object.__setattr__(self, axis, whole(axis, value))

    def _require(self, part: str, *, needed: bool) -> None:
        if (getattr(self, part) is None) == needed:
            verb = "needs" if needed else "has no"
            raise ValueError(f"a {self.kind} node {verb} {part}")

    @property
    def by(self) -> str | None:
        """How finely this node cuts its kind: its grid's `by`."""
        if self.kind not in HEAD_KINDS or self.pos is None:
            return None
        if self.kind == "pattern":
            return "dest" if self.src is None else "dest_src"
        return "pos"

    @property
    def cell(self) -> tuple[int, ...]:
        """The node's place in the grid `axes_of(kind, by)`."""
        return tuple(getattr(self, axis) for axis in axes_of(self.kind, self.by))

    @property
    def index(self) -> tuple[slice | int, ...]:
        """The node's place in its layer's tensor, batch first.

        Tensors are `[B, T, d]` for the stream, `[B, T, H, d_head]` for z, q, k, v,
        `[B, H, dest, src]` for the pattern and `[B, T, d_mlp]` for neurons.
        """
        pairs, every = slice(None), slice(None)
        pos = every if self.pos is None else self.pos
        if self.kind == "pattern":
            src = every if self.src is None else self.src
            return (pairs, cast("int", self.head), pos, src)
        if self.kind == "neuron":
            return (pairs, pos, cast("int", self.neuron))
        if self.kind in VECTOR_KINDS:
            return (pairs, pos, cast("int", self.head))
        return (pairs, pos)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        head = "" if self.head is None else f"H{self.head}"
        pos = "" if self.pos is None else f"@{self.pos}"
        src = "" if self.src is None else f",{self.src}"
        neuron = "" if self.neuron is None else f"#{self.neuron}"
        return f"L{self.layer}{head}.{self.kind}{pos}{src}{neuron}"

    @classmethod
    def parse(cls, text: str, labels: Mapping[str, int] | None = None) -> Node:
        """Read a node's name: `"L9H9.q@12"`, `"9.9"` (z), `"L0.resid_pre@S2"`.

        Args:
            text: the name.
            labels: positions that may stand for a number, as in `Pairs.labels`.

        Raises:
            ValueError: if the text is not a node's name.
        """
        match = _NODE_NAME.match(text.strip())
        if match is None:
            raise ValueError(
                f"{text!r} is not a node: write it as in 'L9H9.q@12', 'L3.mlp_out@12'"
            )
        kind = match["kind"] or ("z" if match["head"] else None)
        if kind is None:
            raise ValueError(f"{text!r} names a layer: say what, 'L3.resid_pre@5'")
        return cls(
            kind,
            int(match["layer"]),
            head=_number(match["head"]),
            pos=_position(match["pos"], labels),
            src=_position(match["src"], labels),
            neuron=_number(match["neuron"]),
        )


Nodes = Iterable[Node | str] | Node | str


def nodes_of(what: Nodes, labels: Mapping[str, int], extent: Extent) -> list[Node]:
    """Nodes from nodes or names, each checked to exist.

    Args:
        what: nodes, names, or one of them.
        labels: names of positions.
        extent: how many of everything there are.

    Raises:
        IndexError: if a layer, head or position is out of range.
        ValueError: if a name is not a node's.
        TypeError: if it is something else.
    """
    several = isinstance(what, Iterable) and not isinstance(what, str)
    given: list[Any] = list(cast("Iterable[Any]", what)) if several else [what]
    nodes = [Node.parse(one, labels) if isinstance(one, str) else one for one in given]
    for node in nodes:
        if not isinstance(node, Node):
            raise TypeError(
                f"{node!r} is not a node: use Node, Head or a name such as 'L0H0.z', "
                "or a list of these"
            )
        extent.check(node)
    return nodes


def is_node_name(text: str) -> bool:
    """Whether a text begins as the name of a node does, and not as that of a kind."""
    return text[:1].isdigit() or (text[:1] == "L" and text[1:2].isdigit())


def is_kind_name(what: object) -> bool:
    """Whether something is a text that names a kind, and not nodes."""
    return isinstance(what, str) and not is_node_name(what)


def whole(name: str, value: Any) -> int:
    """A whole number as Python's own: others would make unequal, unhashable nodes.

    Args:
        name: what it is.
        value: also of numpy, or a 0-d tensor.

    Raises:
        ValueError: if it is no whole number.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ValueError(f"{name} must be a whole number, got {value!r}")
    number: int = value.__index__()
    return number


def Head(layer: int, head: int, kind: str = "z", pos: int | None = None) -> Node:  # noqa: N802 - reads as the constructor it is
    """Shorthand for a node of one attention head.

    Example:
        >>> str(Head(9, 9)), str(Head(5, 5, kind="q"))
        ('L9H9.z', 'L5H5.q')
    """
    return Node(kind, layer, head=head, pos=pos)


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _position(text: str | None, labels: Mapping[str, int] | None) -> int | None:
    if text is None or text.isdecimal():
        return _number(text)
    if text not in (labels or {}):
        known = ", ".join(labels or ()) or "none are named"
        raise ValueError(f"there is no position named {text!r}: {known}")
    return (labels or {})[text]
