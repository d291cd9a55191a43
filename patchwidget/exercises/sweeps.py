"""Sweeps over one activation: what is right, and what they are tried on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from time import perf_counter

from torch import Tensor

from patchwidget.exercises.cases import Case, chapter_case, small_cases
from patchwidget.exercises.checker import Arguments, Trial
from patchwidget.exercises.oracle import Turn, exact, swept
from patchwidget.runs import computing

Axes = tuple[str, ...]
# A loop over cells costs a forward pass each; students may take this many times as long.
_SLOWNESS, _START_S = 40, 20.0


@dataclass(frozen=True, eq=False)
class Tried:
    """A case, and the arguments that the function was last called with on it."""

    case: Case
    arguments: Arguments

    @property
    def looked(self) -> bool:
        """Whether the function looked into the cache that it was given."""
        return bool(self.arguments["clean_cache"].cache_dict.seen)


def turned(site: str, axes: Axes, turn: Turn) -> Callable[[Tried], Tensor]:
    """What a sweep gives with one thing turned; computed once for each case."""

    def produces(tried: Tried) -> Tensor:
        case = tried.case
        if turn == Turn() and case.large:
            return case.once((site, axes), lambda: exact(case, site, axes))
        return case.once((site, axes, turn), lambda: swept(case, site, axes, turn))

    return produces


def sweep_trials(
    right: Callable[[Tried], Tensor],
    axes: Axes,
    *,
    last: Callable[[], Case] = chapter_case,
    arguments: Callable[[Case], Arguments] | None = None,
) -> list[Callable[[], Trial[Tried]]]:
    """A call on every case; by default with the arguments of a denoising sweep."""

    def trial(make: Callable[[], Case]) -> Trial[Tried]:
        case = make()
        tried = Tried(case, {})

        def call() -> Arguments:
            tried.arguments.update((arguments or _cache_arguments)(case))
            return dict(tried.arguments)

        return Trial(
            case.name,
            tried,
            case.model,
            call,
            partial(right, tried),
            axes,
            partial(_unchanged, case),
            allowed_seconds(case, axes),
        )

    makers: list[Callable[[], Case]] = [
        partial(_case_at, 0),
        partial(_case_at, 1),
        last,
    ]
    return [partial(trial, make) for make in makers]


def token_arguments(case: Case) -> Arguments:
    """Both prompts and no cache: which one to run, and what to keep, is the question."""
    return {
        "model": case.model,
        "clean_tokens": case.clean.clone(),
        "corrupted_tokens": case.corrupted.clone(),
        "patching_metric": case.metric,
    }


def _cache_arguments(case: Case) -> Arguments:
    return {
        "model": case.model,
        "corrupted_tokens": case.corrupted.clone(),
        "clean_cache": case.cache("clean"),
        "patching_metric": case.metric,
    }


def _case_at(number: int) -> Case:
    return small_cases()[number]


def _unchanged(case: Case, arguments: Arguments) -> Mapping[str, tuple[Tensor, Tensor]]:
    tensors = {"corrupted_tokens": (arguments["corrupted_tokens"], case.corrupted)}
    if "clean_tokens" in arguments:
        tensors["clean_tokens"] = arguments["clean_tokens"], case.clean
    if "clean_cache" in arguments:
        cached = arguments["clean_cache"].cache_dict
        for name, then in case.activations["clean"].items():
            tensors[name] = dict.__getitem__(cached, name), then
    return tensors


@cache
def _forward_seconds(case: Case) -> float:
    with computing():
        case.model(case.corrupted)
        started = perf_counter()
        case.model(case.corrupted)
        return perf_counter() - started


def allowed_seconds(case: Case, axes: Axes) -> float:
    """How long one call may take."""
    cells = 1
    for axis in axes:
        cells *= case.size(axis) if axis in ("layer", "pos", "head") else 5
    return _START_S + _SLOWNESS * cells * _forward_seconds(case)
