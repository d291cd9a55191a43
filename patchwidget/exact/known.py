"""The exact effects that a study knows, and who is told of new ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from patchwidget.effects import Effect
from patchwidget.exact.swap import Patch, Reading, Swap
from patchwidget.metrics import halves
from patchwidget.nodes import Node
from patchwidget.runs import Runs, computing

Listener = Callable[[tuple[Effect, ...]], None]


class Known:
    """Exact effects by what was patched, for each metric of a study."""

    def __init__(self, runs: Runs, swap: Swap) -> None:
        self._runs, self._unpatched = runs, swap.unpatched
        self._effects: dict[str, dict[Patch, Effect]] = {
            name: {} for name in runs.metrics
        }
        self._listeners: list[Listener] = []

    def __contains__(self, patch: Patch) -> bool:
        return patch in self.of()

    def of(self, metric: str | None = None) -> Mapping[Patch, Effect]:
        """What is known, in the order in which it was found.

        Args:
            metric: its name; None is the main one.
        """
        return self._effects[metric or self._runs.metric.name]

    def nodes(self) -> dict[Node, Effect]:
        """The effects of single nodes on the main metric."""
        return {patch[0]: one for patch, one in self.of().items() if len(patch) == 1}

    def learn(self, readings: Iterable[Reading]) -> tuple[Effect, ...]:
        """Keep what was read, and tell of it.

        Returns:
            The effects on the main metric.
        """
        with computing():
            found = tuple(self._keep(reading) for reading in readings)
        for listener in list(self._listeners):
            listener(found)
        return found

    def _keep(self, reading: Reading) -> Effect:
        # Two computations that take turns may both run a patch: what somebody has read
        # does not change in its last digits.
        if reading.patch in self:
            return self.of()[reading.patch]
        for name, value in reading.values.items():
            runs, base = self._runs.reading(name), self._unpatched.values[name]
            self._effects[name][reading.patch] = Effect(
                reading.patch,
                value - base,
                runs.unit,
                halves(runs.metric, self._unpatched.answers, reading.answers),
            )
        return self.of()[reading.patch]

    def put_back(self, metric: str, effects: Iterable[Effect]) -> None:
        """Know effects that were found before, without telling of them."""
        self._effects[metric].update((effect.patch, effect) for effect in effects)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Tell a function of new effects, until the function returned is called."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe
