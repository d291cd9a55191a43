"""All that a circuit is cut out of: everything of the kinds that its members are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from patchwidget.circuits.kept import Whole
from patchwidget.circuits.parts import Part
from patchwidget.exact import Patch, together
from patchwidget.nodes import Extent, kind_name
from patchwidget.paths import Writer

# What writes to the stream, and what a head is made of. A later layer's stream would
# overwrite what an earlier one was given.
KINDS = ("z", "q", "k", "v", "pattern", "attn_out", "mlp_out")
WHOLES = ("mlp", "embed")
_SAME = {"mlp": "mlp_out", "embed": "resid_pre"}

Family = tuple[str, str | None]


@dataclass(frozen=True)
class Parts(Whole[Part, Patch]):
    """All nodes that circuits of nodes are cut out of.

    Attributes:
        parts: each once.
    """

    parts: tuple[Part, ...]

    def __len__(self) -> int:
        return len(self.parts)

    def without(self, parts: Iterable[Part]) -> Patch:
        """The nodes of some parts; `()` if there is none."""
        return self.also((), parts)

    def only(self, circuit: Iterable[Part]) -> Patch:
        """The nodes of all other parts."""
        inside = set(circuit)
        return self.without(part for part in self.parts if part not in inside)

    def also(self, run: Patch, parts: Iterable[Part]) -> Patch:
        """The nodes of a run, and of some parts."""
        nodes = [*run, *(node for part in parts for node in part.nodes)]
        return together(nodes) if nodes else ()


def universe(
    members: Sequence[Part], among: Iterable[str] | str | None, extent: Extent
) -> tuple[Part, ...]:
    """Every part of the families that the members belong to, and of those asked for.

    Args:
        members: of the circuit.
        among: kinds, `"mlp"` for MLPs and `"embed"` for the embedding as wholes; None is
            the members' own. Kinds are cut as the members are.
        extent: how many of everything there are.

    Raises:
        ValueError: if a kind cannot be a circuit's, members are cut in two ways, or a
            member is not among the kinds asked for.
    """
    families = _families(members)
    if among is not None:
        asked = (among,) if isinstance(among, str) else tuple(among)
        families = _asked(families, asked)
    parts = tuple(part for family in families for part in _every(family, extent))
    missing = [part for part in members if part not in set(parts)]
    if missing:
        raise ValueError(
            f"{missing[0]} is not among {', '.join(kind for kind, _ in families)}: "
            f"add {missing[0].family[0]!r} to among"
        )
    return parts


def _families(members: Sequence[Part]) -> list[Family]:
    found: dict[str, Part] = {}
    for part in members:
        name = _SAME.get(part.family[0], part.family[0])
        _require_kind(part)
        other = found.setdefault(name, part)
        if other.family != part.family:
            raise ValueError(
                f"{other} and {part} are cut differently: name all of a kind at "
                "positions, or all of them as wholes"
            )
    return list(dict.fromkeys(part.family for part in found.values()))


def _require_kind(part: Part) -> None:
    kind = part.family[0]
    if kind not in (*KINDS, *WHOLES):
        raise ValueError(
            f"{part} cannot be a member of a circuit: the rest of its kind would be "
            f"patched beside it. Choose {', '.join(KINDS)}, 'L3.mlp' or 'embed'"
        )


def _asked(families: Sequence[Family], asked: Sequence[str]) -> list[Family]:
    cuts = dict(families)
    names = [one if one in WHOLES else kind_name(one) for one in asked]
    unknown = [name for name in names if name not in (*KINDS, *WHOLES)]
    if unknown or not names:
        raise ValueError(
            f"among={list(asked)!r} names no kind that a circuit is cut out of: choose "
            f"of {', '.join((*KINDS, *WHOLES))}"
        )
    if {"mlp", "mlp_out"} <= set(names):
        raise ValueError("among holds MLPs as wholes and by position: choose one")
    return [(name, cuts.get(name)) for name in dict.fromkeys(names)]


def _every(family: Family, extent: Extent) -> list[Part]:
    kind, by = family
    if kind == "embed":
        return [Part.of_writer(Writer("embed"), extent)]
    if kind == "mlp":
        layers = range(extent.n_layers)
        return [Part.of_writer(Writer("mlp", layer), extent) for layer in layers]
    return [Part.of_node(node) for node in extent.nodes(kind, by)]
