"""Does the decoder compute what the model computes? Asked on the study's own prompts."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def tolerance(logits: Tensor, n_layers: int) -> float:
    """Largest difference of logits that rounding alone explains.

    Two orders of summation differ by about eps a layer, growing as the root of their
    number, in units of the largest logit: 16 * eps * sqrt(layers) * max |logit|.
    """
    eps: float = torch.finfo(logits.dtype).eps
    return 16 * eps * math.sqrt(n_layers) * max(1.0, float(logits.abs().max()))


def difference(ours: Tensor, theirs: Tensor, n_layers: int) -> str | None:
    """How two runs' logits differ beyond rounding, in words; None if they do not."""
    allowed = tolerance(theirs, n_layers)
    largest = float((ours - theirs).abs().max())
    if largest <= allowed:
        return None
    # Also where it is not a number.
    return f"by {largest:.2g}, where rounding explains {allowed:.2g}"
