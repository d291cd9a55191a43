"""Many runs resumed at once, each from its own position on: nothing is computed twice.

What a position does to itself (norms, products, the MLP) does not care which run it is
of: the positions of all runs lie one below the other as the rows of one matrix. Only
attention needs whole sequences, and finds the positions that are as in the base run there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from patchwidget.decoder import blocks
from patchwidget.decoder.weights import Attention, Layer, Mlp, Weights


@dataclass(frozen=True)
class Packed:
    """Runs of the same prompts, of which only some positions are computed.

    Attributes:
        weights: the decoder's weights.
        base: every site of the base run, `[B, T, ...]`.
        places: of each row the place in `[copies * B * T]`, ascending.
        copies: number of runs of all prompts.
        read: the one position that is wanted in the end; None for all.
    """

    weights: Weights
    base: Mapping[tuple[str, int], Tensor]
    places: Tensor
    copies: int
    read: int | None

    @classmethod
    def of(
        cls,
        weights: Weights,
        base: Mapping[tuple[str, int], Tensor],
        starts: list[int],
        read: int | None,
    ) -> Packed:
        """Runs that start to differ from the base run at `starts`, one a copy."""
        n_pairs, n_pos = base["resid_pre", 0].shape[:2]
        device = base["resid_pre", 0].device
        from_start = torch.arange(n_pos) >= torch.tensor(starts)[:, None]
        wanted = from_start[:, None].expand(-1, n_pairs, -1)
        places = wanted.flatten().nonzero()[:, 0].to(device)
        return cls(weights, base, places, len(starts), read)

    @property
    def n_pos(self) -> int:
        """Positions of the prompts."""
        return self.base["resid_pre", 0].shape[1]

    def pack(self, streams: Tensor) -> Tensor:
        """The rows `[R, d]` of streams `[copies, B, T - first, d]`."""
        missing = self.n_pos - streams.shape[2]
        sequence = torch.div(self.places, self.n_pos, rounding_mode="floor")
        return streams.flatten(0, 2).index_select(
            0, self.places - missing * (sequence + 1)
        )

    def steps(self, rows: Tensor, layer: int, site: str) -> Iterator[Tensor]:
        """Go on from rows `[R, d]` at a site of a layer: the rows after each layer.

        The given rows come first, so that there is always a last one; the last layer
        gives only the position that is read.
        """
        layers = self.weights.layers
        is_last = layer == len(layers) - 1
        if is_last and site != "resid_pre":
            rows = self._wanted(rows)
        yield rows
        if site == "resid_mid":
            rows = rows + _think(layers[layer], rows)
            yield rows
        for number in range(layer if site == "resid_pre" else layer + 1, len(layers)):
            rows = self._block(layers[number], number, rows)
            yield rows

    def final(self, rows: Tensor) -> Tensor:
        """The streams `[copies * B, positions, d]` that the last step's rows stand for."""
        if self.read is not None:
            return rows[:, None]
        return self._whole("resid_post", len(self.weights.layers) - 1, rows)

    def _wanted(self, rows: Tensor) -> Tensor:
        """The rows at the position that is read, one a run and prompt."""
        return (
            rows if self.read is None else rows[self.places % self.n_pos == self.read]
        )

    def _block(self, weights: Layer, layer: int, rows: Tensor) -> Tensor:
        is_last = layer == len(self.weights.layers) - 1
        normal = blocks.normalise(weights.ln1, rows)
        before, asking = rows, normal
        if is_last:
            before, asking = self._wanted(rows), self._wanted(normal)
        one_each = is_last and self.read is not None
        z = self._attend(weights.attn, layer, normal, asking, one_each=one_each)
        written = blocks.affine(z, weights.attn.all_o, weights.attn.b_O)
        after = before + blocks.normalise(weights.ln1_post, written)
        if weights.mlp is None:
            return after
        return after + _think(weights, before if weights.parallel else after)

    def _attend(
        self,
        attn: Attention,
        layer: int,
        normal: Tensor,
        asking: Tensor,
        *,
        one_each: bool,
    ) -> Tensor:
        """Values z of the asking rows, `[R, H * d_head]`."""
        k = self._whole("k", layer, blocks.project(normal, attn.all_k, attn.b_K))
        v = self._whole("v", layer, blocks.project(normal, attn.all_v, attn.b_V))
        q = blocks.project(asking, attn.all_q, attn.b_Q)
        if one_each:
            z = blocks.attended(attn, q[:, None], k, v, cast("int", self.read))
            return z.flatten(1)
        everywhere = self._whole("q", layer, q)
        z = blocks.attended(attn, everywhere, k, v)
        return z.flatten(0, 1).index_select(0, self.places).flatten(1)

    def _whole(self, site: str, layer: int, rows: Tensor) -> Tensor:
        """Whole sequences `[copies * B, T, ...]`: the base run's, with rows put in."""
        base = self.base[site, layer]
        whole = base.repeat(self.copies, *[1] * (base.dim() - 1))
        whole.flatten(0, 1).index_copy_(0, self.places, rows)
        return whole


def _think(weights: Layer, rows: Tensor) -> Tensor:
    """What the MLP writes to the stream."""
    mlp = cast("Mlp", weights.mlp)
    active = blocks.neurons(mlp, blocks.normalise(weights.ln2, rows))
    return blocks.normalise(weights.ln2_post, blocks.excite(mlp, active))
