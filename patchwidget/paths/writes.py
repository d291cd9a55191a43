"""What writers write differently in the source run: the changes that paths carry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor

from patchwidget.decoder import Decoder
from patchwidget.nodes import Extent
from patchwidget.paths.ends import HEAD_PARTS, Reader, Writer
from patchwidget.runs import Runs


def all_writers(extent: Extent) -> tuple[Writer, ...]:
    """The embedding, and layer by layer the heads and the MLP."""
    writers = [Writer("embed")]
    for layer in range(extent.n_layers):
        writers += [Writer("head", layer, head) for head in range(extent.n_heads)]
        writers += [Writer("mlp", layer)] if extent.d_mlp else []
    return tuple(writers)


def readers_of(extent: Extent, layer: int) -> list[Reader]:
    """The readers of one layer: queries, keys and values of its heads, and its MLP."""
    sizes = {"q": extent.n_heads, "k": extent.n_kv_heads, "v": extent.n_kv_heads}
    heads = [Reader(part, layer, h) for part in HEAD_PARTS for h in range(sizes[part])]
    return heads + ([Reader("mlp", layer)] if extent.d_mlp else [])


def all_readers(extent: Extent) -> tuple[Reader, ...]:
    """The readers layer by layer, and the end of the model."""
    each = [r for layer in range(extent.n_layers) for r in readers_of(extent, layer)]
    return (*each, Reader("final"))


def require_additive(decoder: Decoder, writers: Iterable[Writer]) -> None:
    """Refuse heads whose writes go through a norm together before they are added.

    Raises:
        ValueError: naming the first of them, and the reason.
    """
    for writer in writers:
        if writer.part != "head":
            continue
        if decoder.weights.layers[cast("int", writer.layer)].ln1_post is not None:
            raise ValueError(
                f"{writer}: no path starts at this head. Its block norms what all heads "
                "write together before it is added to the stream (a post-norm), so that "
                "no part of the stream is this head's own. Start at Writer('mlp', layer) "
                "or Writer('embed'), or patch the head as a node"
            )


def write_changes(
    runs: Runs, decoder: Decoder, writers: Iterable[Writer], span: slice = slice(None)
) -> Tensor:
    """Source minus base of what each writer adds to the stream, `[B, W, t, d]`.

    Args:
        runs: the captured runs.
        decoder: theirs.
        writers: at all positions each.
        span: the positions that are wanted.
    """
    writers = list(writers)
    steps = {place: _step(runs, place, span) for place in map(_place, writers)}
    layers = decoder.weights.layers
    like = _step(runs, ("resid_pre", 0), span)
    changes = like.new_empty(len(like), len(writers), *like.shape[1:])
    for number, writer in enumerate(writers):
        step = steps[_place(writer)]
        if writer.part == "head":
            layer, head = cast("int", writer.layer), cast("int", writer.head)
            step = step[:, :, head] @ layers[layer].attn.W_O[head]
        changes[:, number] = step
    return changes


def write_change(runs: Runs, decoder: Decoder, writers: Iterable[Writer]) -> Tensor:
    """What writers patched together add to the stream differently, `[B, T, d]`."""
    total = torch.zeros_like(runs.base.values["resid_pre", 0])
    for writer in writers:
        change = write_changes(runs, decoder, [writer])[:, 0]
        if writer.pos is None:
            total += change
        else:
            total[:, writer.pos] += change[:, writer.pos]
    return total


def _place(writer: Writer) -> tuple[str, int]:
    """The site at which a writer's values are captured."""
    site = {"embed": "resid_pre", "head": "z", "mlp": "mlp_out"}[writer.part]
    return site, writer.layer or 0


def _step(runs: Runs, place: tuple[str, int], span: slice) -> Tensor:
    return (runs.source.values[place] - runs.base.values[place])[:, span]
