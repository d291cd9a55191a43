"""How often the bound on what was not verified holds, over many drawings of random sets."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from patchwidget.nodes import Node
from patchwidget.rank import Tally, patched_by
from patchwidget.rank.subsampling import RUNS, SHARE, drawn, sampled
from patchwidget.study import PatchStudy
from patchwidget.verify import upper_bounds

CONFIDENCE = 0.9


@dataclass(frozen=True)
class Coverage:
    """Bounds beside the largest effect that they are about.

    Attributes:
        held: share of the bounds that are not below it.
        ratio: median of bound / effect.
        largest: the largest effect.
        n: how many bounds.
    """

    held: float
    ratio: float
    largest: float
    n: int


def coverage(bounds: Sequence[float], effects: Iterable[float]) -> Coverage:
    """Of bounds on the size of the largest of some effects."""
    largest = max(map(abs, effects))
    ratios = [bound / largest for bound in bounds]
    held = statistics.fmean(ratio >= 1 for ratio in ratios)
    return Coverage(held, statistics.median(ratios), largest, len(bounds))


def of_runs(
    study: PatchStudy, effects: Mapping[Node, float], seeds: Iterable[int]
) -> Coverage:
    """Sets of nodes are really patched together, as `verify` does."""
    nodes, patched = list(effects), patched_by(study._runner)
    bounds = []
    for seed in seeds:
        tallies = sampled(nodes, patched, runs=RUNS, share=SHARE, seed=seed)
        (tally,) = deque(tallies, maxlen=1)
        bounds.append(_largest(tally))
    return coverage(bounds, effects.values())


def of_sums(effects: Mapping[Node, float], seeds: Iterable[int]) -> Coverage:
    """The same sets, where a set does what its nodes do alone, added up."""
    values = np.array(list(effects.values()))
    bounds = []
    for seed in seeds:
        tally = Tally(len(values))
        for members in drawn(len(values), RUNS, SHARE, seed):
            tally.add(members, float(values[members].sum()))
        bounds.append(_largest(tally))
    return coverage(bounds, effects.values())


def _largest(tally):
    return float(upper_bounds(tally, CONFIDENCE).max())
