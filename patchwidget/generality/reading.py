"""Running texts, and keeping of each pattern what the habits are about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from patchwidget.exact import Progress
from patchwidget.generality.batches import TextBatch, batches
from patchwidget.generality.habits import Habits
from patchwidget.generality.targets import HABITS, looked_at
from patchwidget.generality.text import Text
from patchwidget.hooks import HookedModel, hook_name
from patchwidget.runs import Runs, computing

Heads = Sequence[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Aim:
    """What heads with the habits would look at in a batch, and where the answers go.

    Attributes:
        targets: `[3, N, dest, src]`; see `looked_at`.
        ordinary: `[N, T]`.
        columns: of the record, one for each ordinary token of the batch.
    """

    targets: Tensor
    ordinary: Tensor
    columns: np.ndarray

    def scores(self, patterns: Tensor) -> np.ndarray:
        """Attention `[3, h, n]` to each habit's targets, NaN where it has none."""
        found = [
            (patterns * target[:, None])
            .sum(-1)
            .masked_fill(~target.any(-1)[:, None], float("nan"))
            for target in self.targets
        ]
        return np.stack([self.flat(one) for one in found])

    def chance(self) -> np.ndarray:
        """`scores` `[3, n]` of a head that looks at all tokens so far alike."""
        seen = torch.arange(1, self.ordinary.shape[1] + 1).to(self.ordinary.device)
        uniform = torch.ones_like(self.targets[0]).float() / seen[:, None]
        return self.scores(uniform[:, None])[:, 0]

    def flat(self, values: Tensor) -> np.ndarray:
        """Values `[N, h, T]` of the ordinary tokens, `[h, n]`."""
        picked: np.ndarray = values.transpose(0, 1)[:, self.ordinary].cpu().numpy()
        return picked


class Reading:
    """Runs texts in batches; of a pattern only sums and maxima are kept.

    Args:
        runs: of the model, by the engine that is to run the texts.
        texts: as tokens.
        heads: (layer, query head) of each that is asked about.
        allowed: bytes that a batch may take.
    """

    def __init__(
        self, runs: Runs, texts: Sequence[Text], heads: Heads, allowed: int
    ) -> None:
        self._runs, self._texts, self._heads = runs, texts, heads
        self._allowed = allowed
        self._rows: dict[int, list[int]] = defaultdict(list)
        for row, (layer, _) in enumerate(heads):
            self._rows[layer].append(row)
        counts = [int(text.ordinary.sum()) for text in texts]
        self._starts = np.cumsum([0, *counts])
        n = int(self._starts[-1])
        self._scores = np.full((len(HABITS), len(heads), n), np.nan, np.float32)
        self._chance = np.full((len(HABITS), n), np.nan, np.float32)
        self._looks_at = np.zeros((len(heads), n), np.int32)
        self._weight = np.zeros((len(heads), n), np.float32)

    def steps(
        self, check: Callable[[], None] = lambda: None
    ) -> Generator[Progress, None, None]:
        """Run all texts, a batch at a step.

        Args:
            check: called before what a batch found is believed.

        Raises:
            ValueError: if a text needs more memory than is allowed, or a pattern is not
                finite.
            RuntimeError: from `check`.
        """
        done, total = 0, max(1, sum(map(len, self._texts)))
        for batch in batches(self._texts, self._runs, self._allowed):
            with computing():
                self._read(batch)
            check()
            done += sum(len(self._texts[number]) for number in batch.numbers)
            yield Progress(done, total, work=done / total)

    def _read(self, batch: TextBatch) -> None:
        starts = self._starts
        columns = [np.arange(starts[n], starts[n + 1]) for n in batch.numbers]
        targets = looked_at(batch.tokens, batch.ordinary)
        aim = Aim(targets, batch.ordinary, np.concatenate(columns))
        self._chance[:, aim.columns] = aim.chance()

        def tap(site: str, layer: int, value: Tensor) -> Tensor:
            if site == "pattern" and layer in self._rows:
                self._keep(layer, value, aim)
            return value

        engine = self._runs.engine
        if not isinstance(engine, HookedModel):
            engine.run(batch.tokens, tap)
            return
        places = [("pattern", layer) for layer in sorted(self._rows)]
        for place in places:
            if place not in engine.places:
                raise ValueError(
                    f"the model has no {hook_name(*place)}: where its heads look is "
                    "not to be seen"
                )
        engine.run(batch.tokens, tap, at=places)

    def _keep(self, layer: int, pattern: Tensor, aim: Aim) -> None:
        rows = np.array(self._rows[layer])
        patterns = pattern[:, [self._heads[row][1] for row in rows]].float()
        weight, looks_at = patterns.max(-1)
        cells = np.ix_(rows, aim.columns)
        self._weight[cells] = aim.flat(weight)
        self._looks_at[cells] = aim.flat(looks_at)
        if not np.isfinite(self._weight[cells]).all():
            raise ValueError(
                f"attention of layer {layer} is not finite on these texts, so that "
                "nothing can be said of where its heads look"
            )
        self._scores[np.ix_(np.arange(len(HABITS)), rows, aim.columns)] = aim.scores(
            patterns
        )

    def habits(self, notice: str | None) -> Habits:
        """What was found."""
        places = [
            (number, position)
            for number, text in enumerate(self._texts)
            for position in text.ordinary.nonzero()[:, 0].tolist()
        ]
        return Habits(
            heads=tuple(self._heads),
            texts=tuple(text.strings for text in self._texts),
            places=np.array(places, np.int32).reshape(-1, 2),
            scores=self._scores,
            chance=self._chance,
            looks_at=self._looks_at,
            weight=self._weight,
            notice=notice,
        )
