"""What a run is judged by: one number a pair, read from its logits.

A metric reads through a `Readout`, which unembeds only what is looked at. Rows of a
readout are patches times pairs, patch by patch, so that many patches run as one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

import torch
from torch import Tensor

from patchwidget.logits import LazyLogits, NotComputedError, Readout
from patchwidget.pairs import TokenPairs


class Metric(Protocol):
    """A number for each pair of each patch."""

    @property
    def name(self) -> str:
        """The metric's name, for messages and pictures."""
        ...

    @property
    def position(self) -> int | None:
        """The one position that it reads, or None if it may read any."""
        ...

    def values(self, readout: Readout, copies: int = 1) -> Tensor:
        """Values `[copies, B]`, or `[copies, 1]` where only the mean is known."""
        ...

    def answers(self, readout: Readout, copies: int = 1) -> Tensor | None:
        """Logits of the right and wrong answer, `[copies, B, 2]`, if it reads those."""
        ...


@dataclass(frozen=True)
class _AtAnswer:
    """Shared by metrics that read the answer position of every pair."""

    pairs: TokenPairs
    name: str = field(default="", kw_only=True)

    @property
    def position(self) -> int:
        """The answer's position."""
        return self.pairs.position

    def answers(self, readout: Readout, copies: int = 1) -> Tensor | None:  # noqa: ARG002 - the protocol's form
        """No halves: only a logit difference has them."""
        return None

    def _log_probs(self, readout: Readout) -> Tensor:
        return _at_least_float(readout.logits(self.pairs.position)).log_softmax(-1)

    def _right(self, copies: int) -> Tensor:
        answers = _need_answers(self.pairs, self.name, 1)
        return answers[:, :1].repeat(copies, 1)


class LogitDiff(_AtAnswer):
    """Logit of the right answer minus logit of the wrong one, in logits."""

    def values(self, readout: Readout, copies: int = 1) -> Tensor:
        """Logit differences `[copies, B]`."""
        right, wrong = self.answers(readout, copies).unbind(-1)
        return right - wrong

    def answers(self, readout: Readout, copies: int = 1) -> Tensor:
        """Both logits `[copies, B, 2]`."""
        ids = _need_answers(self.pairs, self.name, 2).repeat(copies, 1)
        logits = _at_least_float(readout.logits(self.pairs.position, ids))
        return logits.reshape(copies, len(self.pairs), 2)


class LogProb(_AtAnswer):
    """Log-probability of the right answer, in nats."""

    def values(self, readout: Readout, copies: int = 1) -> Tensor:
        """Log-probabilities `[copies, B]`."""
        rows = self._log_probs(readout).gather(-1, self._right(copies))
        return rows.reshape(copies, len(self.pairs))


class Prob(LogProb):
    """Probability of the right answer."""

    def values(self, readout: Readout, copies: int = 1) -> Tensor:
        """Probabilities `[copies, B]`."""
        return super().values(readout, copies).exp()


@dataclass(frozen=True)
class KLToSource(_AtAnswer):
    """KL divergence from the source run to this run at the answer position, in nats.

    It is 0 for the source run itself; its gradient on the base run is not 0, as that of
    a divergence from the base would be.
    """

    source: Tensor

    def values(self, readout: Readout, copies: int = 1) -> Tensor:
        """Divergences `[copies, B]`."""
        here = self._log_probs(readout)
        target = self.source.repeat(copies, 1)
        divergence = (target.exp() * (target - here)).sum(-1)
        return divergence.reshape(copies, len(self.pairs))


class MetricFailedError(RuntimeError):
    """A user's metric raised, which is then the cause, or returned something else.

    Args:
        text: what happened.
        copy: in which of the runs it was given.
        shown_as: what the user gets to see.
    """

    def __init__(
        self, text: str, copy: int, shown_as: type[Exception] = RuntimeError
    ) -> None:
        super().__init__(text)
        self.copy, self._shown_as = copy, shown_as

    def on(self, where: str) -> Exception:
        """The error to show, which says on what run it happened."""
        shown = self._shown_as(f"{self}, on {where}")
        shown.__cause__ = self.__cause__
        return shown


@dataclass(frozen=True)
class Custom:
    """A user's own `logits [B, T, V] -> scalar or [B]`.

    A scalar is taken as the mean over the pairs: then no value per pair is known. The
    value of a pair may depend on that pair's logits only: estimates differentiate the sum.
    """

    function: Callable[[Tensor], Tensor]
    n_pairs: int
    name: str = "custom"
    _looked: set[int | None] = field(default_factory=set, compare=False, repr=False)

    @property
    def position(self) -> int | None:
        """The one position at which the function has looked so far, or None."""
        return next(iter(self._looked)) if len(self._looked) == 1 else None

    def values(self, readout: Readout, copies: int = 1) -> Tensor:
        """Values `[copies, B]` or `[copies, 1]`, one call of the function a patch.

        Raises:
            MetricFailedError: if the function raises, or returns another thing.
            NotComputedError: if it looks where `position` said that it would not.
        """
        # What one copy looks at the next will too: unembedded for all of them at once.
        at = cache(readout.logits)
        return torch.stack([self._one(readout, at, copy) for copy in range(copies)])

    def answers(self, readout: Readout, copies: int = 1) -> None:
        """No halves: what the function reads is its own affair."""

    def _one(self, readout: Readout, at: Callable[[int], Tensor], copy: int) -> Tensor:
        start, stop = copy * self.n_pairs, (copy + 1) * self.n_pairs
        logits = LazyLogits.of(
            (self.n_pairs, *readout.shape[1:]),
            readout.like,
            at=lambda position: at(position)[start:stop],
            everything=lambda: readout.rows(start, stop).logits(),
        )
        try:
            value = self.function(logits)
        except NotComputedError:
            raise
        except Exception as error:
            text = f"metric {self.name} raised {type(error).__name__}: {error}"
            raise MetricFailedError(text, copy) from error
        finally:
            self._looked.update(logits.looked)
        try:
            return self._checked(value)
        except (TypeError, ValueError) as error:
            raise MetricFailedError(str(error), copy, type(error)) from error.__cause__

    def _checked(self, value: object) -> Tensor:
        if not isinstance(value, Tensor):
            raise TypeError(
                f"metric {self.name} returned {type(value).__name__} {value!r}: return a "
                "scalar tensor or one value a pair, so that it can be differentiated"
            )
        if not value.is_floating_point():
            value = value.float()  # a count: it has effects, though no gradient
        if value.numel() == 1:
            return value.reshape(1)
        if value.shape != (self.n_pairs,):
            raise ValueError(
                f"metric {self.name} returned shape {list(value.shape)}: a scalar or "
                f"[{self.n_pairs}], one value a pair, is needed"
            )
        return value


MetricLike = str | Callable[[Tensor], Tensor]


def metrics_of(metric: MetricLike | Mapping[str, MetricLike]) -> dict[str, MetricLike]:
    """Metrics by their names; the first of several is the one that pictures show.

    Raises:
        ValueError: if there is none.
        TypeError: if one is neither a name nor a function.
    """
    if isinstance(metric, Mapping):
        if not metric:
            raise ValueError("no metric is given: metric={'name': function, ...}")
        return {name: _checked_like(like) for name, like in metric.items()}
    _checked_like(metric)
    if callable(metric):
        return {getattr(metric, "__name__", type(metric).__name__): metric}
    return {metric: metric}


def _checked_like(like: MetricLike) -> MetricLike:
    if isinstance(like, str) or callable(like):
        return like
    raise TypeError(
        f"{like!r} is not a metric: give a name, a function of the logits [B, T, V], or "
        "several by name: metric={'diff': 'logit_diff', 'mine': function}"
    )


def make_metric(
    name: str,
    metric: MetricLike,
    pairs: TokenPairs,
    source: Callable[[], Readout],
) -> Metric:
    """The metric a user means by a name or a function.

    Args:
        name: what it is called.
        metric: `"logit_diff"`, `"logprob"`, `"prob"`, `"kl"`, or a function of logits.
        pairs: what it is read on.
        source: gives the source run, which only `"kl"` needs.

    Raises:
        ValueError: if the name is unknown or the answers it needs are missing.
    """
    if callable(metric):
        return Custom(metric, len(pairs), name=name)
    if metric == "kl":
        log_probs = _at_least_float(source().logits(pairs.position)).log_softmax(-1)
        return KLToSource(pairs, log_probs, name=name)
    named: dict[str, tuple[type[LogitDiff | LogProb], int]] = {
        "logit_diff": (LogitDiff, 2),
        "logprob": (LogProb, 1),
        "prob": (Prob, 1),
    }
    if metric not in named:
        raise ValueError(
            f"unknown metric {metric!r}: choose one of {', '.join([*named, 'kl'])}, "
            "or give a function of the logits [B, T, V]"
        )
    kind, n_answers = named[metric]
    _need_answers(pairs, name, n_answers)
    return kind(pairs, name=name)


def _at_least_float(values: Tensor) -> Tensor:
    """Half precision would show effects in coarse steps."""
    return values.float() if values.dtype.itemsize < 4 else values


def check_finite(values: Tensor, name: str, where: str) -> None:
    """Refuse a metric that is not a number.

    Raises:
        ValueError: naming the metric, the run and the pairs.
    """
    bad = (~values.isfinite()).nonzero()[:, -1].tolist()
    if bad:
        raise ValueError(
            f"metric {name} is not finite on {where}, pairs {bad}: {values.tolist()}"
        )


def _need_answers(pairs: TokenPairs, metric: str, count: int) -> Tensor:
    if pairs.answers is None or pairs.answers.shape[1] < count:
        have = 0 if pairs.answers is None else pairs.answers.shape[1]
        needed = "a right and a wrong answer" if count > 1 else "a right answer"
        raise ValueError(
            f"metric {metric} needs {needed} for each pair, got {have}: "
            "give answers=[(right, wrong), ...]"
        )
    return pairs.answers


def halves(
    metric: Metric, base: Tensor | None, patched: Tensor | None
) -> tuple[Tensor, Tensor] | None:
    """The two ways in which a logit difference moved, each `[..., B]`, in logits.

    Args:
        metric: of which halves are wanted.
        base: both answers' logits in the unpatched run `[..., B, 2]`.
        patched: and in the patched one.

    Returns:
        The rise of the right answer's logit and the fall of the wrong one's: their sum
        is the change of the difference. None where the metric is no logit difference.
    """
    if base is None or patched is None or not isinstance(metric, LogitDiff):
        return None
    change = patched - base
    return change[..., 0], -change[..., 1]
