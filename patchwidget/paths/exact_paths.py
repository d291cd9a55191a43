"""Exact path patching: a writer's change reaches chosen readers and nothing else.

Each reader is given the value that it has when the writer's change is added to the stream
it reads, everything else there being as in the base run; then the run goes on from the
readers (Wang et al., arXiv 2211.00593, section 3.1). Readers of a set are replaced all at
once: none of them sees what another has changed. What reaches the end of the model alone
is the writer's direct effect.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Sequence

import torch
from torch import Tensor

from patchwidget.decoder import Packed, Past, StreamReadout
from patchwidget.estimate.coverage import require_decoder
from patchwidget.exact import Progress, Swap
from patchwidget.exact.budget import most_patches, rows_at_once
from patchwidget.exact.cost import run_work
from patchwidget.logits import NotComputedError
from patchwidget.metrics import MetricFailedError, check_finite
from patchwidget.paths.arrivals import arrival
from patchwidget.paths.ends import Reader, Writer
from patchwidget.paths.path_grid import PathGrid
from patchwidget.paths.routes import Group, Route, groups, path_of, routes
from patchwidget.paths.sides import Side
from patchwidget.paths.writes import require_additive, write_change
from patchwidget.runs import Runs, computing


class ExactPaths:
    """The exact effects of all paths from some writers to some readers.

    Args:
        runs: the captured runs; their main metric is read.
        writers, readers: the ends.
        budget: bytes that patched runs may take at once, or None.
        only: the cells that are run, as places of a writer and a reader; None is all.

    Raises:
        ValueError: if a path runs backwards; if a writer is a head behind a post-norm; if
            the decoder does not cover the model.

    Example:
        >>> from patchwidget import PatchStudy, Reader, Writer, demo
        >>> from patchwidget.paths import Side
        >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
        >>> ends = Side.of_each("writer", [Writer("head", 3, 1)]), Side.of_each(
        ...     "reader", [Reader("q", 4, 0), Reader("final")]
        ... )
        >>> paths = ExactPaths(study._runs, *ends, budget=None)
        >>> [step.done for step in paths.steps() if step.done == step.total]
        [2]
        >>> paths.grid().values.shape
        torch.Size([1, 2])
    """

    def __init__(
        self,
        runs: Runs,
        writers: Side[Writer],
        readers: Side[Reader],
        budget: int | None,
        only: Collection[tuple[int, int]] | None = None,
    ) -> None:
        self._runs, self._writers, self._readers = runs, writers, readers
        self._decoder = require_decoder(runs, "path patching")
        require_additive(
            self._decoder, (end for entry in writers.entries for end in entry)
        )
        parallel = self._decoder.weights.layers[0].parallel
        self._routes = routes(writers, readers, parallel=parallel, only=only)
        self._swap = Swap.of(runs, budget)
        base = runs.scale.base
        shape = len(base), len(writers.entries), len(readers.entries)
        self._raw = base.new_full(shape, float("nan"))

    def steps(
        self, check: Callable[[], None] = lambda: None
    ) -> Generator[Progress, None, None]:
        """Run all paths, a layer of a batch at a step.

        Args:
            check: called before what a batch found is believed.

        Raises:
            ValueError: if the metric is not finite in a run, which is named; if the
                budget is too small for one.
            RuntimeError: if the metric raises, or from `check`.
        """
        total = len(self._routes)
        with computing():
            waiting = list(self._groups())
        done = total - sum(len(group.routes) for group in waiting)
        yield Progress(done, total, work=done / total)
        for group in waiting:
            for found in self._run(group):
                if found is not None:
                    check()
                    self._keep(group, found)
                    done += len(group.routes)
                yield Progress(done, total, work=done / total)

    def grid(self) -> PathGrid:
        """What was found, NaN elsewhere."""
        shape = self._writers.shape + self._readers.shape
        return PathGrid(
            self._writers,
            self._readers,
            self._raw.reshape(-1, *shape).clone(),
            scale=self._runs.unit,
            direction=self._runs.direction,
            metric=self._runs.metric.name,
        )

    def work(self) -> list[int]:
        """Multiplications of each run that can matter; see `exact.PatchCost`."""
        layers = self._decoder.weights.layers
        with computing():
            moving = self._moving()
        # The model's end, which is layer -1, comes after all of them.
        starts = [
            (route.layers[0] % (len(layers) + 1), first) for route, first in moving
        ]
        return [
            run_work(self._swap, layers, layer, "resid_pre", first)
            for layer, first in starts
        ]

    def _moving(self) -> list[tuple[Route, int]]:
        """What can matter, and from which position; of all else the effect is exactly 0."""
        read = self._swap.read
        moving = []
        firsts = [self._first(writers) for writers in self._writers.entries]
        for route in self._routes:
            first = firsts[route.writer]
            if first is None or (read is not None and first > read):
                self._raw[:, route.writer, route.reader] = 0
            else:
                moving.append((route, first))
        return moving

    def _groups(self) -> Iterator[Group]:
        """Batches of what can matter."""
        moving = self._moving()
        if moving:
            tokens = self._swap.tokens
            rows, at_most = rows_at_once(self._swap), most_patches(self._swap)
            yield from groups(moving, rows, at_most, (len(tokens), self._swap.n_pos))

    def _first(self, writers: Sequence[Writer]) -> int | None:
        """The first position at which writers write something else; None if nowhere."""
        change = write_change(self._runs, self._decoder, writers)
        differs = (change != 0).any(-1).any(0)
        return int(differs.int().argmax()) if bool(differs.any()) else None

    def _run(self, group: Group) -> Iterator[Tensor | None]:
        """Nothing while layers go by, then the metric's values `[n, B]`."""
        end = self._end if group.routes[0].layers[0] < 0 else self._through_layers
        try:
            yield from end(group, self._swap.read)
        except NotComputedError:
            # A metric that reads other positions than it did so far.
            yield from end(group, None)

    def _changes(self, group: Group) -> tuple[Tensor, list[int]]:
        """The writers' changes `[U, B, T, d]`, and which of them is each route's."""
        ours = list(dict.fromkeys(route.writer for route in group.routes))
        changes = [
            write_change(self._runs, self._decoder, self._writers.entries[writer])
            for writer in ours
        ]
        return torch.stack(changes), [
            ours.index(route.writer) for route in group.routes
        ]

    def _end(self, group: Group, read: int | None) -> Iterator[Tensor | None]:
        """Runs in which only the end of the model sees a change."""
        with computing():
            last = self._swap.base.values["resid_post", self._runs.extent.n_layers - 1]
            changes, of_route = self._changes(group)
            columns = slice(None) if read is None else slice(read, read + 1)
            streams = (last + changes[of_route])[:, :, columns]
            values = self._values(group, streams.flatten(0, 1), read)
        yield values

    def _through_layers(
        self, group: Group, read: int | None
    ) -> Iterator[Tensor | None]:
        """Layers with readers one after the other; from the last of them on as rows."""
        base, n_runs = self._swap.base.values, len(group.routes)
        layer, last_layer = group.routes[0].layers
        first = group.starts[0]
        with computing():
            changes, of_route = self._changes(group)
            readers = [route.readers for route in group.routes]
            tap = arrival(self._decoder, base, changes[:, :, first:], of_route, readers)
            stream = base["resid_pre", layer][:, first:].repeat(n_runs, 1, 1)
            past = Past(first, base)
            steps = self._decoder.steps(stream, layer, "resid_pre", tap, past=past)
            next(steps)  # the stream as it was given
        for _ in range(layer, last_layer + 1):
            with computing():
                stream = next(steps)
            yield None
        with computing():
            packed = Packed.of(self._decoder.weights, base, list(group.starts), read)
            rows = packed.pack(torch.unflatten(stream, 0, (n_runs, -1)))
            steps = packed.steps(rows, last_layer, "resid_post")
            rows = next(steps)
        for _ in range(last_layer + 1, self._runs.extent.n_layers):
            with computing():
                rows = next(steps)
            yield None
        with computing():
            values = self._values(group, packed.final(rows), read)
        yield values

    def _values(self, group: Group, streams: Tensor, read: int | None) -> Tensor:
        metric, weights = self._runs.metric, self._decoder.weights
        readout = StreamReadout(weights, streams, self._swap.n_pos, read)
        paths = [path_of(one, self._writers, self._readers) for one in group.routes]
        try:
            values = metric.values(readout, len(paths))
        except MetricFailedError as error:
            raise error.on(f"path {paths[error.copy]}") from error.__cause__
        for path, value in zip(paths, values, strict=True):
            check_finite(value, metric.name, f"path {path}")
        return values

    def _keep(self, group: Group, values: Tensor) -> None:
        base = self._runs.scale.base
        for route, value in zip(group.routes, values, strict=True):
            self._raw[:, route.writer, route.reader] = value - base
