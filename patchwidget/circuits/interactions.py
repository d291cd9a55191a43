"""Redundancy: what two nodes do together beyond the sum of what each does alone.

The *interaction* of A and B is effect(A and B) - effect(A) - effect(B), each effect of a
run of its own. What it means depends on the direction (Heimersheim and Nanda, arXiv
2404.15255, on AND and OR in circuits):

- *AND-like*, both are needed: restoring one (denoising) does little and both do much, so
  the interaction has the effects' sign; breaking either (noising) breaks all, so it is
  against them.
- *OR-like*, either suffices: restoring one does all, and a second adds nothing; breaking
  one does little, since the other is still there, and both do much.

So one direction alone shows half of it: single effects miss OR-like nodes in noising, and
AND-like ones in denoising. Against the effects in both directions, two nodes *overlap*:
one does part of what the other does, as nodes on one path do; with them in both, they
*reinforce* each other. Where the corrupted prompts are the clean ones in another order,
with the answers swapped, both directions give the same numbers, and AND and OR cannot be
told apart: take corrupted prompts that are no mirror of the clean ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from patchwidget.circuits.parts import Member, Part, place_of
from patchwidget.circuits.spending import Found, Need
from patchwidget.effects import Effect
from patchwidget.exact import Patch, together
from patchwidget.grids import Scale
from patchwidget.runs import Direction
from patchwidget.spread import spread

# An interaction counts from a tenth of the largest of the three effects on, and effects
# from a hundredth of the whole.
THRESHOLD = 0.1
FLOOR = 0.01
_WITH_EFFECTS = {"denoising": "AND-like", "noising": "OR-like"}
_AGAINST_EFFECTS = {"denoising": "OR-like", "noising": "AND-like"}


@dataclass(frozen=True, eq=False)
class Side:
    """Interactions in one direction.

    Attributes:
        parts: the nodes, in the order of the axes.
        direction: which run the values were put into.
        singles: change of the metric when one is patched, `[B, n]`, in its units.
        joint: when two are patched together, `[B, n, n]`; on the diagonal `singles`.
        scale: what an effect is a fraction of; None where effects are the raw changes.
    """

    parts: tuple[Part, ...]
    direction: Direction
    singles: Tensor
    joint: Tensor
    scale: Scale | None

    @property
    def raw(self) -> Tensor:
        """Interactions of each pair of prompts, `[B, n, n]`; NaN on the diagonal."""
        raw = self.joint - self.singles[:, :, None] - self.singles[:, None, :]
        own = torch.eye(len(self.parts), dtype=torch.bool, device=raw.device)
        return raw.masked_fill(own, float("nan"))

    @property
    def per_pair(self) -> Tensor:
        """Interactions as effects, `[B, n, n]`; the raw ones where there is no scale."""
        return self._shown(self.raw)

    @property
    def values(self) -> Tensor:
        """Mean interaction over the pairs of prompts, `[n, n]`."""
        return self.per_pair.mean(0)

    @property
    def effects(self) -> Tensor:
        """Mean single effects `[n]`."""
        return self._shown(self.singles).mean(0)

    @property
    def spread(self) -> Tensor | None:
        """Range and interval of the mean over pairs, `[4, n, n]`; see `spread.spread`."""
        return spread(self.per_pair)

    def _shown(self, raw: Tensor) -> Tensor:
        return raw if self.scale is None else self.scale.shown(raw)

    def reading(self, a: int, b: int) -> str:
        """What the mean interaction of two nodes says, in a word.

        `"no effect"`: neither alone nor both together reach `FLOOR` of the scale.
        `"additive"`: the interaction is below `THRESHOLD` of the largest of the three.
        """
        both = self._shown(self.joint)[:, a, b].mean()
        effects = torch.stack([self.effects[a], self.effects[b], both])
        seen = effects.abs() > FLOOR * self._unit
        if not bool(seen.any()):
            return "no effect"
        largest = effects[effects.abs().argmax()]
        share = float(self.values[a, b] / largest)
        if abs(share) < THRESHOLD:
            return "additive"
        if bool(seen[:2].all()) and float(effects[0] * effects[1]) < 0:
            return "of opposite signs, not additive"
        words = _WITH_EFFECTS if share > 0 else _AGAINST_EFFECTS
        return words[self.direction]

    @property
    def _unit(self) -> float:
        """What `FLOOR` is a share of: 1; for raw changes the largest of them."""
        if self.scale is not None and self.scale.value is not None:
            return 1.0
        return float(self.joint.mean(0).abs().max())


@dataclass(frozen=True, eq=False)
class Interactions:
    """Interactions of picked nodes in both directions; an ablation has noising alone.

    Attributes:
        parts: the nodes.
        sides: what was found, by direction.

    Example:
        >>> from patchwidget import PatchStudy, demo
        >>> study = PatchStudy(demo.gate_model("or"), demo.gate_pairs())
        >>> found = study.interactions(["L0H0", "L0H1"])
        >>> found["noising"].values.shape
        torch.Size([2, 2])
        >>> found.reading("L0H0", "L0H1")
        'OR-like (denoising -0.82, noising +0.82)'
    """

    parts: tuple[Part, ...]
    sides: Mapping[Direction, Side]

    def __getitem__(self, direction: Direction) -> Side:
        """What was found in one direction.

        Raises:
            KeyError: if that direction was not to be had.
        """
        return self.sides[direction]

    def reading(self, a: Member, b: Member) -> str:
        """What the interaction of two of the nodes says, in words, with the numbers.

        Args:
            a: one of the nodes, or its name.
            b: another.

        Raises:
            KeyError: if one of them is not among the nodes.
        """
        cell = place_of(a, self.parts), place_of(b, self.parts)
        words: dict[Direction, str] = {
            way: side.reading(*cell) for way, side in self.sides.items()
        }
        told = {
            way: f"{float(side.values[cell]):+.2f}" for way, side in self.sides.items()
        }
        word = _in_one(words)
        if word is not None:
            numbers = ", ".join(f"{way} {value}" for way, value in told.items())
            return f"{word} ({numbers})"
        return ", ".join(f"{words[way]} in {way} ({told[way]})" for way in words)

    def __repr__(self) -> str:
        pairs = combinations(self.parts, 2)
        lines = [f"{a} and {b}: {self.reading(a.name, b.name)}" for a, b in pairs]
        return "\n".join(lines)


def _in_one(words: Mapping[Direction, str]) -> str | None:
    """One word for both directions, if they agree or are the two sides of one thing."""
    if len(set(words.values())) == 1:
        return next(iter(words.values()))
    if words == _AGAINST_EFFECTS:
        return "overlapping"
    return "reinforcing" if words == _WITH_EFFECTS else None


def interaction_need(
    parts: Sequence[Part], directions: Iterable[Direction]
) -> Need[Patch]:
    """Each node alone, and every two of them together.

    Raises:
        ValueError: if there are not two.
    """
    if len(parts) < 2:
        raise ValueError(
            f"{parts[0]} is one node: an interaction is that of two or more"
        )
    sets = [together(part.nodes) for part in parts]
    sets += [_both(a, b) for a, b in combinations(parts, 2)]
    return dict.fromkeys(directions, sets)


def _both(a: Part, b: Part) -> Patch:
    return together((*a.nodes, *b.nodes))


def interactions(parts: tuple[Part, ...], found: Found) -> Interactions:
    """Interactions from what was found of `interaction_need`."""
    return Interactions(
        parts, {way: _side(parts, way, effects) for way, effects in found.items()}
    )


def _side(
    parts: tuple[Part, ...], way: Direction, effects: Mapping[Patch, Effect]
) -> Side:
    singles = [effects[together(part.nodes)] for part in parts]
    raw = torch.stack([effect.raw for effect in singles], 1)
    joint = torch.diag_embed(raw)
    for (i, a), (j, b) in combinations(enumerate(parts), 2):
        joint[:, i, j] = joint[:, j, i] = effects[_both(a, b)].raw
    return Side(parts, way, raw, joint, singles[0].scale)
