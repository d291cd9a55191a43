"""Runs patches for a study: what is known already is not run again."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence

from patchwidget.exact.bar import exhaust
from patchwidget.exact.budget import most_patches, rows_at_once
from patchwidget.exact.cost import Clock, Pace, PatchCost
from patchwidget.exact.filled import filled
from patchwidget.exact.hook_loop import hook_loop
from patchwidget.exact.known import Known
from patchwidget.exact.portions import portions
from patchwidget.exact.progress import Progress
from patchwidget.exact.swap import Patch, Patches, Reading, Swap
from patchwidget.exact.sweep import sweep
from patchwidget.grids import Grid
from patchwidget.hooks import HookedModel
from patchwidget.nodes import Node
from patchwidget.runs import Runs, computing
from patchwidget.watch import Watch


def readings(swap: Swap, patches: Sequence[Patch]) -> Iterator[tuple[Reading, ...]]:
    """Readings of patched runs by whatever engine runs the model, step by step.

    Args:
        swap: what is patched, with what.
        patches: the nodes that are patched together in each run.

    Raises:
        ValueError: if the model has no such kind, or a metric is not finite in a run.
        RuntimeError: if a metric raises.
    """
    if isinstance(swap.engine, HookedModel):
        return hook_loop(swap, patches, swap.engine)
    return sweep(swap, patches)


class Runner:
    """Exact effects of one study's runs: run, kept, told of.

    Args:
        runs: the captured runs.
        watch: whether the model is still the one that was run.
        budget: bytes that patched runs may take at once, or None.

    Attributes:
        known: what was found.
    """

    def __init__(self, runs: Runs, watch: Watch, budget: int | None) -> None:
        self._runs, self._watch = runs, watch
        self._swap, self._pace = Swap.of(runs, budget), Pace()
        self.known = Known(runs, self._swap)

    @property
    def at_once(self) -> int:
        """How many patches that start at the first position run as one batch."""
        busy = rows_at_once(self._swap) // self._swap.tokens.numel()
        return max(1, min(busy, most_patches(self._swap)))

    def moving(self, nodes: Iterable[Node]) -> list[Node]:
        """Those nodes at which another value is put in: all others have no effect."""
        first = self._swap.first_change
        with computing():
            return [node for node in nodes if first((node,)) is not None]

    def finish(self, patches: Patches, label: str) -> None:
        """Run patches to the end, with a bar for those who wait long."""
        exhaust(self.steps(patches), label)

    def cost(self, patches: Patches) -> PatchCost:
        """What running those of the patches would cost that are not known."""
        new = self._new(patches)
        self._require(new)
        return self._pace.cost(self._swap, new)

    def price(self, work: Sequence[int]) -> PatchCost:
        """What other runs of these prompts would cost, from the work of each."""
        return self._pace.price(self._swap, work)

    def _new(self, patches: Patches) -> list[Patch]:
        return [one for one in dict.fromkeys(patches) if one not in self.known]

    def steps(self, patches: Patches) -> Generator[Progress, None, None]:
        """Run patches, a layer of a batch at a step."""
        clock = self._pace.start(self._swap)
        try:
            new, done = yield from self._planned(patches, clock)
            total = done + len(new)
            self._watch.check()
            self._runs.drop_graphs()  # patched runs want the memory
            for found in clock.timed(readings(self._swap, new)):
                # Between two steps the user's own cells may have changed the weights, and
                # may change them back before this batch is finished.
                (self._watch.check if found else self._watch.check_weights)()
                # Nothing found is for listeners the end, and most steps find nothing.
                effects = self.known.learn(found) if found else ()
                done += len(effects)
                clock.finish([effect.patch for effect in effects])
                yield Progress(done, total, effects, clock.work)
        finally:
            self.known.learn(())

    def _planned(
        self, patches: Patches, clock: Clock
    ) -> Generator[Progress, None, tuple[list[Patch], int]]:
        """The patches that are not known, each once, and how many are."""
        seen, new, left = set[Patch](), list[Patch](), len(patches)
        for some in portions(patches):
            fresh = [one for one in dict.fromkeys(some) if one not in seen]
            seen.update(fresh)
            wanted = self._new(fresh)
            self._require(wanted)
            clock.expect(wanted)
            new += wanted
            left -= len(some)
            yield Progress(len(seen) - len(new), len(seen) + left)
        if not seen:
            yield Progress(0, 0)
        return new, len(seen) - len(new)

    def _require(self, patches: Iterable[Patch]) -> None:
        with computing():
            for kind in {node.kind for patch in patches for node in patch}:
                self._runs.require(kind)

    def grid(self, kind: str, by: str | None, window: int, metric: str | None) -> Grid:
        """What is known of a kind, NaN elsewhere."""
        runs = self._runs.reading(metric or self._runs.metric.name)
        empty = Grid(
            kind,
            runs.scale.base.new_empty(
                len(runs.scale.base), *runs.extent.shape(kind, by)
            ),
            by=by,
            scale=runs.unit,
            direction=runs.direction,
            metric=runs.metric.name,
            window=window,
        )
        return filled(empty, self.known.of(metric), runs.extent)
