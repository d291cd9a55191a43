"""How much heads have the three habits on ordinary text, at every position of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from patchwidget.generality.example import Example
from patchwidget.generality.targets import HABITS
from patchwidget.nodes import Node

QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True, eq=False)
class Habits:
    """Attention of heads to the token before, to duplicates, and to what came after these.

    Positions are the ordinary tokens of all texts; BOS, what ends a text and padding are
    none. A habit is not defined at a position where there is nothing for it to look at:
    such a score is NaN, and counts in no mean, quantile or example.

    Attributes:
        heads: (layer, query head) of each.
        texts: the token strings of each.
        places: `[n, 2]`, number of the text and position in it.
        scores: `[3, heads, n]`, the attention paid to what each of `HABITS` looks at.
        chance: `[3, n]`, the score of a head that looks at all tokens so far alike.
        looks_at: `[heads, n]`, the position that each head attends to most.
        weight: `[heads, n]`, the attention that it pays there.
        notice: one line to show the user, or None: why the slower way was taken.

    Example:
        >>> from patchwidget import PatchStudy, demo
        >>> study = PatchStudy(demo.load_model(), demo.induction_pairs())
        >>> habits = study.habits(demo.texts(20))
        >>> str(habits.top("previous", 1)[0][0])
        'L0H4.pattern'
        >>> habits.quantiles("induction").shape
        (3, 40)
    """

    heads: tuple[tuple[int, int], ...]
    texts: tuple[tuple[str, ...], ...]
    places: np.ndarray
    scores: np.ndarray
    chance: np.ndarray
    looks_at: np.ndarray
    weight: np.ndarray
    notice: str | None = None

    def share(self, habit: str) -> float:
        """Share of all positions at which a habit is defined; NaN without positions.

        Raises:
            ValueError: if there is no such habit.
        """
        defined = self._defined(habit)
        return float(defined.mean()) if len(defined) else float("nan")

    def expected(self, habit: str) -> float:
        """Mean score of a head that looks at all tokens so far alike.

        Raises:
            ValueError: if there is no such habit.
        """
        found = self.chance[_number(habit), self._defined(habit)]
        return float(found.mean()) if len(found) else float("nan")

    def mean(self, habit: str) -> np.ndarray:
        """Mean score of each head `[heads]`; NaN where the habit is defined nowhere.

        Raises:
            ValueError: if there is no such habit.
        """
        found, means = self._known(habit), np.full(len(self.heads), np.nan)
        return found.mean(1, np.float64) if found.size else means

    def quantiles(self, habit: str, at: Sequence[float] = QUANTILES) -> np.ndarray:
        """Quantiles of each head's scores over positions, `[len(at), heads]`.

        Raises:
            ValueError: if there is no such habit, or a quantile is not in 0 to 1.
        """
        found = self._known(habit)
        if not found.size:
            return np.full((len(at), len(self.heads)), np.nan)
        return np.quantile(found.astype(np.float64), at, axis=1)

    def top(self, habit: str, k: int = 5) -> list[tuple[Node, float]]:
        """The `k` heads of largest mean score, as nodes of their patterns.

        Raises:
            ValueError: if there is no such habit.
        """
        mean = self.mean(habit)
        order = np.argsort(-mean, kind="stable")[: max(k, 0)]
        return [
            (Node("pattern", layer, head=head), float(mean[row]))
            for row in order.tolist()
            for layer, head in [self.heads[row]]
            if not np.isnan(mean[row])
        ]

    def examples(
        self,
        habit: str,
        head: Node | str,
        at: Sequence[float] = (0.0, *QUANTILES, 1.0),
        *,
        around: int = 6,
    ) -> list[Example]:
        """Positions at chosen quantiles of one head's scores, each in its text.

        Args:
            habit: one of `HABITS`.
            head: which, as a node or name: `"L0H4"`.
            at: the quantiles; of each the position of nearest rank.
            around: how many tokens are shown before and after it.

        Raises:
            ValueError: if there is no such habit, or a quantile is not in 0 to 1.
            KeyError: if the head was not asked about.
        """
        if not all(0 <= quantile <= 1 for quantile in at):
            raise ValueError(f"quantiles are from 0 to 1, got {list(at)}")
        row = self._row(head)
        columns = np.flatnonzero(self._defined(habit))
        scores = self.scores[_number(habit), row, columns]
        order = columns[np.argsort(scores, kind="stable")]
        if not len(order):
            return []
        ranks = [round(quantile * (len(order) - 1)) for quantile in at]
        return [
            self._example(habit, row, order[rank], quantile, around)
            for rank, quantile in zip(ranks, at, strict=True)
        ]

    def _example(
        self, habit: str, row: int, column: int, quantile: float, around: int
    ) -> Example:
        text, pos = self.places[column].tolist()
        tokens, start = self.texts[text], max(0, pos - around)
        looks_at = int(self.looks_at[row, column])
        return Example(
            head=self.heads[row],
            habit=habit,
            quantile=quantile,
            score=float(self.scores[_number(habit), row, column]),
            text=text,
            pos=pos,
            tokens=tokens[start : pos + around + 1],
            start=start,
            looks_at=(looks_at, tokens[looks_at]),
            weight=float(self.weight[row, column]),
        )

    def to_dataframe(self) -> Any:
        """One row a head and habit: mean, quantiles, share, and chance; needs pandas."""
        import pandas as pd

        return pd.DataFrame(list(self._table()))

    def _table(self) -> Iterator[dict[str, object]]:
        for habit in HABITS:
            means, quantiles = self.mean(habit), self.quantiles(habit)
            for row, (layer, head) in enumerate(self.heads):
                yield {
                    "habit": habit,
                    "layer": layer,
                    "head": head,
                    "mean": means[row],
                    **{
                        f"q{at:g}": found[row]
                        for at, found in zip(QUANTILES, quantiles, strict=True)
                    },
                    "share": self.share(habit),
                    "chance": self.expected(habit),
                }

    def _row(self, head: Node | str) -> int:
        node = Node.parse(head) if isinstance(head, str) else head
        wanted = (node.layer, node.head)
        if wanted not in self.heads:
            raise KeyError(f"{head} was not asked about: {len(self.heads)} heads were")
        return self.heads.index(wanted)

    def _defined(self, habit: str) -> np.ndarray:
        """At which positions `[n]` there is something for a habit to look at."""
        unknown: np.ndarray = np.isnan(self.chance[_number(habit)])
        return ~unknown

    def _known(self, habit: str) -> np.ndarray:
        """Scores `[heads, m]` at the positions at which the habit is defined."""
        found: np.ndarray = self.scores[_number(habit)][:, self._defined(habit)]
        return found

    def __repr__(self) -> str:
        head = (
            f"{len(self.heads)} heads on {len(self.texts)} texts, {len(self.places)} "
            f"positions; mean attention [{QUANTILES[0]:.0%}, {QUANTILES[-1]:.0%} of "
            "positions]"
        )
        return "\n".join([head, *map(self._line, HABITS)])

    def _line(self, habit: str) -> str:
        ends = self.quantiles(habit, (QUANTILES[0], QUANTILES[-1]))
        heads = [
            f"L{node.layer}H{node.head} {mean:.2f} [{low:.2f}, {high:.2f}]"
            for node, mean in self.top(habit, 4)
            for low, high in [ends[:, self._row(node)]]
        ]
        where = f"{habit} ({self.share(habit):.0%} of positions, chance "
        return f"{where}{self.expected(habit):.2f}): {', '.join(heads) or 'nowhere'}"


def _number(habit: str) -> int:
    if habit not in HABITS:
        raise ValueError(f"unknown habit {habit!r}: choose one of {', '.join(HABITS)}")
    return HABITS.index(habit)
