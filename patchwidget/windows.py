"""Nodes of several layers that are patched together, for every cell of a grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

from patchwidget.nodes import Extent, Node


@dataclass(frozen=True)
class Windows:
    """For every cell of a grid, its node in `width` layers centred on its own.

    A window of an even width has one layer more before than after, and all are cut off at
    the first and the last layer (Meng et al. 2022, appendix). They are made as one goes
    through them: there may be tens of thousands.

    Attributes:
        extent: how many of everything there are.
        kind, by: see `nodes.axes_of`.
        width: number of layers; 1 is each node alone.

    Raises:
        ValueError: if the width is not a whole number from 1.

    Example:
        >>> extent = Extent(n_layers=3, n_heads=2, n_kv_heads=2, n_pos=4, d_mlp=8)
        >>> windows = Windows(extent, "z", width=3)
        >>> len(windows), next(iter(windows))
        (6, (L0H0.z, L1H0.z))
    """

    extent: Extent
    kind: str
    by: str | None = None
    width: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.width, int) or self.width < 1:
            raise ValueError(
                f"a window is a number of layers from 1, got {self.width!r}"
            )

    def __len__(self) -> int:
        return prod(self.extent.shape(self.kind, self.by))

    def __iter__(self) -> Iterator[tuple[Node, ...]]:
        for node in self.extent.nodes(self.kind, self.by):
            yield (node,) if self.width == 1 else self._around(node)

    def _around(self, node: Node) -> tuple[Node, ...]:
        start = max(0, node.layer - self.width // 2)
        stop = min(self.extent.n_layers, node.layer + (self.width + 1) // 2)
        return tuple(replace(node, layer=layer) for layer in range(start, stop))
