"""Direct effects: what a write does to the metric through the end of the model alone.

The final norm keeps the scale that it has in the base run, as in direct logit attribution
(Wang et al., arXiv 2211.00593; Rushing and Nanda, arXiv 2402.15390). Then the end of the
model is linear in the stream up to the logits, and for a logit difference the direct
effects of all that writes add up. What the scale itself does is a part of its own:
Rushing and Nanda count it among the ways in which models repair themselves, and mixing it
into every head's number would hide who does what.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from patchwidget.decoder import Decoder, StreamReadout, blocks
from patchwidget.decoder.weights import Norm
from patchwidget.exact import Swap
from patchwidget.exact.budget import most_patches
from patchwidget.logits import NotComputedError
from patchwidget.metrics import MetricFailedError, check_finite
from patchwidget.runs import Runs


@dataclass(frozen=True)
class End:
    """The end of the base run, its final norm's scale held.

    Attributes:
        runs: the captured runs; their main metric is read.
        decoder: theirs.
        budget: bytes that copies of the end may take at once, or None.
    """

    runs: Runs
    decoder: Decoder
    budget: int | None

    def effects(self, changes: Tensor) -> Tensor:
        """Change of the metric `[n, B]` when the last stream is changed; see `direct`.

        Args:
            changes: of the stream after the last layer, `[n, B, T, d]`.

        Raises:
            ValueError: if the metric is not finite.
            RuntimeError: if the metric raises.
        """
        swap = Swap.of(self.runs, self.budget)
        parts = torch.split(changes, most_patches(swap))
        return torch.cat([self._of_some(part) for part in parts])

    def _of_some(self, changes: Tensor) -> Tensor:
        try:
            values = self._values(changes, self.runs.metric.position)
        except NotComputedError:
            # A metric that reads other positions than it did so far.
            values = self._values(changes, None)
        differs = changes.flatten(2).any(-1)
        if values.shape[1] == 1:  # only the mean over the pairs is known
            differs = differs.any(1, keepdim=True)
        # Rounding depends on how many rows are multiplied at once.
        return torch.where(differs, values - self.runs.scale.base, 0)

    def _values(self, changes: Tensor, read: int | None) -> Tensor:
        weights, metric = self.decoder.weights, self.runs.metric
        last = self.runs.base.values["resid_post", len(weights.layers) - 1]
        columns = slice(None) if read is None else slice(read, read + 1)
        normal = _held(weights.ln_final, last[:, columns], changes[:, :, columns])
        readout = StreamReadout(
            replace(weights, ln_final=None), normal.flatten(0, 1), last.shape[1], read
        )
        try:
            values = metric.values(readout, len(changes))
        except MetricFailedError as error:
            raise error.on("a direct effect") from error.__cause__
        check_finite(values, metric.name, "a direct effect")
        return values


def _held(norm: Norm | None, base: Tensor, changes: Tensor) -> Tensor:
    """What a norm makes of base + changes `[n, B, t, d]` with the scale of the base."""
    if norm is None:
        return base + changes
    # Half precision is widened as in the norm itself.
    wide = base.float() if base.dtype.itemsize < 4 else base
    step = changes.to(wide.dtype)
    if norm.centred:
        wide = wide - wide.mean(-1, keepdim=True)
        step = step - step.mean(-1, keepdim=True)
    step = step * (wide.pow(2).mean(-1, keepdim=True) + norm.eps).rsqrt()
    if norm.weight is not None:
        step = step * (norm.weight.to(step.dtype) + norm.offset)
    return blocks.normalise(norm, base) + step.to(base.dtype)
