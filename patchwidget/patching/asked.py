"""What a call asks to be read, held to what TransformerLens asks of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from patchwidget.metrics import Custom, metrics_of
from patchwidget.patching.theirs import has_results, installed

MetricFunction = Callable[[Tensor], Any]
Metrics = MetricFunction | Mapping[str, MetricFunction]
_MODES = ("scalar", "mean", "none")


@dataclass(frozen=True)
class TheirMetric(Custom):
    """A user's metric with TransformerLens' rule of what it may return.

    Attributes:
        reduce: `"scalar"` asks for one value, the others for one an example.
        lax: whether a tensor of one value will do for a scalar.
    """

    reduce: str = "scalar"
    lax: bool = False

    def _checked(self, value: object) -> Tensor:
        try:
            found = torch.as_tensor(value).detach()
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(
                f"patching_metric {self.name!r} returned {value!r}: return a tensor"
            ) from error
        if self.reduce != "scalar":
            if found.shape != (self.n_pairs,):
                raise self._refusal(f"a [batch] tensor of length {self.n_pairs}", found)
        elif found.dim() > 0 and not (self.lax and found.numel() == 1):
            raise self._refusal("a scalar", found)
        # Their results are of this dtype whatever the metric's is.
        return found.reshape(-1).to(torch.get_default_dtype())

    def _refusal(self, needed: str, found: Tensor) -> ValueError:
        return ValueError(
            f"patching_metric {self.name!r} must return {needed} under "
            f"reduce={self.reduce!r}, got shape {tuple(found.shape)}"
        )


@dataclass(frozen=True, eq=False)
class Asked:
    """What is read from each run, and in which form it is returned.

    Attributes:
        functions: the metrics by name.
        named: whether the caller gave names, and the result so has an axis of metrics.
        reduce: whether metrics give a scalar, or a value an example, averaged or kept.
        baseline: whether the unpatched run's value is returned too.
    """

    functions: Mapping[str, MetricFunction]
    named: bool
    reduce: str
    baseline: bool

    @classmethod
    def of(
        cls, metric: Metrics, *, reduce: str = "scalar", baseline: bool = False
    ) -> Asked:
        """What is asked for, checked.

        Raises:
            TypeError: if a metric is no function, or the installed version of
                TransformerLens has no such form of result.
            ValueError: if there is no metric, or no such way to reduce.
        """
        named = isinstance(metric, Mapping)
        if reduce not in _MODES:
            raise ValueError(f"reduce must be one of {_MODES}, got {reduce!r}")
        _refuse_unknown_forms(named=named, reduce=reduce, baseline=baseline)
        functions: dict[str, Any] = dict(metrics_of(metric))
        for name, function in functions.items():
            if not callable(function):
                raise TypeError(
                    f"patching_metric {name!r} must be a function of the logits "
                    f"[batch, pos, d_vocab], got {function!r}"
                )
        return cls(functions, named, reduce, bool(baseline))

    @property
    def as_result(self) -> bool:
        """Whether a `PatchingResult` is returned, and not a tensor."""
        return self.named or self.reduce == "none" or self.baseline

    @property
    def names(self) -> list[str]:
        """Names of the metrics as TransformerLens gives them."""
        return list(self.functions) if self.named else ["metric"]

    def metrics(self, n_examples: int) -> dict[str, TheirMetric]:
        """The metrics on a batch of prompts."""
        lax = not has_results()
        return {
            name: TheirMetric(
                function, n_examples, name=name, reduce=self.reduce, lax=lax
            )
            for name, function in self.functions.items()
        }

    def reduced(self, values: Tensor) -> Tensor:
        """Values `[..., B]`, or `[..., 1]` of scalar metrics, as they are returned."""
        if self.reduce == "scalar":
            return values[..., 0]
        return values.mean(-1) if self.reduce == "mean" else values


def _refuse_unknown_forms(*, named: bool, reduce: str, baseline: bool) -> None:
    forms = {
        "a mapping of metrics": named,
        f"reduce={reduce!r}": reduce != "scalar",
        f"baseline={baseline!r}": bool(baseline),
    }
    given = [form for form, is_given in forms.items() if is_given]
    if given and not has_results():
        raise TypeError(
            f"{' and '.join(given)} gives a PatchingResult or its means, which "
            f"{installed()} does not have: give one metric that returns a scalar, or "
            "install TransformerLens 4.3"
        )
