"""Do later heads undo what a patched node does?

The *direct effect* of a write is what it does to the metric through the final norm alone,
while all that other layers write stays as in the base run. A node's own write has one; and
each later head, whose write is another in the patched run, has one too. Where later heads
move against the node, the model repairs itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from patchwidget.decoder import Decoder, StreamReadout, blocks
from patchwidget.nodes import HEAD_KINDS, Node
from patchwidget.runs import Activations, Runs, computed
from patchwidget.slices import Slices, whole


@dataclass(frozen=True)
class SelfRepair:
    """Direct effects in the run in which a node is patched, means over the pairs.

    Attributes:
        own: of what the node's layer writes because of it, or of the stream it replaces.
        heads: of each head of a later layer, by (layer, head).
    """

    own: float
    heads: dict[tuple[int, int], float]

    @property
    def against(self) -> float:
        """Sum of the heads' direct effects whose sign is not the node's own."""
        return sum(effect for effect in self.heads.values() if effect * self.own < 0)


def self_repair(runs: Runs, node: Node) -> SelfRepair:
    """Direct effects of a patched node and of the heads after it.

    Raises:
        TypeError: if the decoder does not stand for the model.
    """
    return whole(computed(self_repair_slices(runs, node)))


def self_repair_slices(runs: Runs, node: Node) -> Slices[SelfRepair]:
    """`self_repair`, of which a slice is one layer: of the run, or of its heads.

    Raises:
        TypeError: if the decoder does not stand for the model.
    """
    if not isinstance(runs.engine, Decoder):
        raise TypeError(
            "direct effects need the decoder: the notice says why it is not used"
        )
    patched = yield from _patched(runs, runs.engine, node)
    site = _written_at(node.kind), node.layer
    own = _direct(runs, patched[site] - runs.base.values[site])
    heads: dict[tuple[int, int], float] = {}
    for layer in range(node.layer + 1, runs.extent.n_layers):
        yield
        effects = _direct(runs, _head_writes(runs, patched["z", layer], layer))
        heads |= {(layer, head): effect for head, effect in enumerate(effects)}
    return SelfRepair(own[0], heads)


def _written_at(kind: str) -> str:
    """Where a node's own change enters the stream."""
    if kind in HEAD_KINDS:
        return "attn_out"
    return "mlp_out" if kind == "neuron" else kind


def _patched(runs: Runs, decoder: Decoder, node: Node) -> Slices[Activations]:
    """Every site of the run in which the node has the source's value."""
    values: Activations = {}

    def tap(site: str, layer: int, value: Tensor) -> Tensor:
        if (site, layer) == (node.kind, node.layer):
            value = value.clone()
            value[node.index] = runs.source.values[site, layer][node.index]
        values[site, layer] = value
        return value

    yield from decoder.running(runs.base_tokens, tap)
    return values


def _head_writes(runs: Runs, z: Tensor, layer: int) -> Tensor:
    """How each head's write differs from the base run's, `[H * B, T, d]`."""
    weights = cast("Decoder", runs.engine).weights.layers[layer]
    attn, base = weights.attn, runs.base.values["z", layer]
    changes = torch.einsum("bthe,hed->hbtd", z - base, attn.W_O)
    if weights.ln1_post is not None:
        # The norm takes what all heads write together, one of them changed.
        written = blocks.normalise(weights.ln1_post, blocks.write(attn, base) + changes)
        changes = written - runs.base.values["attn_out", layer]
    return changes.flatten(0, 1)


def _direct(runs: Runs, change: Tensor) -> list[float]:
    """Direct effects of changes of the stream, `[n * B, T, d]`, means over the pairs."""
    weights = cast("Decoder", runs.engine).weights
    last = runs.base.values["resid_post", len(weights.layers) - 1]
    copies = len(change) // len(last)
    stream = last.repeat(copies, 1, 1) + change
    readout = StreamReadout(weights, stream, stream.shape[1])
    raw = runs.metric.values(readout, copies) - runs.scale.base
    shown = raw if runs.unit is None else runs.unit.shown(raw)
    effects: list[float] = shown.mean(-1).tolist()
    return effects
