"""Results over all nodes of a kind.

A grid keeps the raw change of the metric for every pair. An *effect* is that change divided
by one number for all pairs, the mean over pairs of metric(source) - metric(base), so
that per-pair effects average to the usual ratio of means: 0 = nothing changed, 1 = the
source's value on average (in noising too; ARENA's noising metric has the opposite sign).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from patchwidget.nodes import Node, axes_of, cut_of, kind_name


@dataclass(frozen=True, eq=False)
class Scale:
    """What an effect is a fraction of: the two runs' metric.

    Attributes:
        base, source: metric of each pair `[B]` (or `[1]` where only the mean is known).
        dtype: of the model, if it is another than the metric's own: half precision is
            widened before a metric is read, and has been rounded by then.
    """

    base: Tensor
    source: Tensor
    dtype: torch.dtype | None = None

    @property
    def value(self) -> float | None:
        """Mean metric(source) - metric(base); None where rounding hides any difference."""
        # Apple's devices have no double precision.
        source, base = self.source.cpu().double(), self.base.cpu().double()
        difference = float((source - base).mean())
        return difference if abs(difference) > self.rounding else None

    @property
    def rounding(self) -> float:
        """Changes of the metric up to this one are no more than rounding."""
        size = float(torch.maximum(self.base.abs(), self.source.abs()).max())
        return 8 * torch.finfo(self.dtype or self.base.dtype).eps * size

    def normalise(self, raw: Tensor) -> Tensor:
        """Effects from raw changes of the metric.

        Raises:
            ValueError: if both runs have the same metric, so that no fraction exists.
        """
        if self.value is None:
            raise ValueError(
                "clean and corrupted prompts give the same metric "
                f"({float(self.base.mean()):.6g}): an effect is a fraction of their "
                "difference. Use prompts that differ, or read .raw"
            )
        return raw / self.value

    def shown(self, raw: Tensor) -> Tensor:
        """Effects; where both runs have the same metric, the raw changes themselves."""
        return raw if self.value is None else self.normalise(raw)

    def of_prompts(self, direction: str) -> tuple[Tensor, Tensor]:
        """The metric on the clean and on the corrupted prompts, copies of `[B]` each."""
        base, source = self.base.clone(), self.source.clone()
        return (source, base) if direction == "denoising" else (base, source)


@dataclass(frozen=True)
class Cost:
    """What a result takes to compute from nothing, in passes of all pairs together.

    A run that is made again only to save memory counts once, and what kinds of the same
    study share counts for each of them: so costs of methods can be compared.

    Attributes:
        forwards: full forward passes.
        backwards: full backward passes; a backward through some layers is a fraction.

    Example:
        >>> Cost(forwards=2, backwards=1).passes
        4.0
    """

    forwards: float
    backwards: float

    @property
    def passes(self) -> float:
        """All of it in forward passes; a backward does about the work of two."""
        return float(self.forwards + 2 * self.backwards)


Label = TypeVar("Label")


class Labelled(ABC, Generic[Label]):
    """Effects for every pair in cells that have names: what grids have in common.

    Over the pairs there are two means: `values` keeps the sign, so that pairs may cancel;
    `mean_abs` takes the size of each pair's effect first, as AtP* does (arXiv 2403.00745,
    eq. 5), so that none cancels and a cell with effects +1 and -1 is not overlooked.
    """

    raw: Tensor
    scale: Scale | None
    signed: bool = True

    @property
    @abstractmethod
    def axes(self) -> tuple[str, ...]:
        """Names of the axes."""

    @abstractmethod
    def label(self, cell: Sequence[int]) -> Label:
        """What a cell of `values` is of."""

    @property
    def per_pair(self) -> Tensor:
        """Effects of each pair `[B, *axes]`; their mean over pairs is `values`."""
        effects = self.raw if self.scale is None else self.scale.normalise(self.raw)
        return effects if self.signed else effects.abs()

    @property
    def shown(self) -> Tensor:
        """`per_pair`; where both runs have the same metric, the raw changes."""
        effects = self.raw if self.scale is None else self.scale.shown(self.raw)
        return effects if self.signed else effects.abs()

    @property
    def values(self) -> Tensor:
        """Mean effect over the pairs `[*axes]`."""
        return self.per_pair.mean(0)

    @property
    def mean_abs(self) -> Tensor:
        """Mean over the pairs of the size of each one's effect `[*axes]`; see `values`."""
        return self.per_pair.abs().mean(0)

    def top(self, k: int = 10, *, mean_abs: bool = False) -> list[tuple[Label, float]]:
        """The `k` cells of largest absolute effect that are known, largest first.

        Args:
            k: how many.
            mean_abs: rank by `mean_abs`, not by the size of the mean over pairs.
        """
        return self._largest(self.mean_abs if mean_abs else self.values, k)

    def _largest(self, values: Tensor, k: int) -> list[tuple[Label, float]]:
        size = values.abs().nan_to_num(nan=-1.0).flatten()
        order = size.argsort(descending=True, stable=True)[: max(k, 0)].tolist()
        cells = [torch.unravel_index(torch.tensor(i), values.shape) for i in order]
        return [
            (self.label([int(c) for c in cell]), float(values[cell]))
            for i, cell in zip(order, cells, strict=True)
            if size[i] >= 0
        ]

    def sel(self, **cells: Any) -> Tensor:
        """Effects at chosen places of some axes: `grid.sel(layer=9, head=9)`.

        Raises:
            KeyError: if the grid has no such axis, or the axis no such place.
        """
        unknown = set(cells) - set(self.axes)
        if unknown:
            raise KeyError(f"no axis {sorted(unknown)}: this grid has {self.axes}")
        places = {axis: self._place(axis, place) for axis, place in cells.items()}
        return self.values[tuple(places.get(axis, slice(None)) for axis in self.axes)]

    def _place(self, axis: str, place: Any) -> Any:  # noqa: ARG002 - some axes have names
        """The number of a place of an axis."""
        return place


@dataclass(frozen=True, eq=False, repr=False)
class Grid(Labelled[Node]):
    """A value for every node of one kind; its means over pairs are those of `Labelled`.

    Attributes:
        kind: the kind of its nodes.
        raw: change of the metric `[B, *axes]`, in the metric's units; NaN = not known.
        by: how finely the kind is cut.
        scale: what an effect is a fraction of; None if the values are effects already.
        method: `"exact"`, or the estimate's name.
        direction: `"denoising"` or `"noising"`.
        metric: the metric's name.
        window: how many layers were patched together, centred on a cell's own.
        signed: False if the method gives sizes only (GradDrop, AtP*): then no value is
            negative, and `values` and `mean_abs` are the same.
        cost: what the whole grid takes; None where it was not counted.

    Example:
        >>> grid = Grid.from_tensor("z", torch.tensor([[0.1, -0.7], [0.4, 0.0]]))
        >>> [str(node) for node, _ in grid.top(2)]
        ['L0H1.z', 'L1H0.z']
    """

    kind: str
    raw: Tensor
    by: str | None = field(default=None, kw_only=True)
    scale: Scale | None = field(default=None, kw_only=True)
    method: str = field(default="exact", kw_only=True)
    direction: str = field(default="denoising", kw_only=True)
    metric: str = field(default="metric", kw_only=True)
    window: int = field(default=1, kw_only=True)
    signed: bool = field(default=True, kw_only=True)
    cost: Cost | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", kind_name(self.kind))
        object.__setattr__(self, "by", cut_of(self.kind, self.by))
        if self.raw.dim() != len(self.axes) + 1:
            raise ValueError(
                f"a {self.kind} grid is [pairs, {', '.join(self.axes)}], "
                f"got shape {list(self.raw.shape)}"
            )

    @classmethod
    def from_tensor(cls, kind: str, tensor: Tensor, *, by: str | None = None) -> Grid:
        """A grid of effects computed elsewhere, `[*axes]`: means over the pairs.

        Raises:
            ValueError: if the tensor has other axes than the kind cut by `by`.
        """
        axes = axes_of(kind, by)
        if tensor.dim() != len(axes):
            raise ValueError(
                f"a grid of {kind_name(kind)} by {by!r} has the axes {axes}, got shape "
                f"{list(tensor.shape)}: is another `by` meant?"
            )
        return cls(kind, tensor[None], by=by, method="yours")

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes, in TransformerLens' order."""
        return axes_of(self.kind, self.by)

    def __getitem__(self, node: Node | str) -> float:
        """Mean effect of one node, by itself or by its name."""
        node = Node.parse(node) if isinstance(node, str) else node
        if (node.kind, node.by) != (self.kind, self.by):
            raise KeyError(f"{node} is not in a grid of {self.kind} by {self.axes}")
        return float(self.values[node.cell])

    def nodes(self) -> Iterator[Node]:
        """Every node, in the order of the cells."""
        for cell in product(*map(range, self.raw.shape[1:])):
            yield self.label(cell)

    def label(self, cell: Sequence[int]) -> Node:
        """The node of a cell of `values`."""
        return Node(self.kind, **dict(zip(self.axes, cell, strict=True)))

    def __repr__(self) -> str:
        values = self.shown.mean(0)
        known = int((~values.isnan()).sum())
        sizes = zip(self.axes, values.shape, strict=True)
        shape = ", ".join(f"{axis} {size}" for axis, size in sizes)
        several = f" of {self.window} layers" if self.window > 1 else ""
        is_raw = self.scale is not None and self.scale.value is None
        unit = ", not normalised" if is_raw else ""
        head = (
            f"{self.method} {self.kind}{several} [{shape}], {known} of {values.numel()} "
            f"known ({self.direction}, {self.metric}{unit})"
        )
        lines = [f"{node}: {value:+.4f}" for node, value in self._largest(values, 5)]
        return "\n".join([head, *lines])

    def to_dataframe(self) -> Any:
        """One row a node, with its effect; needs pandas."""
        import pandas as pd

        values = self.values.flatten().tolist()
        rows = [
            {**dict(zip(self.axes, node.cell, strict=True)), "node": str(node)}
            for node in self.nodes()
        ]
        return pd.DataFrame(rows).assign(effect=values)

    def plot(self, ax: Any = None) -> Any:
        """Draw a grid of two axes with matplotlib, colours centred at 0.

        Raises:
            ValueError: if the grid has more than two axes: `sel` one first.
        """
        values = self.values.detach().float().cpu()
        if values.dim() != 2:
            raise ValueError(f"a picture has two axes, this grid has {self.axes}")
        import matplotlib.pyplot as plt

        if ax is None:
            ax = plt.subplots()[1]
        limit = float(values.abs().nan_to_num().max()) or 1.0
        image = ax.imshow(
            values.numpy(), cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto"
        )
        ax.figure.colorbar(image, ax=ax, label=f"effect on {self.metric}")
        several = f" of {self.window} layers" if self.window > 1 else ""
        ax.set(
            ylabel=self.axes[0].capitalize(),
            xlabel=self.axes[1].capitalize(),
            title=f"{self.kind}{several}, {self.method} ({self.direction})",
        )
        return ax
