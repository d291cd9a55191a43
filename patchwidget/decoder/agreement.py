"""Does the decoder compute what the model computes? Asked on the study's own prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from patchwidget.decoder.single import HALF, in_single
from patchwidget.decoder.weights import Weights

# Largest ratio found between a model's distance from the float32 run and the decoder's:
# 1.80, over 24 kinds of small models, both dtypes, 12 seeds each, 1 to 60 positions a
# run; the median is 0.9 to 1.0. A bias left out gives 5 to 44 in bfloat16, a window one
# position too wide 35 to 52, in float16 eight times as much.
ROUNDINGS = 2


def tolerance(logits: Tensor, n_layers: int) -> float:
    """Largest difference of logits that rounding alone explains.

    Two orders of summation differ by about eps a layer, growing as the root of their
    number, in units of the largest logit: 16 * eps * sqrt(layers) * max |logit|.
    In half precision that would be up to the logits themselves; there the only question
    is whether one model gives the same logits again, run in the same way, and two steps
    of the largest one are allowed: 2 * eps * max |logit|.
    """
    eps: float = torch.finfo(logits.dtype).eps
    steps = 2.0 if logits.dtype in HALF else 16 * math.sqrt(n_layers)
    return steps * eps * max(1.0, float(logits.abs().max()))


def difference(ours: Tensor, theirs: Tensor, n_layers: int) -> str | None:
    """How two runs' logits differ beyond rounding, in words; None if they do not."""
    allowed = tolerance(theirs, n_layers)
    largest = float((ours - theirs).abs().max())
    if largest <= allowed:
        return None
    # Also where it is not a number.
    return f"by {largest:.2g}, where rounding explains {allowed:.2g}"


def disagreement(
    weights: Weights,
    tokens: Sequence[Tensor],
    ours: Sequence[Tensor],
    theirs: Sequence[Tensor],
) -> str | None:
    """How a model's runs differ from its decoder's beyond rounding; None if they do not.

    In float32 and float64 no logit may differ by more than `tolerance`. In half
    precision, with the root mean square over all logits of all runs,

        rms(theirs - single) <= 2 * rms(ours - single)

    where `single` are the decoder's logits in float32 over the same weights. A mistake
    in the decoder moves `single` and `ours` alike, so that it shows in the left side
    alone; it goes unnoticed where it moves the logits by less than about twice what
    rounding does.

    Args:
        weights: the decoder's.
        tokens: the prompts of each run, `[N, T]`.
        ours: the decoder's logits of each run, `[N, T, V]`.
        theirs: the model's.
    """
    if weights.W_E.dtype in HALF:
        return _beyond_rounding(weights, tokens, ours, theirs)
    found = (
        difference(a, b, len(weights.layers)) for a, b in zip(ours, theirs, strict=True)
    )
    return next((words for words in found if words is not None), None)


def _beyond_rounding(
    weights: Weights,
    tokens: Sequence[Tensor],
    ours: Sequence[Tensor],
    theirs: Sequence[Tensor],
) -> str | None:
    rounding = distance = 0.0
    for prompts, a, b in zip(tokens, ours, theirs, strict=True):
        single = in_single(weights, prompts)
        rounding += _square(a, single)
        distance += _square(b, single)
    count = sum(logits.numel() for logits in ours)
    allowed, root = ROUNDINGS * math.sqrt(rounding / count), math.sqrt(distance / count)
    if root <= allowed:
        return None
    return f"by {root:.2g} (root mean square), where rounding explains {allowed:.2g}"


def _square(half: Tensor, single: Tensor) -> float:
    return float((half.float() - single).square().sum())
