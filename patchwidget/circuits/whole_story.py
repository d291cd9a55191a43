"""Is a circuit the whole story? Faithfulness, minimality, completeness.

The three criteria are those of Wang et al. (arXiv 2211.00593, section 4):

- *faithful*: the circuit alone does what the model does;
- *minimal*: each member is needed. They remove a member together with others chosen by
  hand; here it is removed alone, so that two members of which either suffices both look
  needless: their interaction says so;
- *complete*: nothing outside does the same work. Then any part K of the circuit is missed
  in the whole model as it is missed in the circuit: |f(C without K) - f(M without K)| is
  small for every K. Looked at are the circuit itself, which leaves the complement alone
  with the model, and random parts of it.

They are asked of paths as of nodes; see `circuits.wiring`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Generic

import torch
from torch import Tensor

from patchwidget.circuits.kept import Chosen, Kept, Key
from patchwidget.circuits.parts import Member, Part, place_of
from patchwidget.circuits.spending import Run
from patchwidget.effects import Effect
from patchwidget.paths import Path

SUBSETS = 20
_TOLD = 8  # names of those that are taken away


@dataclass(frozen=True, eq=False)
class Incompleteness:
    """What happens when a part of a circuit is taken away.

    Attributes:
        removed: the part K.
        circuit: faithfulness of the circuit without it, f(C without K), `[B]`.
        model: of the whole model without it, f(M without K), `[B]`.
    """

    removed: tuple[Part | Path, ...]
    circuit: Tensor
    model: Tensor

    @property
    def value(self) -> float:
        """|f(C without K) - f(M without K)|, of means over the pairs."""
        return abs(float((self.circuit - self.model).mean()))

    def __repr__(self) -> str:
        names = ", ".join(map(str, self.removed[:_TOLD]))
        more = len(self.removed) - _TOLD
        names += f" and {more} more" if more > 0 else ""
        left = f"{float(self.circuit.mean()):.3f} left of the circuit"
        return f"without {names}: {left}, {float(self.model.mean()):.3f} of the model"


@dataclass(frozen=True, eq=False)
class WholeStory:
    """How faithful, minimal and complete a circuit is.

    Attributes:
        members: of the circuit: nodes as `Part`, or paths.
        n_parts: of how many parts, members among them, it was cut out of.
        per_pair: faithfulness on each pair `[B]`; their mean is `faithfulness`.
        without: faithfulness without each member, `[B, n]`.
        complement: what the whole model keeps without the circuit, `[B]`.
        subsets: the circuit itself, and parts of it, taken away.
        all: the effect of patching all parts together: the work of which all else here
            are shares. Of paths it has no nodes, and is shown as "paths cut".

    Example:
        >>> from patchwidget import PatchStudy, demo
        >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
        >>> heads = ["L0H0", "L1H0", "L2H0", "L2H1", "L3H1", "L4H0", "L4H1"]
        >>> found = study.whole_story(heads, subsets=3)
        >>> found.faithfulness > 0.8, found.minimality["L2H1.z"] > 0.1
        (True, True)
    """

    members: tuple[Part | Path, ...]
    n_parts: int
    per_pair: Tensor
    without: Tensor
    subsets: tuple[Incompleteness, ...]
    all: Effect

    @property
    def faithfulness(self) -> float:
        """Share of the work that is kept when all else is patched; see `circuits.kept`."""
        return float(self.per_pair.mean())

    @property
    def minimality(self) -> dict[str, float]:
        """How much faithfulness drops when each member is patched too, by its name."""
        drops = (self.per_pair[:, None] - self.without).mean(0).tolist()
        return {part.name: drop for part, drop in zip(self.members, drops, strict=True)}

    @property
    def complement(self) -> float:
        """What the whole model keeps of the work without the circuit.

        0 if nothing outside does it. The circuit's own share and this one do not add up
        to 1 where nodes interact.
        """
        return float(self.subsets[0].model.mean())

    @property
    def incompleteness(self) -> float:
        """The largest |f(C without K) - f(M without K)| of those looked at."""
        return self.worst.value

    @property
    def worst(self) -> Incompleteness:
        """The part K of the circuit for which the two differ most."""
        return max(self.subsets, key=lambda one: one.value)

    def drop(self, member: Member | Path) -> Tensor:
        """Drop of faithfulness on each pair without one member, `[B]`.

        Raises:
            KeyError: if it is no member.
        """
        return self.per_pair - self.without[:, place_of(member, self.members)]

    def __repr__(self) -> str:
        drops = sorted(self.minimality.items(), key=lambda one: one[1])
        least = ", ".join(f"{name} {drop:+.3f}" for name, drop in drops[:3])
        what = "paths" if isinstance(self.members[0], Path) else "parts"
        return (
            f"{len(self.members)} of {self.n_parts} {what} keep {self.faithfulness:.3f} of "
            f"the work; the rest alone keeps {self.complement:.3f}\n"
            f"least needed: {least}\n"
            f"least complete {self.worst}"
        )


@dataclass(frozen=True)
class StoryRuns(Generic[Run]):
    """The runs that the three criteria look at, each made once.

    Attributes:
        circuit: of the circuit.
        ones: of the circuit without each member.
        removals: the parts that are taken away, as places of members.
        less: of the circuit without each of these.
        model: of the whole model without each of these.
    """

    circuit: Run
    ones: tuple[Run, ...]
    removals: tuple[tuple[int, ...], ...]
    less: tuple[Run, ...]
    model: tuple[Run, ...]

    @property
    def every(self) -> tuple[Run, ...]:
        """All of them."""
        return (self.circuit, *self.ones, *self.less, *self.model)


def story_runs(chosen: Chosen[Key, Run], subsets: int, seed: int) -> StoryRuns[Run]:
    """The runs of a circuit's story.

    Raises:
        ValueError: if `subsets` is negative or no number.
    """
    removals = tuple(_removals(len(chosen.keys), subsets, seed))
    return StoryRuns(
        chosen.circuit,
        tuple(chosen.less((place,)) for place in range(len(chosen.keys))),
        removals,
        tuple(map(chosen.less, removals)),
        tuple(map(chosen.without, removals)),
    )


def whole_story(
    chosen: Chosen[Key, Run], runs: StoryRuns[Run], effects: Mapping[Run, Effect]
) -> WholeStory:
    """The three criteria, from the effects of the runs of `story_runs`.

    Raises:
        ValueError: if all parts together change nothing.
    """
    kept, members = Kept(chosen.whole, effects), tuple(chosen.members)
    missed = [
        Incompleteness(
            tuple(members[place] for place in removed), kept.of(less), kept.of(model)
        )
        for removed, less, model in zip(
            runs.removals, runs.less, runs.model, strict=True
        )
    ]
    return WholeStory(
        members,
        len(chosen.whole),
        kept.of(runs.circuit),
        torch.stack(list(map(kept.of, runs.ones)), 1),
        tuple(missed),
        kept.all,
    )


def _removals(n_members: int, subsets: int, seed: int) -> list[tuple[int, ...]]:
    """The circuit itself, and so many random parts of it; all parts if there are few."""
    if isinstance(subsets, bool) or not isinstance(subsets, int) or subsets < 0:
        raise ValueError(f"subsets is a number of parts from 0 on, got {subsets!r}")
    every = tuple(range(n_members))
    if n_members <= subsets and 2**n_members - 2 <= subsets:
        smaller = (combinations(every, size) for size in range(1, n_members))
        return [every, *(part for parts in smaller for part in parts)]
    generator = random.Random(seed)  # noqa: S311 - which parts are looked at is no secret
    drawn: dict[tuple[int, ...], None] = {}
    while len(drawn) < subsets:
        part = tuple(one for one in every if generator.random() < 0.5)
        if part and len(part) < n_members:
            drawn[part] = None
    return [every, *drawn]
