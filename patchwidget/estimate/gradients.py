"""The gradient on the base run, refused where it says nothing about effects."""

from __future__ import annotations

import torch
from torch import Tensor

from patchwidget.hooks import LogitsReadout
from patchwidget.runs import Activations, Runs, computing

# By what share logits are stretched before a metric is asked for its slope again, and by
# how much a slope must grow on that way to have been none. A small step, since the slope
# of a small probability grows too, by its own size at most where logits move by 1.
_AHEAD, _FAR_STEEPER = 0.01, 1e3


def base_gradients(runs: Runs) -> Activations:
    """Gradients at every site of the base run, as in `Runs.gradients`.

    Raises:
        ValueError: if the metric's gradient vanishes there although the runs differ:
            all estimates would be zero, or rounding.
    """
    gradients = runs.gradients
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
    base = runs.base.readout.logits().float()
    here, ahead = _slope(runs, base), _slope(runs, base * (1 + _AHEAD))
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


def _slope(runs: Runs, logits: Tensor) -> float:
    """The largest derivative of the metric by any logit."""
    with computing(grad=True):
        logits = logits.detach().requires_grad_(True)
        total = runs.metric.values(LogitsReadout(logits)).sum()
        return float(torch.autograd.grad(total, logits)[0].abs().max())
