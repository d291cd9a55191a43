"""Estimates of one study by every method that was asked for, each made once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import nan
from typing import Any

from torch import Tensor

from patchwidget.grids import Cost, Grid
from patchwidget.nodes import Node
from patchwidget.slices import Slices, whole
from patchwidget.spread import spread
from patchwidget.study import PatchStudy

SHOWN_KINDS = (
    "resid_pre",
    "resid_mid",
    "attn_out",
    "mlp_out",
    "z",
    "q",
    "k",
    "v",
    "pattern",
)
# What the page calls them.
LABELS = {
    "atp": "AtP",
    "atp_qk": "AtP, QK fix",
    "graddrop": "GradDrop",
    "atp_star": "AtP*",
    "ig": "integrated gradients",
    "relp": "RelP",
}
Cut = tuple[str, str | None]
"""A kind and how finely it is cut."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """A grid of estimates without its pairs: they would fill the memory.

    Attributes:
        kind, by, method, signed, axes, cost: see `Grid`.
        mean, size: means over the pairs of the effects and of their sizes, `[*axes]`.
        spread: see `spread.spread`; None with one pair, and where no grid is drawn.
    """

    kind: str
    by: str | None
    method: str
    signed: bool
    axes: tuple[str, ...]
    cost: Cost | None
    mean: Tensor
    size: Tensor
    spread: Tensor | None

    @classmethod
    def of(cls, grid: Grid) -> Estimate:
        """What is kept of a grid."""
        shown = grid.shown
        is_drawn = grid.by is None and grid.kind in SHOWN_KINDS
        return cls(
            grid.kind,
            grid.by,
            grid.method,
            grid.signed,
            grid.axes,
            grid.cost,
            shown.mean(0).cpu(),
            shown.abs().mean(0).cpu(),
            spread(shown) if is_drawn else None,
        )


class Estimates:
    """The estimates of one study, computed when they are first asked for.

    Args:
        study: what is estimated.

    Attributes:
        kinds: those of `SHOWN_KINDS` that the model has.
    """

    def __init__(self, study: PatchStudy) -> None:
        self._study = study
        self._found: dict[tuple[str, str, str | None], Estimate] = {}
        self._methods: dict[Cut, tuple[str, ...]] = {}
        self.kinds = [kind for kind in SHOWN_KINDS if self._given(kind)]

    def _given(self, kind: str, by: str | None = None) -> tuple[str, ...]:
        if (kind, by) not in self._methods:
            self._methods[kind, by] = self._study.methods(kind, by=by)
        return self._methods[kind, by]

    @property
    def methods(self) -> dict[str, list[str]]:
        """The kinds that each method gives, of those that are shown."""
        found = {
            name: [kind for kind in self.kinds if name in self._given(kind)]
            for name in LABELS
        }
        return {name: kinds for name, kinds in found.items() if kinds}

    def method_for(self, kind: str, method: str, by: str | None = None) -> str:
        """A method, or where it does not give the kind the first that does: `atp`.

        A study that was loaded without its model may have another, or none at all.
        """
        given = self._given(kind, by)
        return method if method in given else next(iter(given), "atp")

    def lacks(self, node: Node, method: str) -> bool:
        """Whether a node's own estimate can be given, and has to be made first."""
        kind, by = node.kind, node.by
        is_made = (self.method_for(kind, method, by), kind, by) in self._found
        return not is_made and bool(self._given(kind, by))

    def get(self, kind: str, method: str, by: str | None = None) -> Estimate:
        """Estimates of a kind by a method, or by another one: see `method_for`.

        Raises:
            ValueError, RuntimeError: see `PatchStudy.estimate`.
        """
        return whole(self.making(kind, method, by))

    def making(self, kind: str, method: str, by: str | None = None) -> Slices[Estimate]:
        """`get` slice by slice."""
        method = self.method_for(kind, method, by)
        if (method, kind, by) not in self._found:
            grid = yield from self._study.estimating(kind, method, by=by)
            self._found.setdefault((method, kind, by), Estimate.of(grid))
        return self._found[method, kind, by]

    def of(self, node: Node, method: str) -> tuple[Estimate, float]:
        """The estimates that a node is one of, and its own."""
        found = self.get(node.kind, method, node.by)
        cell: tuple[Any, ...] = node.cell
        return found, float(found.mean[cell])

    def value(self, node: Node, method: str) -> float:
        """A node's own estimate; NaN where no method gives nodes like it."""
        is_given = bool(self._given(node.kind, node.by))
        return self.of(node, method)[1] if is_given else nan

    def wanted(self, nodes: Iterable[Node]) -> list[Cut]:
        """What is needed to show some nodes: the maps, and finer cuts for finer nodes."""
        maps: list[Cut] = [(kind, None) for kind in self.kinds]
        cuts = dict.fromkeys((node.kind, node.by) for node in nodes)
        return list(dict.fromkeys([*maps, *(cut for cut in cuts if self._given(*cut))]))
