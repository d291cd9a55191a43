"""How many patches run at once: what keeps the matrix unit busy, and what memory allows."""

from __future__ import annotations

from operator import index

import torch

from patchwidget.decoder import Decoder
from patchwidget.exact.memory import free_bytes
from patchwidget.exact.swap import Swap
from patchwidget.metrics import LogitDiff

# About a thousand token rows keep a processor's matrix unit busy; more only delays the
# next step. A graphics card wants more of them.
_ROWS = {"cpu": 1200}
_MANY_ROWS = 16384


def checked_budget(budget: int | None) -> int | None:
    """A budget as a user gave it.

    Raises:
        TypeError: if it is no whole number.
    """
    try:
        return None if budget is None else index(budget)
    except TypeError:
        raise TypeError(
            f"budget is a whole number of bytes, got {budget!r}: budget=2**30 is 1 GiB"
        ) from None


def rows_at_once(swap: Swap) -> int:
    """How many positions of patched runs keep this machine busy."""
    return _ROWS.get(swap.tokens.device.type, _MANY_ROWS)


def most_patches(swap: Swap) -> int:
    """How many patches memory allows at once.

    Raises:
        ValueError: if the budget is too small for a single patch.
    """
    needed = patch_bytes(swap)
    allowed = budget_of(swap) // needed
    if allowed < 1:
        raise ValueError(
            f"one patch of {len(swap.tokens)} pairs of {swap.n_pos} tokens needs about "
            f"{needed:,} bytes, the budget is {budget_of(swap):,}: "
            f"give budget={needed} or more, or fewer pairs"
        )
    return allowed


def budget_of(swap: Swap) -> int:
    """Bytes that patched runs may take."""
    return allowed_bytes(swap.budget, swap.tokens.device)


def allowed_bytes(budget: int | None, device: torch.device) -> int:
    """Bytes that runs may take: as asked for, else a quarter of what is free."""
    return free_bytes(device) // 4 if budget is None else budget


def patch_bytes(swap: Swap) -> int:
    """The most that one patch needs at once, beside the two captured runs.

    Counted are the tensors that live together: in attention the stream, its norm, and q,
    k, v and z once as rows and once as whole sequences, with scores and pattern, and the
    memory of the last layer's neurons as far as q, k and v leave it unused; in the MLP
    the stream, its norm, and the neurons before and after their nonlinearity; at the end
    logits and log-probabilities, where a metric reads the whole vocabulary (a logit
    difference reads the answers of all pairs).
    """
    if not isinstance(swap.engine, Decoder):
        return 1  # the model runs as it does for its user
    weights, n_pos = swap.engine.weights, swap.n_pos
    attn, mlp = weights.layers[0].attn, weights.layers[0].mlp
    d_model, vocabulary = weights.W_U.shape
    heads = attn.all_q.shape[1] + attn.all_k.shape[1]
    d_mlp = 0 if mlp is None else mlp.W_in.shape[1]
    in_memory = attn.adjacent_qkv is not None
    unused = max(0, d_mlp - (heads + attn.all_k.shape[1] if in_memory else 0))
    in_attention = n_pos * (
        4 * d_model + 4 * heads + unused + 3 * len(attn.W_Q) * n_pos
    )
    gated = mlp is not None and mlp.W_gate is not None
    in_mlp = n_pos * (4 * d_model + (3 if gated else 2) * d_mlp)
    few = all(isinstance(metric, LogitDiff) for metric in swap.metrics.values())
    tokens = min(vocabulary, 2 * len(swap.tokens)) if few else vocabulary
    at_end = 3 * (n_pos if swap.read is None else 1) * tokens
    largest = max(in_attention, in_mlp, at_end)
    return len(swap.tokens) * largest * swap.base.readout.like.element_size()
