"""A decoder that can be run, tapped, and resumed from a changed residual stream.

- A *site* is a named value of a layer, in the words of `nodes` (`"z"`, `"resid_mid"`).
- A *tap* sees each site's value as the run comes by and returns what the run goes on
  with: the same (capture), another (edit), a detached one (cut).
- *Resuming* starts at a site of the stream with given values: all before is not run.

No hooks are registered, no flags set, no random numbers drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from patchwidget.decoder import blocks
from patchwidget.decoder.borrow import borrow
from patchwidget.decoder.rules import PLAIN, Rules
from patchwidget.decoder.weights import Layer, Mlp, Weights
from patchwidget.logits import NotComputedError
from patchwidget.nodes import Extent
from patchwidget.slices import Slices, whole

Tap = Callable[[str, int, Tensor], Tensor]


def untouched(site: str, layer: int, value: Tensor) -> Tensor:  # noqa: ARG001 - a tap
    """The tap that changes nothing."""
    return value


@dataclass(frozen=True)
class Past:
    """The positions before the first change of a resumed run: as in the base run.

    Attributes:
        length: how many positions there are before it.
        values: every site of the base run, `[B, T, ...]`.
    """

    length: int
    values: Mapping[tuple[str, int], Tensor]

    def before(self, site: str, layer: int, later: Tensor) -> Tensor:
        """`later` `[n * B, ...]`, positions `length` on, with the earlier ones before."""
        if self.length == 0:
            return later
        early = self.values[site, layer][:, : self.length]
        n_pos = self.length + later.shape[1]
        whole = later.new_empty(len(later), n_pos, *later.shape[2:])
        whole[:, self.length :] = later
        copies = torch.unflatten(whole, 0, (-1, len(early)))
        copies[:, :, : self.length] = early
        return whole


NO_PAST = Past(0, {})


@dataclass(frozen=True)
class Scope:
    """Which positions a layer computes: from the past's end on, all or one `wanted`."""

    past: Past
    wanted: slice | None


@dataclass(frozen=True)
class StreamReadout:
    """A run's final residual stream, unembedded where a metric looks.

    Attributes:
        weights: the decoder's weights.
        stream: `[rows, positions, d]`.
        n_pos: how many positions the run has.
        only: the position that was computed; None if all of them were.
        rules: the run's own.
    """

    weights: Weights
    stream: Tensor
    n_pos: int
    only: int | None = None
    rules: Rules = PLAIN

    @property
    def shape(self) -> tuple[int, int, int]:
        """See `logits.Readout.shape`."""
        return len(self.stream), self.n_pos, self.weights.W_U.shape[1]

    @property
    def like(self) -> Tensor:
        """See `logits.Readout.like`."""
        return self.stream

    def logits(
        self, position: int | None = None, vocabulary: Tensor | None = None
    ) -> Tensor:
        """See `logits.Readout.logits`."""
        normal = self.rules.normalise(self.weights.ln_final, self._at(position))
        W_U, b_U = self.weights.W_U, self.weights.b_U
        if vocabulary is None:
            return blocks.cap(blocks.affine(normal, W_U, b_U), self.weights.soft_cap)
        # Rows share most of their tokens; a column of W_U may lie scattered in memory.
        tokens, places = torch.unique(vocabulary, return_inverse=True)
        few = blocks.affine(normal, W_U[:, tokens], b_U[tokens])
        return blocks.cap(few.gather(-1, places), self.weights.soft_cap)

    def _at(self, position: int | None) -> Tensor:
        if self.only is None:
            return self.stream if position is None else self.stream[:, position]
        if position is None or position % self.n_pos != self.only:
            raise NotComputedError(
                f"only position {self.only} was computed, {position} is read"
            )
        return self.stream[:, 0]

    def detached(self) -> StreamReadout:
        """The same values without a graph."""
        return replace(self, stream=self.stream.detach())

    def rows(self, start: int, stop: int) -> StreamReadout:
        """The readout of rows `start` to `stop`."""
        return replace(self, stream=self.stream[start:stop])


@dataclass(frozen=True)
class Decoder:
    """A pure function over borrowed weights.

    Attributes:
        weights: the model's.
        rules: how steps that are not linear are taken; the model's own by default.

    Example:
        >>> from patchwidget import demo
        >>> model = demo.load_model()
        >>> decoder = Decoder.of(model)
        >>> tokens = model.to_tokens("Then Mary gave the ring to")
        >>> decoder.run(tokens).logits(position=-1).shape == (1, model.cfg.d_vocab)
        True
    """

    weights: Weights
    rules: Rules = PLAIN

    @classmethod
    def of(cls, model: Any) -> Decoder:
        """The decoder of a TransformerLens model.

        Raises:
            UncoveredError: if its architecture is not covered.
        """
        return cls(borrow(model))

    def extent(self, n_pos: int) -> Extent:
        """How many nodes of each kind there are on prompts of `n_pos` tokens."""
        return self.weights.extent(n_pos)

    def embed(self, tokens: Tensor) -> Tensor:
        """The stream before layer 0, `[N, T, d]`, from tokens `[N, T]`."""
        stream = self.weights.W_E[tokens] * self.weights.embed_scale
        W_pos = self.weights.W_pos
        return stream if W_pos is None else stream + W_pos[: tokens.shape[1]]

    def run(self, tokens: Tensor, tap: Tap = untouched) -> StreamReadout:
        """Run tokens `[N, T]` through all layers."""
        return whole(self.running(tokens, tap))

    def running(self, tokens: Tensor, tap: Tap = untouched) -> Slices[StreamReadout]:
        """`run`, of which a slice is one layer."""
        return (yield from self.resuming(self.embed(tokens), 0, "resid_pre", tap))

    def resume(
        self, stream: Tensor, layer: int, site: str, tap: Tap = untouched
    ) -> StreamReadout:
        """Go on from a stream `[N, T, d]` at `site` of `layer`."""
        return whole(self.resuming(stream, layer, site, tap))

    def resuming(
        self, stream: Tensor, layer: int, site: str, tap: Tap = untouched
    ) -> Slices[StreamReadout]:
        """`resume`, of which a slice is one layer."""
        steps = self.steps(stream, layer, site, tap)
        last = next(steps)  # the stream as it was given
        for after in steps:
            last = after
            yield
        return StreamReadout(self.weights, last, last.shape[1], rules=self.rules)

    def steps(
        self,
        stream: Tensor,
        layer: int,
        site: str,
        tap: Tap = untouched,
        *,
        past: Past = NO_PAST,
        read: int | None = None,
    ) -> Iterator[Tensor]:
        """`resume`, one layer at a time: the stream after each of them.

        The stream itself comes first, so that there is always a last one. The value at
        the starting site is taken as it is and not tapped again, except at the start of
        a layer, where a run begins.

        Args:
            stream: `[N, T - past.length, d]`.
            layer: where it stands.
            site: where in that layer: `"resid_pre"`, `"resid_mid"` or `"resid_post"`.
            tap: sees the sites of the positions that are computed.
            past: what comes before the stream's first position.
            read: the one position that is wanted in the end; None for all. The last
                layer then computes that one only, and gives `[N, 1, d]`: for runs that
                start before that layer or at its own start.
        """
        layers = self.weights.layers
        column = (
            None if read is None else slice(read - past.length, read - past.length + 1)
        )
        yield stream
        if site == "resid_mid":
            stream = self._second_half(layers[layer], layer, stream, tap)
            yield stream
        for number in range(layer if site == "resid_pre" else layer + 1, len(layers)):
            wanted = column if number == len(layers) - 1 else None
            stream = self._block(
                layers[number], number, stream, tap, Scope(past, wanted)
            )
            yield stream

    def _block(
        self,
        weights: Layer,
        layer: int,
        stream: Tensor,
        tap: Tap,
        scope: Scope,
    ) -> Tensor:
        before = tap("resid_pre", layer, stream)
        written = self._attend(weights, layer, before, tap, scope)
        if scope.wanted is not None:
            before = before[:, scope.wanted]
        stream = before + tap("attn_out", layer, written)
        if weights.parallel:
            out = self._think(weights, layer, before, tap)
            return tap("resid_post", layer, stream + out)
        if weights.mlp is None:
            return tap("resid_post", layer, stream)
        stream = tap("resid_mid", layer, stream)
        return self._second_half(weights, layer, stream, tap)

    def _attend(
        self,
        weights: Layer,
        layer: int,
        stream: Tensor,
        tap: Tap,
        scope: Scope,
    ) -> Tensor:
        """What attention writes to the stream, at all positions or the one wanted."""
        attn = weights.attn
        normal = self.rules.normalise(weights.ln1, stream)
        past, asking, first = scope.past, normal, scope.past.length
        if scope.wanted is not None:
            asking, first = normal[:, scope.wanted], first + scope.wanted.start
        q = tap("q", layer, blocks.project(asking, attn.all_q, attn.b_Q))
        k = tap("k", layer, blocks.project(normal, attn.all_k, attn.b_K))
        v = tap("v", layer, blocks.project(normal, attn.all_v, attn.b_V))
        keys, values = past.before("k", layer, k), past.before("v", layer, v)
        pattern = tap("pattern", layer, self.rules.attend(attn, q, keys, first))
        z = tap("z", layer, blocks.mix(pattern, values))
        return self.rules.normalise(weights.ln1_post, blocks.write(attn, z))

    def _second_half(
        self, weights: Layer, layer: int, stream: Tensor, tap: Tap
    ) -> Tensor:
        out = self._think(weights, layer, stream, tap)
        return tap("resid_post", layer, stream + out)

    def _think(self, weights: Layer, layer: int, stream: Tensor, tap: Tap) -> Tensor:
        """What the MLP writes to the stream."""
        mlp = cast("Mlp", weights.mlp)
        normal = self.rules.normalise(weights.ln2, stream)
        active = tap("neuron", layer, self.rules.neurons(mlp, normal))
        out = self.rules.normalise(weights.ln2_post, blocks.excite(mlp, active))
        return tap("mlp_out", layer, out)
