"""Several nodes replaced in one run, each in the run that the earlier ones changed."""

from __future__ import annotations

import torch
from torch import Tensor

from patchwidget.decoder import Tap
from patchwidget.exact.batches import Batch
from patchwidget.exact.swap import Swap
from patchwidget.nodes import STREAM_KINDS, VECTOR_KINDS

# The sites that a layer computes at the position that is read, where only that is wanted.
_AT_KEYS = ("resid_pre", "k", "v")


def replacement(swap: Swap, batch: Batch, read: int | None) -> Tap:
    """A tap that puts values in at the nodes of each copy of a run.

    Copies lie one after the other, `[n * B, ...]`, from position `batch.first` on.
    """
    masks = _masks(swap, batch)

    def replace(site: str, layer: int, value: Tensor) -> Tensor:
        mask = masks.get((site, layer))
        if mask is None:
            return value
        new = swap.values[site, layer]
        axis = 2 if site == "pattern" else 1
        start, length = _span(swap, batch, site, value.shape[axis], read)
        copies = torch.unflatten(value, 0, (len(batch.patches), -1))
        replaced = torch.where(
            mask.narrow(axis + 1, start, length),
            new.narrow(axis, start, length),
            copies,
        )
        return replaced.flatten(0, 1)

    return replace


def _span(
    swap: Swap, batch: Batch, site: str, length: int, read: int | None
) -> tuple[int, int]:
    """The positions that a value holds: from the first change on, or the one read."""
    if length == swap.n_pos - batch.first or site in _AT_KEYS or read is None:
        return batch.first, length
    return read, length


def _masks(swap: Swap, batch: Batch) -> dict[tuple[str, int], Tensor]:
    """Where each copy is replaced, `[n, 1, *cells]`, broadcast over pairs and features."""
    masks: dict[tuple[str, int], Tensor] = {}
    for copy, patch in enumerate(batch.patches):
        for node in patch:
            place = node.kind, node.layer
            if place not in masks:
                masks[place] = _empty(swap, place, len(batch.patches))
            masks[place][(copy, slice(None), *node.index[1:])] = True
    return masks


def _empty(swap: Swap, place: tuple[str, int], copies: int) -> Tensor:
    shape = swap.base.values[place].shape
    has_features = place[0] in STREAM_KINDS or place[0] in VECTOR_KINDS
    cells = (*shape[1:-1], 1) if has_features else shape[1:]
    return torch.zeros(copies, 1, *cells, dtype=torch.bool, device=swap.tokens.device)
