"""The gradient on the base run, refused where it says nothing about effects."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from patchwidget.decoder import Graph
from patchwidget.logits import Readout
from patchwidget.runs import Activations, Runs, computing
from patchwidget.slices import Slices

# By what share logits are stretched before a metric is asked for its slope again, and by
# how much a slope must grow on that way to have been none. A small step, since the slope
# of a small probability grows too, by its own size at most where logits move by 1.
_AHEAD, _FAR_STEEPER = 0.01, 1e3


def base_gradients(runs: Runs, graph: Graph | None = None) -> Slices[Activations]:
    """Gradients at every site of the base run, and its slices: see `Runs.differentiating`.

    Raises:
        ValueError: if the metric's gradient vanishes there although the runs differ:
            all estimates would be zero, or rounding.
    """
    gradients = yield from runs.differentiating(graph)
    # All that a run does goes through its last site.
    place = next(reversed(gradients))
    change = runs.source.values[place] - runs.base.values[place]
    predicted = (gradients[place] * change).abs().sum()
    actual = (runs.scale.source - runs.scale.base).abs().sum()
    # What an ablation changes in all is not known: then the metric is always asked.
    doubtful = runs.ablation is not None or predicted <= actual / _FAR_STEEPER
    if change.any() and doubtful:
        _refuse_no_slope(runs, flat=not gradients[place].any())
    return gradients


def _refuse_no_slope(runs: Runs, *, flat: bool) -> None:
    """Refuse a metric with a turning point at the base run, or none of whose slope is left."""
    here, ahead = _slope(runs, 1.0), _slope(runs, 1 + _AHEAD)
    start = (
        f"the gradient of metric {runs.metric.name} vanishes on the base run, so every "
        "first-order estimate would be 0 whatever the effects are: "
    )
    if ahead > _FAR_STEEPER * here:
        raise ValueError(
            f"{start}it turns there, as a divergence from the base run itself does. "
            "Measure from the source run (metric='kl' does), or run exact patches"
        )
    if flat:
        raise ValueError(
            f"{start}it is constant there. Choose a metric that changes smoothly with "
            "the logits, or run exact patches"
        )


def _slope(runs: Runs, times: float) -> float:
    """The largest derivative of the metric by any logit, of logits so much larger."""
    readout = _Stretched(runs.base.readout, times, [])
    with computing(grad=True):
        total = runs.metric.values(readout).sum()
        grads = torch.autograd.grad(total, readout.seen, allow_unused=True)
    sizes = (float(grad.abs().max()) for grad in grads if grad is not None)
    return max(sizes, default=0.0)


@dataclass(frozen=True)
class _Stretched:
    """The end of a run with other logits, made only where a metric looks.

    Attributes:
        readout: the end of the run.
        times: how many times as large the logits are.
        seen: those that were looked at, each a leaf.
    """

    readout: Readout
    times: float
    seen: list[Tensor]

    @property
    def shape(self) -> tuple[int, int, int]:
        """See `logits.Readout.shape`."""
        return self.readout.shape

    @property
    def like(self) -> Tensor:
        """See `logits.Readout.like`."""
        return self.readout.like

    def logits(
        self, position: int | None = None, vocabulary: Tensor | None = None
    ) -> Tensor:
        """See `logits.Readout.logits`."""
        logits = self.readout.logits(position, vocabulary).float() * self.times
        self.seen.append(logits.detach().requires_grad_(True))
        return self.seen[-1].clone()  # a metric may work in place

    def rows(self, start: int, stop: int) -> _Stretched:
        """See `logits.Readout.rows`."""
        return replace(self, readout=self.readout.rows(start, stop))
