"""What patching nodes of one layer does to the residual stream: exact, and local.

A patch of one layer changes what that layer writes; the change is computed here without
running the rest of the model, for many nodes at once. `change` knows nothing of where the
values come from: a source run, an ablation, anything of the right shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from patchwidget.decoder import blocks
from patchwidget.decoder.weights import Attention, Layer, Mlp, Norm, Weights
from patchwidget.nodes import STREAM_KINDS, Node

Values = Mapping[tuple[str, int], Tensor]


@dataclass(frozen=True)
class Change:
    """A residual stream in which nodes were patched, one node a copy.

    Attributes:
        stream: `[n, B, T - first, d]`.
        layer, site: where in the model the stream stands.
        first: position of its first column.
    """

    stream: Tensor
    layer: int
    site: str
    first: int


def resumes_at(kind: str, block: Layer) -> str:
    """The first place in a layer's stream that shows all of a patch's change."""
    if kind in ("resid_pre", "resid_mid", "resid_post"):
        return kind
    # In a parallel block, and without an MLP, nothing reads the stream in between.
    is_end = kind in ("mlp_out", "neuron") or block.parallel or block.mlp is None
    return "resid_post" if is_end else "resid_mid"


def change(
    weights: Weights,
    base: Values,
    values: Values,
    nodes: Sequence[Node],
    first: int = 0,
) -> Change:
    """The stream after each of `nodes` was given the value it has in `values`.

    Args:
        weights: the decoder's weights.
        base: every site of the run that is patched.
        values: sites to take values from, `[B, ...]` as in the base run.
        nodes: nodes of one kind and one layer.
        first: the position before which `values` and `base` are alike at every node.

    Returns:
        The changed stream of each node, at the first place that shows all of the change.
    """
    patch = _Patch(weights.layers[nodes[0].layer], base, values, nodes, first)
    kind, layer = nodes[0].kind, nodes[0].layer
    if kind in ("resid_pre", "resid_mid", "resid_post"):
        return Change(patch.replaced(kind), layer, kind, first)
    site = resumes_at(kind, patch.block)
    return Change(patch.before(site) + _WRITES[kind](patch), layer, site, first)


@dataclass(frozen=True)
class _Patch:
    """Both runs' values in the layer of some nodes, from position `first` on.

    Letters of shapes: n nodes, B pairs, t positions from `first` on, T all positions,
    g query heads that a node feeds (more than one for a KV head), e = d_head.
    """

    block: Layer
    base: Values
    values: Values
    nodes: Sequence[Node]
    first: int

    @property
    def attn(self) -> Attention:
        return self.block.attn

    def _place(self, site: str) -> tuple[str, int]:
        return site, self.nodes[0].layer

    def before(self, site: str) -> Tensor:
        """A stream of the base run `[B, t, d]`."""
        return self.base[self._place(site)][:, self.first :]

    def hit(self) -> Tensor:
        """Which positions each node holds, `[n, 1, t, 1]`."""
        every = torch.arange(self.first, self._n_pos, device=self._device)
        chosen = [
            every == n.pos if n.pos is not None else every >= 0 for n in self.nodes
        ]
        return torch.stack(chosen)[:, None, :, None]

    @property
    def _n_pos(self) -> int:
        return self.base[self._place("resid_pre")].shape[1]

    @property
    def _device(self) -> torch.device:
        return self.base[self._place("resid_pre")].device

    def replaced(self, kind: str) -> Tensor:
        """A stream `[n, B, t, d]`, each copy with its own node's part replaced."""
        theirs = self.values[self._place(kind)][:, self.first :]
        return torch.where(self.hit(), theirs, self.before(kind))

    def step(self, kind: str) -> Tensor:
        """Source minus base of a stream at each node, zero elsewhere, `[n, B, t, d]`."""
        step = self.values[self._place(kind)][:, self.first :] - self.before(kind)
        return torch.where(self.hit(), step, 0)

    def _numbers(self, numbers: Sequence[int | None]) -> Tensor:
        return torch.tensor([number or 0 for number in numbers], device=self._device)

    @property
    def heads(self) -> Tensor:
        """The nodes' own heads `[n]`: KV heads for k and v."""
        return self._numbers([node.head for node in self.nodes])

    @property
    def query_heads(self) -> Tensor:
        """The query heads that read each node, `[n, g]`."""
        if self.nodes[0].kind not in ("k", "v"):
            return self.heads[:, None]
        members = torch.arange(self.attn.group, device=self._device)
        return self.heads[:, None] * self.attn.group + members

    @property
    def kv_heads(self) -> Tensor:
        """The KV head that each node is or reads, `[n]`."""
        return torch.div(self.query_heads[:, 0], self.attn.group, rounding_mode="floor")

    def of(self, run: Values, site: str, heads: Tensor, start: int = 0) -> Tensor:
        """q, k, v or z of one head a node, from a position on, `[n, B, t, e]`."""
        chosen = run[self._place(site)][:, start:].index_select(2, heads)
        return chosen.permute(2, 0, 1, 3)

    def pattern(self, run: Values) -> Tensor:
        """Patterns of the heads that nodes feed, `[n, B, g, t, T]`."""
        heads = self.query_heads
        rows = run[self._place("pattern")][:, :, self.first :]
        chosen = rows.index_select(1, heads.flatten())
        return torch.unflatten(chosen, 1, heads.shape).transpose(0, 1)

    @property
    def neuron_numbers(self) -> Tensor:
        """Each node's neuron `[n]`."""
        return self._numbers([node.neuron for node in self.nodes])

    def neurons(self, run: Values) -> Tensor:
        """Each node's own neuron, `[n, B]`."""
        positions = self._numbers([node.pos for node in self.nodes])
        return run[self._place("neuron")][:, positions, self.neuron_numbers].T


def _stream_write(patch: _Patch) -> Tensor:
    return patch.step(patch.nodes[0].kind)


def _neuron_write(patch: _Patch) -> Tensor:
    mlp = cast("Mlp", patch.block.mlp)
    size = patch.neurons(patch.values) - patch.neurons(patch.base)
    written = size[..., None] * mlp.W_out[patch.neuron_numbers][:, None]
    step = torch.where(patch.hit(), written[:, :, None], 0)
    norm = patch.block.ln2_post
    return (
        step
        if norm is None
        else _through(norm, blocks.excite(mlp, patch.before("neuron")), step)
    )


def _through(norm: Norm, out: Tensor, step: Tensor) -> Tensor:
    """Changes of a write as the stream sees them: norm(out + step) - norm(out)."""
    return blocks.normalise(norm, out + step) - blocks.normalise(norm, out)


def _head_write(patch: _Patch) -> Tensor:
    """Change of what the heads that each node feeds write, `[n, B, t, d]`."""
    attn, kind = patch.attn, patch.nodes[0].kind
    step = _Z_STEPS[kind](patch)
    W_O = attn.W_O[patch.query_heads].flatten(1, 2)
    rows = step.flatten(1, 2).flatten(2) @ W_O
    written = torch.unflatten(rows, 1, step.shape[1:3])
    norm = patch.block.ln1_post
    return (
        written
        if norm is None
        else _through(norm, blocks.write(attn, patch.before("z")), written)
    )


def _z_step(patch: _Patch) -> Tensor:
    """Changes of z, `[n, B, t, g, e]`, here of the node itself."""
    source, base = (
        patch.of(run, "z", patch.heads, patch.first)
        for run in (patch.values, patch.base)
    )
    return torch.where(patch.hit(), source - base, 0)[..., None, :]


def _v_step(patch: _Patch) -> Tensor:
    source, base = (
        patch.of(run, "v", patch.heads, patch.first)
        for run in (patch.values, patch.base)
    )
    step = torch.where(patch.hit(), source - base, 0)
    seen = patch.pattern(patch.base)[..., patch.first :]
    return torch.einsum("nbgij,nbje->nbige", seen, step)


def _q_step(patch: _Patch) -> Tensor:
    source, base = (
        patch.of(run, "q", patch.heads, patch.first)
        for run in (patch.values, patch.base)
    )
    queries = torch.where(patch.hit(), source, base)
    keys = patch.of(patch.base, "k", patch.kv_heads)
    pattern = _attend(patch, queries[..., None, :], keys)
    # Rows of other queries stay as they are: not even rounding may move them.
    return _moved(patch, pattern, patch.hit()[:, :, None])


def _k_step(patch: _Patch) -> Tensor:
    source, base = (
        patch.of(run, "k", patch.heads) for run in (patch.values, patch.base)
    )
    hit = patch.hit()
    # A key before `first` is the same in both runs.
    keys = torch.cat(
        [
            base[:, :, : patch.first],
            torch.where(hit, source[:, :, patch.first :], base[:, :, patch.first :]),
        ],
        2,
    )
    heads = patch.query_heads
    queries = torch.stack(
        [patch.of(patch.base, "q", group, patch.first) for group in heads.T], -2
    )
    # A destination before the key does not see it.
    sees = hit.cumsum(2) > 0
    return _moved(patch, _attend(patch, queries, keys), sees[:, :, None])


def _attend(patch: _Patch, queries: Tensor, keys: Tensor) -> Tensor:
    """Patterns `[n, B, g, t, T]` of queries `[n, B, t, g, e]` and keys `[n, B, T, e]`."""
    rows = queries.flatten(0, 1), keys.flatten(0, 1)[:, :, None]
    pattern = blocks.attend(patch.attn, *rows, patch.first)
    return torch.unflatten(pattern, 0, queries.shape[:2])


def _pattern_step(patch: _Patch) -> Tensor:
    cells = patch.hit()[:, :, None]
    sources = [node.src for node in patch.nodes]
    if any(source is not None for source in sources):
        columns = torch.arange(patch.pattern(patch.base).shape[-1], device=cells.device)
        chosen = [columns == s if s is not None else columns >= 0 for s in sources]
        cells = cells & torch.stack(chosen)[:, None, None, None]
    return _moved(patch, patch.pattern(patch.values), cells)


def _moved(patch: _Patch, pattern: Tensor, where: Tensor) -> Tensor:
    """Change of z, `[n, B, t, g, e]`, when patterns become others in some places."""
    step = torch.where(where, pattern - patch.pattern(patch.base), 0)
    v = patch.of(patch.base, "v", patch.kv_heads)
    return torch.einsum("nbgij,nbje->nbige", step, v)


_Z_STEPS: dict[str, Callable[[_Patch], Tensor]] = {
    "z": _z_step,
    "v": _v_step,
    "q": _q_step,
    "k": _k_step,
    "pattern": _pattern_step,
}
_WRITES: dict[str, Callable[[_Patch], Tensor]] = {
    **dict.fromkeys(STREAM_KINDS, _stream_write),
    **dict.fromkeys(_Z_STEPS, _head_write),
    "neuron": _neuron_write,
}
