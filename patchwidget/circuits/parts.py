"""The members of a circuit: nodes, and whole MLPs and the embedding, which are several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from patchwidget.nodes import Extent, Node, is_node_name, nodes_of
from patchwidget.pairs import TokenPairs
from patchwidget.paths import Path, Writer
from patchwidget.paths.path import ARROW

Member = Node | Writer | str


@dataclass(frozen=True)
class Part:
    """One member of a circuit.

    Attributes:
        name: what it is called.
        nodes: what is patched for it: one node, or all positions of an MLP or of the
            embedding.
        family: its kind and how that is cut, `("z", None)`; `("mlp", None)` and
            `("embed", None)` where it stands for all positions.

    Example:
        >>> Part.of_node(Node("z", 2, head=0)).name
        'L2H0.z'
    """

    name: str
    nodes: tuple[Node, ...]
    family: tuple[str, str | None]

    @classmethod
    def of_node(cls, node: Node) -> Part:
        """A node that is a member by itself."""
        return cls(str(node), (node,), (node.kind, node.by))

    @classmethod
    def of_writer(cls, writer: Writer, extent: Extent) -> Part:
        """An MLP or the embedding at all positions; any other writer is a node.

        Raises:
            IndexError: if the model has no such layer, head or position.
            ValueError: for an MLP where there is none.
        """
        writer.check(extent)
        layer = writer.layer or 0
        if writer.part == "head":
            return cls.of_node(Node("z", layer, head=writer.head, pos=writer.pos))
        kind = "mlp_out" if writer.part == "mlp" else "resid_pre"
        if writer.pos is not None:
            return cls.of_node(Node(kind, layer, pos=writer.pos))
        nodes = tuple(Node(kind, layer, pos=pos) for pos in range(extent.n_pos))
        return cls(str(writer), nodes, (writer.part, None))

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return self.name


def parts_of(
    members: Iterable[Member] | Member, pairs: TokenPairs, extent: Extent
) -> tuple[Part, ...]:
    """The parts that a user names, in that order.

    Args:
        members: nodes or their names; a `Writer` or its name, `"L3.mlp"` and `"embed"`,
            stands for all positions.
        pairs: the prompts, which name positions.
        extent: how many of everything the model has.

    Raises:
        ValueError: if there is none, one is given twice or lies inside another, or a name
            is none.
        IndexError: if the model has no such node; for a query head in place of a KV head,
            the one that serves it is named.
        TypeError: if something is neither node nor name.
    """
    if isinstance(members, (Node, Writer, str)):
        members = (members,)
    parts = tuple(_part(member, pairs, extent) for member in members)
    if not parts:
        raise ValueError(
            "the set is empty: name one node at least, such as Head(2, 0) or 'L3.mlp'"
        )
    _refuse_overlap(parts)
    return parts


def place_of(member: Member | Path, parts: Sequence[Part | Path]) -> int:
    """Where a member is among some parts or paths, by itself or its name.

    Raises:
        KeyError: if it is none of them.
    """
    names = [part.name for part in parts]
    wanted = str(member)
    if ARROW in wanted:
        wanted = f" {ARROW} ".join(end.strip() for end in wanted.split(ARROW))
    elif wanted not in names and is_node_name(wanted) and not _names_writer(wanted):
        wanted = str(Node.parse(wanted)) if "@" not in wanted else wanted
    if wanted not in names:
        raise KeyError(f"{member} is not among {', '.join(names)}")
    return names.index(wanted)


def _part(member: Member, pairs: TokenPairs, extent: Extent) -> Part:
    if isinstance(member, str) and _names_writer(member):
        member = Writer.parse(member, pairs.labels)
    if isinstance(member, Writer):
        return Part.of_writer(member, extent)
    (node,) = nodes_of(member, pairs.labels, extent)
    return Part.of_node(node)


def _names_writer(name: str) -> bool:
    start = name.strip().partition("@")[0]
    return start == "embed" or start.endswith(".mlp")


def _refuse_overlap(parts: Iterable[Part]) -> None:
    """Of two members, none may be in the other: it would be patched for both."""
    at: dict[tuple[object, ...], list[tuple[Node, Part]]] = defaultdict(list)
    for part in parts:
        for node in part.nodes:
            at[node.kind, node.layer, node.head, node.neuron].append((node, part))
    for group in at.values():
        seen: dict[tuple[int | None, int | None], Part] = {}
        for node, part in group:
            around = {(node.pos, node.src), (node.pos, None), (None, None)}
            other = next((seen[one] for one in around if one in seen), None)
            if other is None and _holds_several(node):
                other = _inside(node, seen)
            if other is not None:
                _refuse(other, part)
            seen[node.pos, node.src] = part


def _holds_several(node: Node) -> bool:
    """Whether other nodes of its kind may be parts of it."""
    return node.pos is None or (node.kind == "pattern" and node.src is None)


def _inside(node: Node, seen: dict[tuple[int | None, int | None], Part]) -> Part | None:
    """A part that lies inside a node which holds all positions, or all sources."""
    for (pos, _), part in seen.items():
        if node.pos is None or pos == node.pos:
            return part
    return None


def _refuse(first: Part, second: Part) -> None:
    if first == second:
        raise ValueError(f"{first} is given twice: name each member once")
    raise ValueError(f"{first} and {second} overlap: one of them is part of the other")
