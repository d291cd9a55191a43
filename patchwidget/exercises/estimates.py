"""Estimates of one's own: attribution patching, and its fix for queries."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from patchwidget.exercises.cases import Case, Side
from patchwidget.exercises.checker import Exercise, checked
from patchwidget.exercises.mistakes import Mistake
from patchwidget.exercises.oracle import Turn, activation, gradients
from patchwidget.exercises.sweep_mistakes import order_mistakes
from patchwidget.exercises.sweeps import (
    Axes,
    Tried,
    sweep_trials,
    token_arguments,
    turned,
)
from patchwidget.exercises.verdict import Verdict
from patchwidget.runs import computing

_AXES: Axes = ("layer", "head")
Terms = list[Tensor]
Mask = Literal["before", "after", "zeros", "past", "none"]
# What scores are hidden with.
_FILLS = {"before": -torch.inf, "past": -torch.inf, "zeros": 0.0}


def check_attribution_patch(function: Any, *, seconds: float | None = None) -> Verdict:
    """Check attribution patching of the outputs of heads.

    Args:
        function: `(model, clean_tokens, corrupted_tokens, patching_metric)
            -> [layer, head]`: (clean z - corrupted z) times the metric's gradient by z in
            the corrupted run, added up over prompts, positions and d_head. The metric is a
            mean over prompts, so its gradient has that division in it.
        seconds: how long one call may take.

    Example:
        >>> from patchwidget import PatchStudy, exercises
        >>> def attribution_patch(model, clean_tokens, corrupted_tokens, patching_metric):
        ...     study = PatchStudy(
        ...         model, clean_tokens, corrupted_tokens, metric=patching_metric
        ...     )
        ...     return study.estimate("z").raw.mean(0)
        >>> bool(exercises.check_attribution_patch(attribution_patch))
        True
    """
    exercise = Exercise(
        "attribution_patch",
        _trials(attribution),
        [*order_mistakes(attribution, _AXES), *_ATTRIBUTION],
        "Two forward passes and one backward, for all heads at once.",
        "Keep z of both runs and the gradient by z in the corrupted run, multiply "
        "(clean - corrupted) by it, and add up over prompts, positions and d_head.",
    )
    return checked(exercise, function, seconds=seconds)


def check_query_fix(function: Any, *, seconds: float | None = None) -> Verdict:
    """Check attribution patching of queries, taken exactly through the softmax.

    AtP* (arXiv 2403.00745, section 3.1): attention with the clean run's queries and the
    corrupted run's keys, minus the corrupted run's attention, times the metric's gradient
    by the pattern in the corrupted run.

    Args:
        function: `(model, clean_tokens, corrupted_tokens, patching_metric)
            -> [layer, head]`, added up over prompts, destinations and sources.
        seconds: how long one call may take.

    Example:
        >>> from patchwidget import PatchStudy, exercises
        >>> def query_fix(model, clean_tokens, corrupted_tokens, patching_metric):
        ...     study = PatchStudy(
        ...         model, clean_tokens, corrupted_tokens, metric=patching_metric
        ...     )
        ...     return study.estimate("q", "atp_qk").raw.mean(0)
        >>> bool(exercises.check_query_fix(query_fix))
        True
    """
    exercise = Exercise(
        "query_fix",
        _trials(fixed),
        [*order_mistakes(fixed, _AXES), *_FIX],
        "The softmax is taken as it is, and only what comes after as linear.",
        "scores = clean q . corrupted k / sqrt(d_head), masked; softmax; minus the "
        "corrupted pattern; times the gradient by the pattern in the corrupted run.",
    )
    return checked(exercise, function, seconds=seconds)


def _trials(right: Callable[[Tried], Tensor]) -> Any:
    return lambda: sweep_trials(right, _AXES, arguments=token_arguments)


# ---- references, and the same with one thing turned --------------------------------------


def _steps(case: Case, site: str) -> Terms:
    clean, corrupted = (activation(case, site, s) for s in ("clean", "corrupted"))
    return [a - b for a, b in zip(clean, corrupted, strict=True)]


def _terms(
    case: Case, site: str = "z", *, side: Side = "corrupted", steps: Terms | None = None
) -> Terms:
    """Gradient times step in every layer, not yet added up."""
    steps = _steps(case, site) if steps is None else steps
    return [g * s for g, s in zip(gradients(case, site, side), steps, strict=True)]


def _by_head(terms: Terms, head: int = 2) -> Tensor:
    """Added up over all but the heads: `[layer, head]`."""
    return torch.stack([t.movedim(head, 0).flatten(1).sum(1) for t in terms])


def attribution(tried: Tried) -> Tensor:
    """What `attribution_patch` should return."""
    return tried.case.once("attribution", lambda: _by_head(_terms(tried.case)))


def _patterns(
    case: Case,
    *,
    q: Side = "clean",
    k: Side = "corrupted",
    scale: float | None = 0.5,
    mask: Mask = "before",
    over: int = -1,
) -> Terms:
    """Attention with one run's queries and another's keys."""
    made = []
    pairs = zip(activation(case, "q", q), activation(case, "k", k), strict=True)
    for query, key in pairs:
        scores = torch.einsum("bqhd,bkhd->bhqk", query, key)
        if scale is not None:
            scores = scores / query.shape[-1] ** scale
        future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        if mask in _FILLS:
            hidden = future.T if mask == "past" else future
            scores = scores.masked_fill(hidden, _FILLS[mask])
        weights = scores.softmax(over)
        made.append(weights.masked_fill(future, 0) if mask == "after" else weights)
    return made


def _fix(case: Case, side: Side = "corrupted", **turn: Any) -> Tensor:
    steps = [
        new - old
        for new, old in zip(
            _patterns(case, **turn),
            activation(case, "pattern", "corrupted"),
            strict=True,
        )
    ]
    return _by_head(_terms(case, "pattern", side=side, steps=steps), head=1)


def fixed(tried: Tried) -> Tensor:
    """What `query_fix` should return."""
    return tried.case.once("fixed", lambda: _fix(tried.case))


def _turned(make: Callable[[Case], Tensor]) -> Callable[[Tried], Tensor]:
    def produces(tried: Tried) -> Tensor:
        with computing():
            return make(tried.case)

    return produces


def _shared(right: Callable[[Tried], Tensor]) -> list[Mistake[Tried]]:
    """Mistakes of every estimate."""
    return [
        Mistake(
            "sign_flipped",
            "The sign is wrong: the step is (clean - corrupted), towards what is put in.",
            lambda tried: -right(tried),
        ),
        Mistake(
            "absolute",
            "The sign is lost: an estimate of a change may be negative.",
            lambda tried: right(tried).abs(),
        ),
        Mistake(
            "batch_averaged_twice",
            "You averaged over the batch twice: the metric is a mean over prompts, so its "
            "gradient is divided already. Add up over the batch.",
            lambda tried: right(tried) / len(tried.case.corrupted),
        ),
        Mistake(
            "baseline_added",
            "The corrupted run's metric was added: an estimate is the change alone.",
            lambda tried: right(tried) + tried.case.offset,
        ),
        Mistake(
            "no_gradient",
            "Every estimate is 0: the gradient was not read from this run's graph, or the "
            "two caches are of one run.",
            lambda tried: torch.zeros_like(right(tried)),
        ),
    ]


def _value_times_gradient(case: Case, side: Side) -> Tensor:
    return _by_head(_terms(case, steps=activation(case, "z", side)))


def _of_site(case: Case, site: str) -> Tensor:
    return _by_head(_terms(case, site), head=1 if site == "pattern" else 2)


_SIDES: tuple[Side, ...] = ("clean", "corrupted")
_ATTRIBUTION: list[Mistake[Tried]] = [
    *_shared(attribution),
    Mistake(
        "gradient_on_clean",
        "The gradient is the clean run's: in denoising, the base run is the corrupted one, "
        "and it is there that the metric is differentiated.",
        _turned(lambda case: _by_head(_terms(case, side="clean"))),
    ),
    Mistake(
        "gradients_averaged",
        "The gradients of both runs were averaged (or added up in .grad): take the "
        "corrupted run's alone.",
        _turned(
            lambda case: (
                (_by_head(_terms(case)) + _by_head(_terms(case, side="clean"))) / 2
            )
        ),
    ),
    Mistake(
        "gradients_added",
        "The gradients of both runs were added up (a backward adds to what .grad holds): "
        "take the corrupted run's alone.",
        _turned(
            lambda case: _by_head(_terms(case)) + _by_head(_terms(case, side="clean"))
        ),
    ),
    *(
        Mistake(
            f"{side}_times_gradient",
            f"The gradient was multiplied by the {side} activation itself: multiply by the "
            "step, clean - corrupted.",
            _turned(partial(_value_times_gradient, side=side)),
        )
        for side in _SIDES
    ),
    Mistake(
        "mean_over_d_head",
        "You took the mean over d_head: the first-order change is a sum over all "
        "coordinates.",
        _turned(
            lambda case: _by_head([t.mean(-1, keepdim=True) for t in _terms(case)])
        ),
    ),
    Mistake(
        "mean_over_positions",
        "You took the mean over positions: a head is patched at all of them, so their "
        "changes add up.",
        _turned(lambda case: _by_head([t.mean(1, keepdim=True) for t in _terms(case)])),
    ),
    Mistake(
        "mean_over_all",
        "You took the mean over prompts, positions and d_head: add up over all three. (The "
        "metric is a mean over prompts already, and its gradient with it.)",
        _turned(lambda case: torch.stack([t.mean((0, 1, 3)) for t in _terms(case)])),
    ),
    Mistake(
        "last_pos_only",
        "Only the last position is in it: a head is patched at all positions.",
        _turned(lambda case: _by_head([t[:, -1:] for t in _terms(case)])),
    ),
    Mistake(
        "by_position",
        "Positions are not added up: this is [layer, pos, head].",
        _turned(lambda case: torch.stack([t.sum((0, -1)) for t in _terms(case)])),
    ),
    Mistake(
        "exact_patches",
        "These are exact patches, a run for every head: attribution patching estimates "
        "them all from one backward pass.",
        lambda tried: turned("z", _AXES, Turn())(tried) - tried.case.offset,
    ),
    Mistake(
        "exact_values",
        "These are patched runs' metrics, a run for every head: attribution patching "
        "estimates the changes from one backward pass.",
        turned("z", _AXES, Turn()),
    ),
    *(
        Mistake(
            f"{site}_instead",
            f"This is the attribution of {site}: a head's output is attn.hook_z.",
            _turned(partial(_of_site, site=site)),
        )
        for site in ("q", "k", "v", "pattern")
    ),
]
_FIX: list[Mistake[Tried]] = [
    *_shared(fixed),
    Mistake(
        "not_fixed",
        "This is plain attribution of q, which takes the softmax as linear: compute the "
        "new attention itself, and multiply by the gradient by the pattern.",
        _turned(lambda case: _by_head(_terms(case, "q"))),
    ),
    Mistake(
        "clean_pattern",
        "The new attention is the clean run's whole pattern, in which the keys have "
        "changed as well: use clean queries with the corrupted run's keys.",
        _turned(partial(_fix, k="clean")),
    ),
    Mistake(
        "keys_patched",
        "Keys were changed instead of queries: use clean queries with the corrupted run's "
        "keys.",
        _turned(partial(_fix, q="corrupted", k="clean")),
    ),
    Mistake(
        "not_scaled",
        "The scores are not divided by sqrt(d_head).",
        _turned(partial(_fix, scale=None)),
    ),
    Mistake(
        "not_masked",
        "The scores are not masked: a destination must not look at what comes after it.",
        _turned(partial(_fix, mask="none")),
    ),
    Mistake(
        "scaled_by_d_head",
        "The scores are divided by d_head: divide by its square root.",
        _turned(partial(_fix, scale=1.0)),
    ),
    Mistake(
        "masked_after_softmax",
        "The mask comes after the softmax, so a row does not add up to 1: put -inf into "
        "the scores before it.",
        _turned(partial(_fix, mask="after")),
    ),
    Mistake(
        "masked_with_zeros",
        "Hidden scores are set to 0, which is a score like any other: put -inf there.",
        _turned(partial(_fix, mask="zeros")),
    ),
    Mistake(
        "mask_reversed",
        "The mask is the wrong way round: hidden is what comes later, `.triu(1)` of "
        "[dest, src].",
        _turned(partial(_fix, mask="past")),
    ),
    Mistake(
        "softmax_over_destinations",
        "The softmax runs over the destinations: a destination's weights over its sources, "
        "the last axis, add up to 1.",
        _turned(partial(_fix, over=-2)),
    ),
    Mistake(
        "neither_scaled_nor_masked",
        "The scores are neither divided by sqrt(d_head) nor masked.",
        _turned(partial(_fix, scale=None, mask="none")),
    ),
    Mistake(
        "gradient_on_clean",
        "The gradient is the clean run's: differentiate the corrupted run, the base.",
        _turned(partial(_fix, side="clean")),
    ),
    Mistake(
        "no_step",
        "The new attention was multiplied by the gradient itself: subtract the corrupted "
        "run's attention first.",
        _turned(
            lambda case: _by_head(
                _terms(case, "pattern", steps=_patterns(case)), head=1
            )
        ),
    ),
    Mistake(
        "exact_patches",
        "These are exact patches of q, a run for every head: the fix estimates them from "
        "one backward pass.",
        lambda tried: turned("q", _AXES, Turn())(tried) - tried.case.offset,
    ),
]
