"""The order in which parts join a circuit: a ranking grid's, or a list's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch

from patchwidget.circuits.parts import Member, Part, parts_of
from patchwidget.grids import Grid
from patchwidget.nodes import Extent
from patchwidget.pairs import TokenPairs
from patchwidget.rank import Ranking

Order = Grid | Ranking | Member | Iterable[Grid] | Iterable[Member]


def order_of(
    ranking: Order, pairs: TokenPairs, extent: Extent, *, absolute: bool
) -> tuple[Part, ...]:
    """Parts, those that join first before others.

    Args:
        ranking: a grid, several grids in one list, a `Ranking`, or members in order.
        pairs: the prompts, which name positions.
        extent: how many of everything there are.
        absolute: whether a grid ranks by the size of its values; else by the values, so
            that what works against the answer joins last.

    Raises:
        ValueError: if a grid has cells without a value, or see `parts_of`.
        IndexError, TypeError: see `parts_of`.
    """
    if isinstance(ranking, Ranking):
        return parts_of(ranking.ordered, pairs, extent)
    grids = _grids(ranking)
    if grids is None:
        return parts_of(cast("Iterable[Member] | Member", ranking), pairs, extent)
    nodes = [node for grid in grids for node in grid.nodes()]
    # Apple's devices have no double precision.
    values = [grid.values.detach().cpu().double().flatten() for grid in grids]
    scores = torch.cat(values)
    gaps = [nodes[place] for place in scores.isnan().nonzero()[:, 0].tolist()]
    if gaps:
        raise ValueError(
            f"{len(gaps)} of {len(nodes)} nodes have no value, {gaps[0]} among them: rank "
            "by a grid that is known everywhere, or by a list"
        )
    if absolute:
        scores = scores.abs()
    places = scores.argsort(descending=True, stable=True).tolist()
    return parts_of([nodes[place] for place in places], pairs, extent)


def _grids(ranking: Order) -> list[Grid] | None:
    if isinstance(ranking, Grid):
        return [ranking]
    if not isinstance(ranking, (list, tuple)):
        return None
    grids = [one for one in ranking if isinstance(one, Grid)]
    return grids if grids and len(grids) == len(ranking) else None
