"""What is saved of a study, as objects: between a study and the bytes of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from patchwidget.attention import Attention
from patchwidget.effects import Effect
from patchwidget.estimate import Asked
from patchwidget.exact import Patch
from patchwidget.grids import Grid, Scale
from patchwidget.nodes import Extent
from patchwidget.pairs import TokenPairs
from patchwidget.runs import Direction


@dataclass(frozen=True, eq=False)
class SavedSource:
    """An ablation's source.

    Attributes:
        name: `"zero"`, `"mean"`, ...; of one's own class, whatever it calls itself.
        is_own: whether it is of one's own class, which is not saved.
        seed, sigma: as in `patchwidget.sources`, where it has them.
        prompts: tokens `[N, T]`, where it has prompts.
    """

    name: str
    is_own: bool = False
    seed: int | None = None
    sigma: float | None = None
    prompts: Tensor | None = None


@dataclass(frozen=True)
class Model:
    """What is remembered of a model, the same in every process.

    Attributes:
        name: what it is called.
        config: what tells architectures apart, by TransformerLens' names; its class.
        weights: a checksum of names, shapes and some numbers of every weight.
        unsure: empty, or why the model was no longer the one that the results are of.
    """

    name: str
    config: Mapping[str, str]
    weights: str
    unsure: str = ""


@dataclass(frozen=True, eq=False)
class Side:
    """The results in one direction.

    Attributes:
        direction: which.
        scales: metric of base and source run, by the metric's name.
        grids: estimates.
        effects: exact effects by metric and patch, in the order in which they were found.
    """

    direction: Direction
    scales: Mapping[str, Scale]
    grids: Mapping[Asked, Grid]
    effects: Mapping[str, Mapping[Patch, Effect]]


@dataclass(frozen=True, eq=False)
class Contents:
    """All of a saved study.

    Attributes:
        pairs: the prompts.
        extent: how many nodes there are.
        metrics: the built-in metric that each name means; None for a function of one's
            own. The first is the main one.
        source: the ablation, if it is one.
        has_unit: False where effects are raw changes of the metric.
        sides: the direction of the study, and the other one if anything is known in it.
        attention: patterns of chosen heads.
        moving: for whole kinds, which nodes can have an effect, `[*axes]`.
        obstacles: for kinds that cannot be patched, why.
        notice: see `PatchStudy`.
        model: what it was.
        provenance: versions by package, and the date.
    """

    pairs: TokenPairs
    extent: Extent
    metrics: Mapping[str, str | None]
    source: SavedSource | None
    has_unit: bool
    sides: tuple[Side, ...]
    attention: Attention | None
    moving: Mapping[str, Tensor]
    obstacles: Mapping[str, str]
    notice: str | None
    model: Model
    provenance: Mapping[str, str]

    def with_sides(self, sides: Sequence[Side]) -> Contents:
        """The same with other directions, or in another order: the first is on show."""
        return replace(self, sides=tuple(sides))
