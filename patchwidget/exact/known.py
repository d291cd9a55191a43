"""The exact effects that a study knows, and who is told of new ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch

from patchwidget.effects import Effect
from patchwidget.exact.swap import Patch, Reading, Swap
from patchwidget.exact.table import Block, Table
from patchwidget.metrics import halves
from patchwidget.runs import Runs, computing

Listener = Callable[[tuple[Effect, ...]], None]


class Known:
    """Exact effects by what was patched, for each metric of a study."""

    def __init__(self, runs: Runs, swap: Swap) -> None:
        self._runs, self._unpatched = runs, swap.unpatched
        self._tables = {name: Table() for name in runs.metrics}
        self._listeners: list[Listener] = []

    def __contains__(self, patch: Patch) -> bool:
        return patch in self.of()

    def of(self, metric: str | None = None) -> Table:
        """What is known, in the order in which it was found.

        Args:
            metric: its name; None is the main one.
        """
        return self._tables[metric or self._runs.metric.name]

    def learn(self, readings: Iterable[Reading]) -> tuple[Effect, ...]:
        """Keep what was read, and tell of it.

        Returns:
            The effects on the main metric.
        """
        readings, known = list(readings), self.of()
        # Two computations that take turns may both run a patch: what somebody has read
        # does not change in its last digits.
        new = [reading for reading in readings if reading.patch not in known]
        with computing():
            if new:
                self._keep(new)
            found = tuple(known[reading.patch] for reading in readings)
        for listener in list(self._listeners):
            listener(found)
        return found

    def _keep(self, readings: Sequence[Reading]) -> None:
        patches = [reading.patch for reading in readings]
        logits = [one.answers for one in readings if one.answers is not None]
        answers = torch.stack(logits) if logits else None
        for name, table in self._tables.items():
            runs, base = self._runs.reading(name), self._unpatched.values[name]
            values = torch.stack([reading.values[name] for reading in readings])
            both = halves(runs.metric, self._unpatched.answers, answers)
            table.add(Block(patches, values - base, runs.unit, both))

    def put_back(self, metric: str, effects: Sequence[Effect]) -> None:
        """Know effects that were found before, without telling of them."""
        if effects:
            with computing():
                self._tables[metric].add(Block.of(effects))

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Tell a function of new effects, until the function returned is called."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe
