"""What patching nodes of one layer does to the residual stream: exact, and local.

A patch of one layer changes what that layer writes; the change is computed here without
running the rest of the model. `change` knows nothing of where the values come from: a
source run, an ablation, anything of the right shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from patchwidget.decoder import blocks
from patchwidget.decoder.weights import Attention, Layer, Mlp, Norm, Weights
from patchwidget.nodes import Node
from patchwidget.runs import Activations


@dataclass(frozen=True)
class Change:
    """A residual stream in which nodes were patched, one node a copy.

    Attributes:
        stream: `[n, B, T, d]`.
        layer, site: where in the model the stream stands.
    """

    stream: Tensor
    layer: int
    site: str


def change(
    weights: Weights, base: Activations, values: Activations, nodes: Sequence[Node]
) -> Change:
    """The stream after each of `nodes` was given the value it has in `values`.

    Args:
        weights: the decoder's weights.
        base: every site of the run that is patched.
        values: sites to take values from, `[B, ...]` as in the base run.
        nodes: nodes of one kind and one layer.

    Returns:
        The changed stream of each node, at the first place that shows all of the change.
    """
    kind, layer = nodes[0].kind, nodes[0].layer
    if kind in ("resid_pre", "resid_mid", "resid_post"):
        stream = _replaced(base[kind, layer], values[kind, layer], nodes)
        return Change(stream, layer, kind)
    written = _written(weights.layers[layer], base, values, nodes)
    site = "resid_post" if kind in ("mlp_out", "neuron") else "resid_mid"
    # In a parallel block, and without an MLP, nothing reads the stream in between.
    site = site if (site, layer) in base else "resid_post"
    return Change(base[site, layer] + written, layer, site)


def _written(
    block: Layer, base: Activations, values: Activations, nodes: Sequence[Node]
) -> Tensor:
    """Change of what attention or the MLP writes to the stream, `[n, B, T, d]`."""
    kind, layer = nodes[0].kind, nodes[0].layer
    if kind in ("attn_out", "mlp_out"):
        return _difference(base[kind, layer], values[kind, layer], nodes)
    if kind == "neuron":
        return _neuron_writes(block, base, values, nodes)
    attn = block.attn
    steps = torch.stack([_head_write(attn, base, values, node) for node in nodes])
    return _through(block.ln1_post, blocks.write(attn, base["z", layer]), steps)


def _replaced(base: Tensor, values: Tensor, nodes: Sequence[Node]) -> Tensor:
    """Copies of a tensor `[n, ...]`, each with its own node's part replaced."""
    copies = base[None].repeat(len(nodes), *[1] * base.dim())
    for copy, node in zip(copies, nodes, strict=True):
        copy[node.index] = values[node.index]
    return copies


def _difference(base: Tensor, values: Tensor, nodes: Sequence[Node]) -> Tensor:
    """Source minus base at each node, zero elsewhere, `[n, ...]`."""
    copies = base.new_zeros(len(nodes), *base.shape)
    for copy, node in zip(copies, nodes, strict=True):
        copy[node.index] = values[node.index] - base[node.index]
    return copies


def _neuron_writes(
    block: Layer, base: Activations, values: Activations, nodes: Sequence[Node]
) -> Tensor:
    layer, mlp = nodes[0].layer, cast("Mlp", block.mlp)
    active = base["neuron", layer]
    steps = active.new_zeros(len(nodes), *base["resid_post", layer].shape)
    for step, node in zip(steps, nodes, strict=True):
        change = values["neuron", layer][node.index] - active[node.index]
        step[:, node.pos] = change[:, None] * mlp.W_out[node.neuron]
    return _through(block.ln2_post, blocks.excite(mlp, active), steps)


def _through(norm: Norm | None, out: Tensor, steps: Tensor) -> Tensor:
    """Changes of a write as the stream sees them: norm(out + step) - norm(out)."""
    if norm is None:
        return steps
    return blocks.normalise(norm, out + steps) - blocks.normalise(norm, out)


def _head_write(
    attn: Attention, base: Activations, values: Activations, node: Node
) -> Tensor:
    """Change of what the heads that one node feeds write, `[B, T, d]`."""
    heads = _query_heads(attn, node)
    step = _HEAD_STEPS[node.kind](attn, _OneLayer(base, values, node), heads)
    return torch.einsum("bthe,hed->btd", step, attn.W_O[heads])


def _query_heads(attn: Attention, node: Node) -> slice:
    """The query heads that read a node: for a KV head, its group."""
    head = node.head or 0
    if node.kind in ("k", "v"):
        return slice(head * attn.group, (head + 1) * attn.group)
    return slice(head, head + 1)


@dataclass(frozen=True)
class _OneLayer:
    """Both runs' values in the layer of one node."""

    base: Activations
    values: Activations
    node: Node

    def of(self, site: str) -> Tensor:
        return self.base[site, self.node.layer]

    def patched(self) -> Tensor:
        """The node's own tensor with the node's part replaced."""
        place = self.node.kind, self.node.layer
        patched = self.base[place].clone()
        patched[self.node.index] = self.values[place][self.node.index]
        return patched

    def step(self) -> Tensor:
        """The change of the node's own tensor."""
        return self.patched() - self.base[self.node.kind, self.node.layer]


def _z_step(attn: Attention, runs: _OneLayer, heads: slice) -> Tensor:  # noqa: ARG001 - one form
    return runs.step()[:, :, heads]


def _v_step(attn: Attention, runs: _OneLayer, heads: slice) -> Tensor:
    step = blocks.spread(runs.step(), attn.W_Q.shape[0])[:, :, heads]
    return torch.einsum("bhij,bjhe->bihe", runs.of("pattern")[:, heads], step)


def _q_step(attn: Attention, runs: _OneLayer, heads: slice) -> Tensor:
    n_heads = attn.W_Q.shape[0]
    k = blocks.spread(runs.of("k"), n_heads)[:, :, heads]
    pattern = blocks.attend(attn, runs.patched()[:, :, heads], k)
    return _pattern_change(runs, pattern, heads, n_heads)


def _k_step(attn: Attention, runs: _OneLayer, heads: slice) -> Tensor:
    n_heads = attn.W_Q.shape[0]
    k = blocks.spread(runs.patched(), n_heads)[:, :, heads]
    pattern = blocks.attend(attn, runs.of("q")[:, :, heads], k)
    return _pattern_change(runs, pattern, heads, n_heads)


def _pattern_step(attn: Attention, runs: _OneLayer, heads: slice) -> Tensor:
    return _pattern_change(runs, runs.patched()[:, heads], heads, attn.W_Q.shape[0])


def _pattern_change(
    runs: _OneLayer, pattern: Tensor, heads: slice, n_heads: int
) -> Tensor:
    """Change of z of `heads` when their pattern becomes another."""
    step = pattern - runs.of("pattern")[:, heads]
    v = blocks.spread(runs.of("v"), n_heads)[:, :, heads]
    return torch.einsum("bhij,bjhe->bihe", step, v)


_HEAD_STEPS: dict[str, Callable[[Attention, _OneLayer, slice], Tensor]] = {
    "z": _z_step,
    "v": _v_step,
    "q": _q_step,
    "k": _k_step,
    "pattern": _pattern_step,
}
