"""Which nodes a function patches, and the form in which it returns what was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from patchwidget.exact import Swap
from patchwidget.nodes import Extent, Node, axes_of
from patchwidget.patching.asked import Asked
from patchwidget.patching.swaps import make_swap, run, stacked
from patchwidget.patching.theirs import theirs

_PATTERN_AXES = {"head": "head_index", "pos": "dest_pos", "src": "src_pos"}


@dataclass(frozen=True)
class Call:
    """What is given to every function.

    Attributes:
        model: a `HookedTransformer` or a `TransformerBridge`.
        tokens: the corrupted tokens `[B, T]`.
        cache: the clean cache.
        asked: what is read.
        label: what a bar calls it.
    """

    model: Any
    tokens: Tensor
    cache: Any
    asked: Asked
    label: str


@dataclass(frozen=True)
class Cells:
    """The cells that one function patches: a kind and how it is cut."""

    kind: str
    by: str | None = None

    @property
    def axes(self) -> tuple[str, ...]:
        """The result's axes, in our words."""
        return axes_of(self.kind, self.by)

    @property
    def their_axes(self) -> tuple[str, ...]:
        """The result's axes, in TransformerLens' words."""
        names: Mapping[str, str] = _PATTERN_AXES if self.kind == "pattern" else {}
        return tuple(names.get(axis, axis) for axis in self.axes)

    def chosen(self, extent: Extent, index_df: Any) -> list[Node]:
        """The nodes that a table of indices names, a row each, in the axes' order.

        Raises:
            ValueError: if a row has not an index for every axis.
            IndexError: if there is no such node.
        """
        if len(index_df.columns) != len(self.axes):
            raise ValueError(
                f"index_df has columns {list(index_df.columns)}, {len(self.axes)} are "
                f"needed: {', '.join(self.their_axes)}"
            )
        rows = index_df.itertuples(index=False, name=None)
        return [self._node(extent, row) for row in rows]

    def _node(self, extent: Extent, row: Sequence[int]) -> Node:
        node = Node(self.kind, **dict(zip(self.axes, row, strict=True)))
        # As theirs do, positions and heads count from the end where they are negative.
        ends = {axis: extent.size(axis, self.kind) for axis in self.axes[1:]}
        here = {axis: getattr(node, axis) for axis in ends}
        turned = {a: i + ends[a] for a, i in here.items() if -ends[a] <= i < 0}
        node = replace(node, **turned)
        extent.check(node)
        return node


def patched_cells(
    call: Call, cells: Cells, *, index_df: Any = None, return_index_df: bool = False
) -> Any:
    """One kind patched at all of its cells, or at those that a table names.

    Returns:
        A tensor, a tensor and its table of indices, or a `PatchingResult`.
    """
    if call.asked.as_result and return_index_df:
        raise ValueError(
            "return_index_df goes with a tensor: a PatchingResult carries its index_df"
        )
    swap = make_swap(call.model, call.tokens, call.cache, call.asked, [cells.kind])
    extent = swap.engine.extent(swap.n_pos)
    if index_df is None:
        shape, axes = extent.shape(cells.kind, cells.by), cells.their_axes
        nodes = list(extent.nodes(cells.kind, cells.by))
    else:
        shape, axes = (len(index_df),), ()
        nodes = cells.chosen(extent, index_df)
    values = torch.unflatten(run(call.model, swap, nodes, call.label), 1, shape)
    if call.asked.as_result:
        table = _table(shape, axes) if index_df is None else index_df
        return _result(call.asked, swap, values, table, axis_names=list(axes))
    tensor = call.asked.reduced(values)[0]
    if not return_index_df:
        return tensor
    return tensor, _table(shape, axes) if index_df is None else index_df


def patched_types(
    call: Call, types: Mapping[str, Cells], order: tuple[str, ...]
) -> Any:
    """Several kinds, one behind the other on a first axis `patch_type`.

    Args:
        call: what is given.
        types: what is patched, by what TransformerLens calls it.
        order: the axes of each type's result. Keys and values have fewer heads than
            queries under grouped queries; here, as in TransformerLens, zeros stand for
            those that do not exist.

    Returns:
        A tensor, or a `PatchingResult`.
    """
    kinds = [cells.kind for cells in types.values()]
    swap = make_swap(call.model, call.tokens, call.cache, call.asked, kinds)
    extent = swap.engine.extent(swap.n_pos)
    nodes = [list(extent.nodes(cells.kind, cells.by)) for cells in types.values()]
    values = run(call.model, swap, list(chain(*nodes)), call.label)
    parts = torch.split(values, [len(of_type) for of_type in nodes], dim=1)
    grids = [
        _aligned(part, cells, extent, order)
        for part, cells in zip(parts, types.values(), strict=True)
    ]
    if "head" in order:
        grids = [
            pad(grid, (0, 0, 0, extent.n_heads - grid.shape[-2])) for grid in grids
        ]
    stack = torch.stack(grids, dim=1)
    if not call.asked.as_result:
        return call.asked.reduced(stack)[0]
    axes = ["patch_type", *order]
    table = _table(stack.shape[1:-1], axes)
    return _result(
        call.asked, swap, stack, table, axis_names=axes, patch_type_names=list(types)
    )


def _aligned(
    values: Tensor, cells: Cells, extent: Extent, order: tuple[str, ...]
) -> Tensor:
    """Values `[metric, cell, B]` as a grid `[metric, *axes, B]` with axes in an order."""
    grid = torch.unflatten(values, 1, extent.shape(cells.kind, cells.by))
    return grid.permute(0, *(1 + cells.axes.index(axis) for axis in order), -1)


def _table(shape: Sequence[int], axes: Sequence[str]) -> Any:
    """A row of indices for every cell, as TransformerLens writes it."""
    return theirs().make_df_from_ranges(list(shape), list(axes))


def _result(
    asked: Asked, swap: Swap, values: Tensor, index_df: Any, **axes: Any
) -> Any:
    """TransformerLens' `PatchingResult` of values `[metric, *cells, B]`."""
    one = slice(None) if asked.named else 0
    baseline = asked.reduced(stacked(swap).to(values))[one]
    return theirs().PatchingResult(
        values=asked.reduced(values)[one],
        index_df=index_df,
        metric_names=asked.names,
        reduced=asked.reduce != "none",
        baseline=baseline if asked.baseline else None,
        has_metric_axis=asked.named,
        **axes,
    )
