"""Values that readers take on when a writer's change reaches them, and them alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from patchwidget.decoder import Decoder, Tap
from patchwidget.paths.ends import Reader
from patchwidget.paths.reads import Values, read, stream_read

_SITES = {"q": "q", "k": "k", "v": "v", "mlp": "mlp_out"}


def arrival(
    decoder: Decoder,
    base: Values,
    changes: Tensor,
    writers: Sequence[int],
    readers: Sequence[Sequence[Reader]],
) -> Tap:
    """A tap that gives each copy's readers what they make of a changed stream.

    The stream that they read is the base run's with the change added: what lies between
    is as it was, and so is what another reader of the same copy has changed.

    Args:
        decoder: the model's.
        base: every site of the base run.
        changes: of the stream, one for each of some writers, `[U, B, t, d]`; positions
            before the last `t` do not change.
        writers: of each copy which of the changes is its own.
        readers: of each copy the readers.
    """
    of_copy = torch.tensor(writers, device=changes.device)
    first = base["resid_pre", 0].shape[1] - changes.shape[2]
    arriving: dict[tuple[str, int], Tensor] = {}
    for part, layer in {(r.part, r.layer) for each in readers for r in each}:
        if layer is None:
            continue
        block = decoder.weights.layers[layer]
        stream = base[stream_read(part, block), layer][:, first:] + changes
        values = read(block, part, stream.flatten(0, 1))
        arriving[_SITES[part], layer] = torch.unflatten(values, 0, changes.shape[:2])
    masks = {place: _mask(place, values, readers) for place, values in arriving.items()}

    def tap(site: str, layer: int, value: Tensor) -> Tensor:
        values = arriving.get((site, layer))
        if values is None:
            return value
        copies = torch.unflatten(value, 0, (len(of_copy), -1))
        mask = masks[site, layer]
        return torch.where(mask, values[of_copy], copies).flatten(0, 1)

    return tap


def _mask(
    place: tuple[str, int], values: Tensor, readers: Sequence[Sequence[Reader]]
) -> Tensor:
    """Which heads of each copy are reached `[n, 1, 1, H, 1]`; of MLPs `[n, 1, 1, 1]`."""
    site, layer = place
    n_heads = 1 if site == "mlp_out" else values.shape[3]
    mask = torch.zeros(len(readers), 1, 1, n_heads, dtype=torch.bool)
    for copy, each in enumerate(readers):
        for reader in each:
            if (_SITES.get(reader.part), reader.layer) == (site, layer):
                mask[copy, :, :, reader.head or 0] = True
    mask = mask.to(values.device)
    return mask if site == "mlp_out" else mask[..., None]
