"""The pure functions of a decoder: every value is a plain tensor, nothing is stored.

Shapes: stream `[N, T, d]`; q, z `[N, T, H, d_head]`; k, v `[N, T, H_kv, d_head]`;
pattern `[N, H, T, T]` (destination, source). Scores and softmax follow TransformerLens.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from patchwidget.decoder.weights import Attention, Mlp, Norm


def normalise(norm: Norm | None, stream: Tensor) -> Tensor:
    """LayerNorm or RMSNorm; half precision is normalised in single, as in the models."""
    if norm is None:
        return stream
    dtype = stream.dtype
    wide = stream.float() if dtype in (torch.float16, torch.bfloat16) else stream
    weight = None if norm.weight is None else norm.weight.to(wide.dtype) + norm.offset
    if norm.centred:
        bias = None if norm.bias is None else norm.bias.to(wide.dtype)
        normal = functional.layer_norm(wide, wide.shape[-1:], weight, bias, norm.eps)
    else:
        normal = functional.rms_norm(wide, wide.shape[-1:], weight, norm.eps)
    return normal.to(dtype)


def rotate(
    attn: Attention, vectors: Tensor, norm: Norm | None, first: int = 0
) -> Tensor:
    """Queries or keys `[N, T, H, d_head]` as the scores read them: normed, rotated.

    Args:
        attn: whose rotation.
        vectors: the nodes' values.
        norm: the norm of queries or of keys.
        first: position of the first of them.
    """
    vectors = normalise(norm, vectors)
    if attn.rotary is None:
        return vectors
    last = first + vectors.shape[1]
    cos, sin = (part[first:, None].to(vectors) for part in attn.rotary.table(last))
    turned, rest = vectors[..., : cos.shape[-1]], vectors[..., cos.shape[-1] :]
    quarter = _quarter_turn(turned, adjacent=attn.rotary.adjacent)
    return torch.cat([turned * cos + quarter * sin, rest], -1)


def _quarter_turn(vectors: Tensor, *, adjacent: bool) -> Tensor:
    if adjacent:
        first, second = vectors[..., ::2], vectors[..., 1::2]
        return torch.stack([-second, first], -1).flatten(-2)
    first, second = vectors.chunk(2, -1)
    return torch.cat([-second, first], -1)


def project(stream: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Heads' inputs `[..., H, d_head]` from the normalised stream.

    Args:
        stream: `[..., d]`.
        weight: of all heads side by side, `[d, H * d_head]`.
        bias: `[H, d_head]`.
    """
    return torch.unflatten(affine(stream, weight, bias.flatten()), -1, bias.shape)


def affine(values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`values @ weight + bias` in one product; `[..., n] x [n, m] -> [..., m]`."""
    rows = values.reshape(-1, values.shape[-1]) @ weight
    return torch.unflatten(rows.add_(bias), 0, values.shape[:-1])


def mix(pattern: Tensor, v: Tensor) -> Tensor:
    """Attention-weighted values z `[N, T, H, d_head]`; KV heads serve their groups."""
    return torch.einsum("nhij,njhe->nihe", pattern, spread(v, pattern.shape[1]))


def attended(
    attn: Attention, q: Tensor, k: Tensor, v: Tensor, first: int = 0
) -> Tensor:
    """`mix(attend(...), v)` without keeping a pattern, which is faster on a processor.

    Elsewhere, and in half precision, the pattern is formed as the models form it, so that
    it is rounded as theirs is.
    """
    wide = q.dtype in (torch.float32, torch.float64)
    if attn.soft_cap is not None or q.device.type != "cpu" or not wide:
        return mix(attend(attn, q, k, first), v)
    q, k = rotate(attn, q, attn.q_norm, first), rotate(attn, k, attn.k_norm)
    heads = (q, spread(k, q.shape[2]), spread(v, q.shape[2]))
    queries, keys, values = (part.transpose(1, 2) for part in heads)
    mask = None
    # Torch's own causal mask starts at the first query and key.
    is_plain = first == 0 and attn.window is None
    if not is_plain:
        hidden = _hidden(attn, queries, keys, first)
        mask = queries.new_zeros(hidden.shape).masked_fill(hidden, float("-inf"))
    z = functional.scaled_dot_product_attention(
        queries, keys, values, mask, is_causal=is_plain, scale=attn.scale
    )
    return z.transpose(1, 2)


def write(attn: Attention, z: Tensor) -> Tensor:
    """What the heads write to the stream together, `[N, T, d]`."""
    return affine(z.flatten(-2), attn.all_o, attn.b_O)


def attend(attn: Attention, q: Tensor, k: Tensor, first: int = 0) -> Tensor:
    """Attention pattern `[N, h, Q, T]` of some query heads and their KV heads.

    Queries and keys are the nodes: neither normed nor rotated yet. Keys are there from
    position 0, queries `[N, Q, h, d_head]` from position `first`.
    """
    return score(attn, q, k, first).softmax(-1)


def score(attn: Attention, q: Tensor, k: Tensor, first: int = 0) -> Tensor:
    """What `attend` takes the softmax of; -inf where a destination sees no source."""
    q, k = rotate(attn, q, attn.q_norm, first), rotate(attn, k, attn.k_norm)
    scores = torch.einsum("nihe,njhe->nhij", q, spread(k, q.shape[2])) * attn.scale
    scores = cap(scores, attn.soft_cap)
    hidden = _hidden(attn, q.transpose(1, 2), k.transpose(1, 2), first)
    return scores.masked_fill(hidden, float("-inf"))


def _hidden(attn: Attention, queries: Tensor, keys: Tensor, first: int) -> Tensor:
    """What a destination does not see: the future, and what lies before its window."""
    shape = queries.shape[-2], keys.shape[-2]
    every = torch.ones(shape, dtype=torch.bool, device=queries.device)
    hidden = every.triu(1 + first)
    return hidden if attn.window is None else hidden | every.tril(first - attn.window)


def spread(kv: Tensor, n_heads: int) -> Tensor:
    """Keys or values `[N, T, H_kv, e]` repeated for the query heads of each group."""
    group = n_heads // kv.shape[2]
    return kv if group == 1 else kv.repeat_interleave(group, dim=2)


def neurons(mlp: Mlp, stream: Tensor) -> Tensor:
    """Post-nonlinearity neurons `[N, T, d_mlp]` from the normalised stream."""
    if mlp.W_gate is None:
        return mlp.act(affine(stream, mlp.W_in, mlp.b_in))
    return mlp.act(stream @ mlp.W_gate) * (stream @ mlp.W_in) + mlp.b_in


def excite(mlp: Mlp, active: Tensor) -> Tensor:
    """What active neurons write, `[N, T, d]`, before a post-norm."""
    return affine(active, mlp.W_out, mlp.b_out)


def cap(values: Tensor, soft_cap: float | None) -> Tensor:
    """Scores or logits pressed into (-soft_cap, soft_cap)."""
    return values if soft_cap is None else soft_cap * torch.tanh(values / soft_cap)
