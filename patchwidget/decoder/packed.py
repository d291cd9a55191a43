"""Many runs resumed at once, each from its own position on: nothing is computed twice.

What a position does to itself (norms, products, the MLP) does not care which run it is
of: the positions of all runs lie one below the other as the rows of one matrix. Only
attention needs whole sequences, and finds the positions that are as in the base run there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor

from patchwidget.decoder import blocks
from patchwidget.decoder.weights import Attention, Layer, Mlp, Norm, Weights
from patchwidget.decoder.workspace import Workspace


@dataclass(frozen=True)
class Packed:
    """Runs of the same prompts, of which only some positions are computed.

    No gradient is recorded: tensors that nobody else holds are changed in place.

    Attributes:
        weights: the decoder's weights.
        base: every site of the base run, `[B, T, ...]`.
        places: of each row the place in `[copies * B * T]`, ascending.
        copies: number of runs of all prompts.
        first: where all of them start, or None if they start at different positions.
        read: the one position that is wanted in the end; None for all.
        wanted: the rows at that position, one a run and prompt.
    """

    weights: Weights
    base: Mapping[tuple[str, int], Tensor]
    places: Tensor
    copies: int
    first: int | None
    read: int | None
    wanted: Tensor
    _workspace: Workspace = field(default_factory=Workspace, init=False, repr=False)

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
        # Counted here, not on the device, which would have to be waited for.
        places = [
            (copy * n_pairs + pair) * n_pos + position
            for copy, start in enumerate(starts)
            for pair in range(n_pairs)
            for position in range(start, n_pos)
        ]
        wanted = [row for row, place in enumerate(places) if place % n_pos == read]
        return cls(
            weights,
            base,
            torch.tensor(places, device=device),
            len(starts),
            starts[0] if len(set(starts)) == 1 else None,
            read,
            torch.tensor(wanted, dtype=torch.long, device=device),
        )

    @property
    def n_pos(self) -> int:
        """Positions of the prompts."""
        return self.base["resid_pre", 0].shape[1]

    def pack(self, streams: Tensor) -> Tensor:
        """The rows `[R, d]` of streams `[copies, B, T - first, d]`."""
        missing = self.n_pos - streams.shape[2]
        if self.first is not None:
            return streams[:, :, self.first - missing :].flatten(0, 2)
        sequence = torch.div(self.places, self.n_pos, rounding_mode="floor")
        within = self.places - missing * (sequence + 1)
        return streams.flatten(0, 2).index_select(0, within)

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
            rows = self._think(layers[layer], rows, rows)
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
        return rows if self.read is None else rows.index_select(0, self.wanted)

    def _block(self, weights: Layer, layer: int, rows: Tensor) -> Tensor:
        is_last = layer == len(self.weights.layers) - 1
        normal = blocks.normalise(weights.ln1, rows)
        before, asking = rows, normal
        if is_last:
            before, asking = self._wanted(rows), self._wanted(normal)
        read = self.read if is_last else None
        attn = weights.attn
        z = self._attend(attn, layer, normal, asking, read)
        after = _add(before, z, attn.all_o, attn.b_O, weights.ln1_post)
        if weights.mlp is None:
            return after
        return self._think(weights, before if weights.parallel else after, after)

    def _think(self, weights: Layer, read: Tensor, stream: Tensor) -> Tensor:
        """A stream with what the MLP writes to it when it reads some rows."""
        mlp = cast("Mlp", weights.mlp)
        active = self._active(mlp, blocks.normalise(weights.ln2, read))
        return _add(stream, active, mlp.W_out, mlp.b_out, weights.ln2_post)

    def _active(self, mlp: Mlp, normal: Tensor) -> Tensor:
        """`blocks.neurons`, in place."""
        if mlp.W_gate is None:
            product = self._workspace.product(normal, mlp.W_in)
            return mlp.act_in_place(product.add_(mlp.b_in))
        gate = mlp.act_in_place(self._workspace.product(normal, mlp.W_gate))
        return gate.mul_(normal @ mlp.W_in).add_(mlp.b_in)

    def _attend(
        self,
        attn: Attention,
        layer: int,
        normal: Tensor,
        asking: Tensor,
        read: int | None,
    ) -> Tensor:
        """Values z of the asking rows, `[R, H * d_head]`."""
        q, k, v = self._projected(attn, normal, asking)
        k, v = self._whole("k", layer, k), self._whole("v", layer, v)
        # Where queries lie evenly, they need not be put among those of the base run.
        first = self.first if read is None else read
        if first is not None:
            queries = torch.unflatten(q, 0, (len(k), -1))
            return blocks.attended(attn, queries, k, v, first).flatten(0, 1).flatten(1)
        z = blocks.attended(attn, self._whole("q", layer, q), k, v)
        return z.flatten(0, 1).index_select(0, self.places).flatten(1)

    def _projected(
        self, attn: Attention, normal: Tensor, asking: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Q of the asking rows, k and v of all, `[R, H, d_head]`."""
        weight = attn.adjacent_qkv if asking is normal else None
        biases = attn.b_Q, attn.b_K, attn.b_V
        if weight is not None:
            together = self._workspace.product(normal, weight)
            together.add_(torch.cat(biases).flatten())
            heads = torch.unflatten(together, -1, (-1, attn.b_Q.shape[1]))
            q, k, v = torch.split(heads, [len(bias) for bias in biases], 1)
            return q, k, v
        return (
            blocks.project(asking, attn.all_q, attn.b_Q),
            blocks.project(normal, attn.all_k, attn.b_K),
            blocks.project(normal, attn.all_v, attn.b_V),
        )

    def _whole(self, site: str, layer: int, rows: Tensor) -> Tensor:
        """Whole sequences `[copies * B, T, ...]`: the base run's, with rows put in."""
        base = self.base[site, layer]
        if self.first == 0:
            return torch.unflatten(rows, 0, (-1, self.n_pos))
        if self.first is None:
            whole = base.repeat(self.copies, *[1] * (base.dim() - 1))
            whole.flatten(0, 1).index_copy_(0, self.places, rows)
            return whole
        whole = rows.new_empty(self.copies, *base.shape)
        whole[:, :, : self.first] = base[:, : self.first]
        after = (self.copies, len(base), self.n_pos - self.first)
        whole[:, :, self.first :] = torch.unflatten(rows, 0, after)
        return whole.flatten(0, 1)


def _add(
    stream: Tensor, values: Tensor, weight: Tensor, bias: Tensor, post: Norm | None
) -> Tensor:
    """The stream with `values @ weight + bias` written to it, through a post-norm."""
    # Half precision would round twice at the size of the stream, where the models do once.
    if post is not None or stream.element_size() < 4:
        return stream + blocks.normalise(post, blocks.affine(values, weight, bias))
    return (stream + bias).addmm_(values, weight)
