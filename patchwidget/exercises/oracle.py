"""Our own patches through hooks, right ones and wrong ones.

A sweep is written once. A mistake is the same sweep with one thing turned: which hook,
which cell, whose values, which prompts, or what stays on the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from patchwidget.exercises.cases import Case, Side
from patchwidget.grids import Grid
from patchwidget.hooks import hook_name
from patchwidget.nodes import VECTOR_KINDS
from patchwidget.runs import computing
from patchwidget.study import PatchStudy

Index = tuple[Any, ...]


class Cell(NamedTuple):
    """One cell of a result; None is all of an axis."""

    layer: int
    pos: Any = None
    head: Any = None


class Turn(NamedTuple):
    """What a sweep does; the defaults are right.

    Attributes:
        site: patch here instead.
        move: patch another cell instead.
        place: where a cell lies in an activation.
        put: what becomes of a value, from it, the source's, and the index.
        source: whose values are put in.
        base: whose prompts are run.
        keep: which earlier cells' patches stay on: `""` none, `"layer"` those of the same
            layer, `"all"`.
    """

    site: str | None = None
    move: Callable[[Cell, Case], Cell] = lambda cell, _case: cell
    place: Callable[[str, Cell], Index] | None = None
    put: Callable[[Tensor, Tensor, Index], Tensor] | None = None
    source: Side = "clean"
    base: Side = "corrupted"
    keep: Literal["", "layer", "all"] = ""


def index_of(site: str, cell: Cell) -> Index:
    """Where a cell lies in the activations of its site."""
    every = slice(None)
    pos = every if cell.pos is None else cell.pos
    head = every if cell.head is None else cell.head
    if site == "pattern":
        return every, head, pos
    return (every, pos, head) if site in VECTOR_KINDS else (every, pos)


def replaced(value: Tensor, other: Tensor, index: Index) -> Tensor:
    """A copy of a value with another's numbers at one index."""
    value = value.clone()
    value[index] = other[index]
    return value


def cells(case: Case, axes: tuple[str, ...]) -> Iterator[Cell]:
    """Every cell of a result, in its order."""
    for numbers in product(*(range(case.size(axis)) for axis in axes)):
        yield Cell(**dict(zip(axes, numbers, strict=True)))


def swept(case: Case, site: str, axes: tuple[str, ...], turn: Turn = Turn()) -> Tensor:  # noqa: B008 - a tuple of constants
    """The metric with each cell patched, one at a time: `[*axes]`."""
    values = []
    with computing():
        hooks: list[Any] = []
        layer = 0
        for cell in cells(case, axes):
            if turn.keep != "all" and (not turn.keep or cell.layer != layer):
                hooks = []
            layer = cell.layer
            hooks = [*hooks, _hook(case, site, cell, turn)]
            logits = case.model.run_with_hooks(case.tokens(turn.base), fwd_hooks=hooks)
            values.append(case.metric(logits))
        return torch.stack(values).reshape([case.size(axis) for axis in axes])


def exact(case: Case, site: str, axes: tuple[str, ...]) -> Tensor:
    """What a right sweep gives, by the exact engine: for cases that are not small."""
    by = "pos" if "pos" in axes and "head" in axes else None
    study = PatchStudy(case.model, case.clean, case.corrupted, metric=case.metric)
    found = study.exact(site, by=by)
    if not isinstance(found, Grid):
        raise TypeError(f"{site} is no kind")
    values = found.raw[0] + study.baselines[1]
    # Patterns by destination are [layer, head, dest], and asked for as heads' vectors.
    return values.transpose(1, 2) if by and site == "pattern" else values


def _hook(case: Case, site: str, cell: Cell, turn: Turn) -> tuple[str, Any]:
    site = turn.site or site
    cell = turn.move(cell, case)
    name = hook_name(site, cell.layer)
    index = (turn.place or index_of)(site, cell)
    other = case.activations[turn.source][name]
    put = turn.put or replaced

    def hook(value: Tensor, **_: Any) -> Tensor:
        return put(value, other, index)

    return name, hook


def gradients(case: Case, site: str, side: Side = "corrupted") -> list[Tensor]:
    """The metric's gradient at one site of every layer, in one side's run."""
    probes: list[Tensor] = []
    with computing(grad=True):

        def probe(value: Tensor, **_: Any) -> Tensor:
            probes.append(torch.zeros_like(value, requires_grad=True))
            return value + probes[-1]

        layers = range(case.size("layer"))
        hooks = [(hook_name(site, layer), probe) for layer in layers]
        logits = case.model.run_with_hooks(case.tokens(side), fwd_hooks=hooks)
        return list(torch.autograd.grad(case.metric(logits), probes))


def activation(case: Case, site: str, side: Side) -> list[Tensor]:
    """A site's values in every layer, in one side's run."""
    layers = range(case.size("layer"))
    return [case.activations[side][hook_name(site, layer)] for layer in layers]
