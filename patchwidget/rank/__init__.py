"""Rankings: which nodes to look at first.

Estimates give one for the price of a gradient; the methods of this room spend exact
patches instead, of single nodes or of many together, and are what estimates have to beat
(baselines of AtP*, arXiv 2403.00745). Each is a generator: every step gives the ranking so
far, and closing it keeps what was run.
"""

from collections.abc import Callable, Iterator

from patchwidget.rank.blocks import blocks
from patchwidget.rank.hierarchical import hierarchical
from patchwidget.rank.patched import Patched, mean_effect, patched_by
from patchwidget.rank.random_order import random_order
from patchwidget.rank.ranking import Ranking, means_of, ranking_of, sizes_of
from patchwidget.rank.subsampling import subsampling
from patchwidget.rank.tally import Tally

RANKINGS: dict[str, Callable[..., Iterator[Ranking]]] = {
    "subsampling": subsampling,
    "blocks": blocks,
    "hierarchical": hierarchical,
    "random": random_order,
}

__all__ = [
    "RANKINGS",
    "Patched",
    "Ranking",
    "Tally",
    "blocks",
    "hierarchical",
    "mean_effect",
    "means_of",
    "patched_by",
    "random_order",
    "ranking_of",
    "sizes_of",
    "subsampling",
]
