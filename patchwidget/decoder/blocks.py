"""The pure functions of a decoder: every value is a plain tensor, nothing is stored.

Shapes: stream `[N, T, d]`; q, z `[N, T, H, d_head]`; k, v `[N, T, H_kv, d_head]`;
pattern `[N, H, T, T]` (destination, source). Scores and softmax follow TransformerLens.
"""

from __future__ import annotations

import torch
from torch import Tensor

from patchwidget.decoder.weights import Attention, Mlp, Norm


def normalise(norm: Norm, stream: Tensor) -> Tensor:
    """LayerNorm; half precision is normalised in single, as both model classes do."""
    # The fused kernel in one pass; its variance is the biased one, as in the models.
    dtype = stream.dtype
    wide = stream.float() if dtype in (torch.float16, torch.bfloat16) else stream
    weight = None if norm.weight is None else norm.weight.to(wide.dtype)
    bias = None if norm.bias is None else norm.bias.to(wide.dtype)
    normal = torch.nn.functional.layer_norm(
        wide, wide.shape[-1:], weight, bias, norm.eps
    )
    return normal.to(dtype)


def project(stream: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Heads' inputs `[N, T, H, d_head]` from the normalised stream."""
    return torch.einsum("ntd,hde->nthe", stream, weight) + bias


def mix(pattern: Tensor, v: Tensor) -> Tensor:
    """Attention-weighted values z `[N, T, H, d_head]`; KV heads serve their groups."""
    return torch.einsum("nhij,njhe->nihe", pattern, spread(v, pattern.shape[1]))


def write(attn: Attention, z: Tensor) -> Tensor:
    """What the heads write to the stream together, `[N, T, d]`."""
    return torch.einsum("nthe,hed->ntd", z, attn.W_O) + attn.b_O


def attend(q: Tensor, k: Tensor, scale: float) -> Tensor:
    """Causal attention pattern `[N, H, T, T]` of matching query and key heads."""
    scores = torch.einsum("nihe,njhe->nhij", q, spread(k, q.shape[2])) * scale
    length = scores.shape[-1]
    future = torch.ones(length, length, dtype=torch.bool, device=q.device).triu(1)
    return scores.masked_fill(future, float("-inf")).softmax(-1)


def spread(kv: Tensor, n_heads: int) -> Tensor:
    """Keys or values `[N, T, H_kv, e]` repeated for the query heads of each group."""
    group = n_heads // kv.shape[2]
    return kv if group == 1 else kv.repeat_interleave(group, dim=2)


def neurons(mlp: Mlp, stream: Tensor) -> Tensor:
    """Post-nonlinearity neurons `[N, T, d_mlp]` from the normalised stream."""
    return mlp.act(stream @ mlp.W_in + mlp.b_in)
