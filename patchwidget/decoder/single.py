"""A half-precision decoder run once in float32, over the same weights.

Half precision rounds so coarsely that no bound from its eps alone tells a mistake from
rounding. How far a run in half precision lies from this one does: it is what rounding
does to this very model on these very prompts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TypeVar, overload

import torch
from torch import Tensor

from patchwidget.decoder.decoder import Decoder, StreamReadout
from patchwidget.decoder.weights import Layer, Weights

HALF = (torch.float16, torch.bfloat16)
Part = TypeVar("Part")


def in_single(weights: Weights, tokens: Tensor) -> Tensor:
    """Logits `[N, T, V]` of tokens `[N, T]`, all of it computed in float32.

    Weights are cast layer by layer: never more than one of them is there in float32.

    Example:
        >>> import torch
        >>> from patchwidget import demo
        >>> from patchwidget.decoder import borrow
        >>> half = borrow(demo.load_model().to(torch.bfloat16))
        >>> in_single(half, torch.tensor([[0, 5, 7]])).dtype
        torch.float32
    """
    places = torch.arange(tokens.numel(), device=tokens.device).reshape(tokens.shape)
    start = replace(
        weights,
        W_E=weights.W_E[tokens.flatten()].float(),
        W_pos=None
        if weights.W_pos is None
        else weights.W_pos[: tokens.shape[1]].float(),
        layers=_CastLayers(weights.layers),
    )
    stream = Decoder(start).run(places).stream
    end = replace(
        weights,
        ln_final=cast_up(weights.ln_final),
        W_U=weights.W_U.float(),
        b_U=weights.b_U.float(),
    )
    return StreamReadout(end, stream, tokens.shape[1]).logits()


def cast_up(part: Part) -> Part:
    """A part of the weights with every tensor in float32."""
    if not is_dataclass(part) or isinstance(part, type):
        return part
    wide = {}
    for field in (field for field in fields(part) if field.init):
        value = getattr(part, field.name)
        wide[field.name] = (
            value.float() if isinstance(value, Tensor) else cast_up(value)
        )
    return replace(part, **wide)


@dataclass(frozen=True)
class _CastLayers(Sequence[Layer]):
    """Layers that are cast when they are asked for, and not kept."""

    half: Sequence[Layer]

    def __len__(self) -> int:
        return len(self.half)

    @overload
    def __getitem__(self, number: int) -> Layer: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Layer]: ...
    def __getitem__(self, number: int | slice) -> Layer | Sequence[Layer]:
        if isinstance(number, slice):
            return _CastLayers(self.half[number])
        return cast_up(self.half[number])

    def __iter__(self) -> Iterator[Layer]:
        return map(cast_up, self.half)
