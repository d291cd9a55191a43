"""What patching queries or keys does to attention patterns: exact through the softmax.

A saturated softmax has no slope, so a first-order estimate misses what a query or key
does when its change is large. Here the new pattern is computed, and only what follows is
taken as linear (AtP*, arXiv 2403.00745, section 3.1: the "QK fix").

A query patched at one position changes one row, so all positions are one softmax. A key
patched at one position changes one *column*, and every row by its own normalisation. No
row is computed again for that: the weight on the patched key goes from sigmoid(odds) to
sigmoid(odds + rise), where odds are its log-odds against the rest of the row and rise is
the change of its score, and the rest keeps its proportions. The effect of a row is then

    (new weight - old weight) * (g at the key - mean of g over the rest)

with g the gradient at the pattern. This takes O(T^2) a head. It is evaluated so that a
weight which has rounded to 1, where a fix matters most, loses nothing. All of it is in double
precision until the sum over a row is made: single rounds a score of 50 by 4e-6, and so
its effect by as much; and the parts of a row can cancel to a thousandth of their size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor

from patchwidget.decoder import Decoder, blocks
from patchwidget.decoder.weights import Attention
from patchwidget.estimate.steps import Step, node_steps
from patchwidget.runs import Runs

_UNSEEN = float("-inf")
# Weights that are gone through some twenty times in double precision: about as much work
# as a layer of a batch.
AT_ONCE = 2**20


def pattern_steps(runs: Runs, kind: str, by: str | None, layer: int) -> Iterator[Step]:
    """Steps of queries or keys through the softmax; of other kinds the plain one.

    Heads do not mix: where a layer has many weights, a step is of some of its heads.
    """
    if kind not in ("q", "k"):
        yield from node_steps(runs, kind, by, layer)
        return
    attn = cast("Decoder", runs.engine).weights.layers[layer].attn
    pattern = runs.base.values["pattern", layer]
    n_kv_heads = pattern.shape[1] // attn.group
    width = max(1, AT_ONCE * n_kv_heads // pattern.numel())
    for first in range(0, n_kv_heads, width):
        yield _step(runs, attn, (kind, layer), by, slice(first, first + width))


def _step(
    runs: Runs, attn: Attention, place: tuple[str, int], by: str | None, keys: slice
) -> Step:
    """The step of some KV heads, or of the query heads that they serve."""
    kind, layer = place
    heads = slice(keys.start * attn.group, keys.stop * attn.group)
    of = {"q": heads, "k": keys}
    q, k = (runs.base.values[site, layer][:, :, of[site]] for site in ("q", "k"))
    patched = runs.source.values[place][:, :, of[kind]]
    base = _score(attn, q, k)
    if kind == "q":
        return _row_step(base, _score(attn, patched, k), by, heads)
    moved = _score(attn, q, patched)
    if by is None:
        return _row_step(base, moved, by, heads, attn.group)
    return _key_step(attn, base, moved, heads)


def _score(attn: Attention, q: Tensor, k: Tensor) -> Tensor:
    # Apple's devices have no double precision.
    dtype = torch.float32 if q.device.type == "mps" else torch.float64
    return blocks.score(attn, q.to(dtype), k.to(dtype))


@dataclass(frozen=True)
class RowStep:
    """Whole rows that become others: queries, or all keys of a head at once.

    Attributes:
        by: `"pos"` for the query of one position, None for all positions together.
        change: new minus old pattern, `[B, H, dest, src]`.
        largest: each row's largest old weight, `[B, H, dest, 1]`.
        heads: which of the layer's query heads these H are.
        group: query heads of one node: 1, or those that share a key head.
    """

    site: ClassVar[str] = "pattern"
    by: str | None
    change: Tensor
    largest: Tensor
    heads: slice
    group: int

    def estimate(self, gradient: Tensor) -> Tensor:
        """See `Step.estimate`."""
        own = gradient[:, self.heads].to(self.change.dtype)
        wide = _from_largest(own, self.largest)
        rows = (self.change * wide).sum(-1)
        if self.by == "pos":
            return _rounded(rows.transpose(1, 2), gradient)
        return _rounded(_grouped(rows.sum(-1), self.group), gradient)


@dataclass(frozen=True)
class KeyStep:
    """Keys patched one position at a time.

    Attributes:
        pattern: the old weights `[B, H, dest, src]`.
        change: of each weight when the key it looks at is patched, and no other.
        others: the old row without its largest weight, scaled to sum to 1 again.
        largest: each row's largest old weight, `[B, H, dest, 1]`.
        heads: which of the layer's query heads these H are.
        group: query heads that share a key head.
    """

    site: ClassVar[str] = "pattern"
    pattern: Tensor
    change: Tensor
    others: Tensor
    largest: Tensor
    heads: slice
    group: int

    def estimate(self, gradient: Tensor) -> Tensor:
        """See `Step.estimate`."""
        own = gradient[:, self.heads].to(self.change.dtype)
        wide = _from_largest(own, self.largest)
        rows = self.change * (wide - self._mean_of_rest(wide))
        return _rounded(_grouped(rows.sum(-2), self.group).transpose(1, 2), gradient)

    def _mean_of_rest(self, gradient: Tensor) -> Tensor:
        """For each weight, the mean of the gradient over the rest of its row."""
        weighted = self.pattern * gradient
        # A weight other than the largest is at most 1/2: this divides by no less.
        rest = (1 - self.pattern).scatter(-1, self.largest, 1.0)
        mean = (weighted.sum(-1, keepdim=True) - weighted) / rest
        of_largest = (self.others * gradient).sum(-1, keepdim=True)
        return mean.scatter(-1, self.largest, of_largest)


def _row_step(
    base: Tensor, moved: Tensor, by: str | None, heads: slice, group: int = 1
) -> RowStep:
    change = moved.softmax(-1) - base.softmax(-1)
    return RowStep(by, change, base.argmax(-1, keepdim=True), heads, group)


def _key_step(attn: Attention, base: Tensor, moved: Tensor, heads: slice) -> KeyStep:
    pattern, largest = base.softmax(-1), base.argmax(-1, keepdim=True)
    without = base.scatter(-1, largest, _UNSEEN)
    rise = (moved - base).masked_fill(base == _UNSEEN, 0.0)
    change = _sigmoid_step(_odds(base, pattern, largest, without), rise)
    # A row that sees one key alone has no others.
    others = without.softmax(-1).masked_fill(without == _UNSEEN, 0.0)
    return KeyStep(pattern, change, others, largest, heads, attn.group)


def _odds(base: Tensor, pattern: Tensor, largest: Tensor, without: Tensor) -> Tensor:
    """Log-odds of each entry against the rest of its row."""
    whole = base.logsumexp(-1, keepdim=True)
    odds = base - (whole + torch.log1p(-pattern))
    # The largest may have rounded to 1: its rest is summed without it.
    rest = without.logsumexp(-1, keepdim=True)
    return odds.scatter(-1, largest, base.gather(-1, largest) - rest)


def _sigmoid_step(odds: Tensor, rise: Tensor) -> Tensor:
    """sigmoid(odds + rise) - sigmoid(odds), without ever taking that difference."""
    later = odds + rise
    high, low = torch.maximum(odds, later), torch.minimum(odds, later)
    size = -torch.expm1(-rise.abs()) * high.sigmoid() * (-low).sigmoid()
    return rise.sign() * size


def _from_largest(gradient: Tensor, largest: Tensor) -> Tensor:
    """The gradient less its value at each row's largest weight.

    The changes of a row add up to 0, so what all its keys share has no effect: taken
    away first, it leaves no rounding behind either.
    """
    return gradient - gradient.gather(-1, largest)


def _grouped(heads: Tensor, group: int) -> Tensor:
    """`[B, H, ...]` summed over the query heads of each key head."""
    return heads.reshape(len(heads), -1, group, *heads.shape[2:]).sum(2)


def _rounded(values: Tensor, gradient: Tensor) -> Tensor:
    """In the gradient's precision, single at least."""
    return values.to(torch.promote_types(gradient.dtype, torch.float32))
