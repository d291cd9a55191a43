"""One node on two sets of pairs, and whether what it does on the first holds there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from patchwidget.effects import Effect
from patchwidget.nodes import Node
from patchwidget.spread import LEVEL, spread

HALF, TENTH = 0.5, 0.1
# The rule is this project's own; the interval is that of `spread`.
VERDICTS = {
    "holds": f"same sign, the interval there without 0, at least {HALF:g} of the size",
    "weaker": f"as for holds, but less than {HALF:g} of the size",
    "reversed": "opposite sign, the interval there without 0",
    "gone": f"the interval there has 0 in it, or less than {TENTH:g} of the size",
    "nothing here": "the interval on these pairs has 0 in it already",
    "unsure": "one of the sets is a single pair, which has no interval",
}


@dataclass(frozen=True, eq=False)
class Pick:
    """A node's exact effects on two sets of pairs, each a fraction of its set's own gap.

    Attributes:
        here: on the study's pairs, `[B]`.
        there: on the other pairs, whose number and length may be others.

    Example:
        >>> from patchwidget import Head, PatchStudy, demo
        >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs(8))
        >>> (pick,) = study.generality("L1H0.q", demo.ioi_pairs(8, seed=1)).picks
        >>> pick.verdict
        'holds'
    """

    here: Effect
    there: Effect

    @property
    def node(self) -> Node:
        """The node in the study's prompts."""
        return self.here.node

    @property
    def other_node(self) -> Node:
        """The node in the other prompts: a named position may be another one there."""
        return self.there.node

    @property
    def intervals(
        self,
    ) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
        """Bootstrap interval of each mean (see `spread`); None of a single pair."""
        return _ends(self.here, 2), _ends(self.there, 2)

    @property
    def ranges(self) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
        """The smallest and the largest effect over each set's pairs; None of one pair."""
        return _ends(self.here, 0), _ends(self.there, 0)

    @property
    def verdict(self) -> str:
        """One of `VERDICTS`, which says what each asks for; the first that applies.

        They are asked in the order "unsure", "nothing here", "gone", "reversed",
        "weaker", "holds". A mean that rounding alone explains counts as 0.
        """
        if None in self.intervals:
            return "unsure"
        if _may_be_zero(self.here):
            return "nothing here"
        here, there = self.here.value, self.there.value
        if _may_be_zero(self.there) or abs(there) < TENTH * abs(here):
            return "gone"
        if here * there < 0:
            return "reversed"
        return "weaker" if abs(there) < HALF * abs(here) else "holds"

    def __repr__(self) -> str:
        other = "" if self.other_node == self.node else f" ({self.other_node} there)"
        return (
            f"{self.node}{other}: {_text(self.here)} here, {_text(self.there)} there: "
            f"{self.verdict}"
        )


def _ends(effect: Effect, first: int) -> tuple[float, float] | None:
    found = spread(effect.per_pair)
    return None if found is None else (float(found[first]), float(found[first + 1]))


def _may_be_zero(effect: Effect) -> bool:
    """Whether 0 is in the interval of the mean, or within its rounding."""
    start, end = _ends(effect, 2) or (0.0, 0.0)
    scale = effect.scale
    step = 0.0 if scale is None or scale.value is None else scale.rounding / scale.value
    return start - abs(step) <= 0 <= end + abs(step)


def _text(effect: Effect) -> str:
    interval, limits = _ends(effect, 2), _ends(effect, 0)
    if interval is None or limits is None:
        return f"{effect.value:+.2f} (one pair)"
    return (
        f"{effect.value:+.2f} [{interval[0]:+.2f}, {interval[1]:+.2f}] "
        f"({limits[0]:+.2f} to {limits[1]:+.2f})"
    )


def legend(verdicts: Iterable[str]) -> str:
    """What the numbers of picks are, and what their verdicts say."""
    said = set(verdicts)
    rules = [f"{name}: {rule}" for name, rule in VERDICTS.items() if name in said]
    numbers = f"mean effect [{LEVEL:.0%} interval of the mean] (range over the pairs)"
    return "\n".join([numbers, *rules])
