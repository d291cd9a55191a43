"""The metric's gradient at the sites of a run, by the decoder or by the model's own hooks.

Everything here is done in whoever's torch modes: they have to be those of `computing` with
a gradient.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from patchwidget.decoder import Sites, going_back
from patchwidget.hooks import HookedModel
from patchwidget.logits import Readout
from patchwidget.metrics import Metric
from patchwidget.slices import Slices


def differentiated(
    sites: Sites,
    readout: Readout,
    metric: Metric,
    copies: int = 1,
    *,
    keep: bool = False,
) -> Slices[Sites]:
    """Gradients of the sum of a metric's values at sites of a run; 0 where it has none.

    A slice is one layer, or the end of the model with the metric.

    Args:
        sites: see `decoder.going_back`, which empties it unless the graph is kept.
        readout: the end of the run.
        metric: what is differentiated.
        copies: how often the run has all pairs.
        keep: whether the graph is to be gone through again.

    Raises:
        ValueError: if the metric has no gradient with respect to the logits.
    """
    total = _total(metric, readout, copies)
    return (yield from going_back(sites, total, keep=keep))


def probed(model: HookedModel, tokens: Tensor, metric: Metric) -> Sites:
    """Gradients at every site of a run of tokens `[B, T]` through the model's own hooks.

    Raises:
        ValueError: see `differentiated`.
    """
    probes: Sites = {}
    total = _total(metric, model.run(tokens, _watch_by_probe(probes)), 1)
    found = torch.autograd.grad(total, list(probes.values()), allow_unused=True)
    return {
        place: torch.zeros_like(probe) if grad is None else grad
        for (place, probe), grad in zip(probes.items(), found, strict=True)
    }


def _total(metric: Metric, readout: Readout, copies: int) -> Tensor:
    values = metric.values(readout, copies)
    if not values.requires_grad:
        raise ValueError(
            f"metric {metric.name} cannot be differentiated: compute it from the logits "
            "with torch, without .item(), .detach() or numpy"
        )
    return values.sum()


def _watch_by_probe(probes: Sites) -> Callable[[str, int, Tensor], Tensor]:
    """A tap for hooks: a zero is added at each site, and its gradient is the site's.

    A Bridge's hooked tensors may be views that its forward does not go on with, so their
    own gradients would be missing.
    """

    def tap(site: str, layer: int, value: Tensor) -> Tensor:
        probe = torch.zeros_like(value).requires_grad_(True)
        probes[site, layer] = probe
        return value + probe

    return tap
