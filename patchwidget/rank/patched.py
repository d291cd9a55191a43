"""What a ranking spends: patched runs, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from patchwidget.effects import Effect
from patchwidget.exact import Patch, Runner

Patched = Callable[[Sequence[Patch]], Iterator[Mapping[Patch, float]]]
"""Runs patches. Each step gives the mean effects of those that it finished, or nothing."""


def patched_by(runner: Runner) -> Patched:
    """The patched runs of a study; what it knows already is there at once."""

    def patched(patches: Sequence[Patch]) -> Iterator[Mapping[Patch, float]]:
        known = runner.known.of()
        yield {one: mean_effect(known[one]) for one in patches if one in known}
        for step in runner.steps(patches):
            yield {effect.patch: mean_effect(effect) for effect in step.found}

    return patched


def mean_effect(effect: Effect) -> float:
    """The mean effect over the pairs; where it is a fraction of nothing, the raw change.

    Its size is the contribution c(n) of AtP* (arXiv 2403.00745): the absolute value of
    the mean, so that a node whose effects on the pairs cancel does not contribute.
    """
    return float(effect.shown(effect.raw).mean())
