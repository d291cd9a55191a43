"""What a study can be asked about paths."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import Any, Protocol

from patchwidget.exact import PatchCost, Runner
from patchwidget.exact.bar import exhaust
from patchwidget.nodes import Extent
from patchwidget.pairs import TokenPairs
from patchwidget.paths.attribution import METHODS, atp_steps
from patchwidget.paths.chosen import AnyPath, ChosenPaths, PathProgress, paths_of
from patchwidget.paths.exact_paths import ExactPaths
from patchwidget.paths.path_grid import PathGrid
from patchwidget.paths.routes import label
from patchwidget.paths.sides import Readers, Writers, reader_side, writer_side
from patchwidget.runs import Runs, computing
from patchwidget.watch import Watch


class _Study(Protocol):
    """What these questions need of a study."""

    pairs: TokenPairs
    _runs: Runs
    _runner: Runner
    _watch: Watch
    _budget: int | None

    @property
    def extent(self) -> Extent: ...

    @property
    def metric(self) -> str: ...


class Tracing:
    """The part of `PatchStudy` that follows paths from writers to readers."""

    def paths(
        self: _Study,
        method: str = "atp",
        *,
        by: str | None = None,
        metric: str | None = None,
        **options: Any,
    ) -> PathGrid:
        """Estimated effects of all paths, from one backward.

        Writers are the embedding, each head's output and each MLP's output; readers the
        queries, keys and values of each head (KV heads for keys and values), each MLP,
        and the end of the model. A writer's paths add up to its estimate as a node.

        Args:
            method: `"atp"` (first order) or `"ig"` (gradients averaged over runs between
                the two prompts).
            by: `"pos"` cuts paths by the position at which they are written.
            metric: one of `metrics`; None is the first.
            **options: the method's own: `steps` of `"ig"`.

        Raises:
            ValueError: if the method or `by` is unknown, the metric cannot be
                differentiated or its gradient vanishes, the decoder does not cover the
                model, or a norm stands between the heads and the stream (post-norm).
            TypeError: if the method has no such option.
            RuntimeError: if the model changed since the study captured its runs.

        Example:
            >>> from patchwidget import PatchStudy, demo
            >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
            >>> paths = study.paths()
            >>> paths.sel(writer="L2H0", reader="L3H1.q") == paths["L2H0 -> L3H1.q"]
            tensor(True)
        """
        if method not in METHODS:
            raise ValueError(
                f"unknown method {method!r}: choose one of {', '.join(METHODS)}"
            )
        self._watch.check()
        runs = self._runs.reading(metric or self.metric)
        with computing():
            return METHODS[method](runs, by, budget=self._budget, **options)

    def exact_paths(
        self: _Study, writers: Writers, readers: Readers, *, metric: str | None = None
    ) -> PathGrid:
        """Exact effects of paths: a writer's change reaches the readers and nothing else.

        What lies between is as in the base run; what comes after the readers follows.

        Args:
            writers: a head, `Head(1, 2)`, at a position or all; a `Writer`, or a name
                (`"L1H2"`, `"L3.mlp"`, `"embed"`); `"head"` or `"mlp"` for all of them,
                each alone, in axes `writer_layer` and `writer_head`.
            readers: a `Reader`, or a name (`"L4H0.q"`, `"L4.mlp"`, `"final"`); `"q"`,
                `"k"`, `"v"` or `"mlp"` for all of them, each alone, in axes `layer` and
                `head`.

                For both, a list is gone through one by one, in an axis of its own, and a
                set is patched together in one run: `{"L4H0.q", "L4H1.q"}`. The readers of
                a set do not see what the others of it have changed.
            metric: one of `metrics`; None is the first.

        Raises:
            ValueError: if a named path runs backwards or to itself, an end is unknown or
                missing, a head's write goes through a post-norm, the decoder does not
                cover the model, or the metric is not finite in a run.
            IndexError: if the model has no such layer, head or position; for a query head
                in place of a KV head, the one that serves it is named.
            RuntimeError: if the model changed since the study captured its runs.

        Example:
            >>> from patchwidget import Head, PatchStudy, demo
            >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
            >>> grid = study.exact_paths(Head(2, 0), "q")
            >>> grid.axes, grid.values.shape
            (('layer', 'head'), torch.Size([5, 8]))
        """
        runs = self._runs.reading(metric or self.metric)
        ends = (
            writer_side(writers, self.extent, self.pairs.labels),
            reader_side(readers, self.extent),
        )
        self._watch.check()
        found = ExactPaths(runs, *ends, self._budget)
        exhaust(found.steps(self._watch.check), label(*ends))
        return found.grid()

    def paths_stepwise(self: _Study) -> Generator[None, None, PathGrid]:
        """`paths()` step by step: what it returns at its end is the grid.

        Raises:
            ValueError, RuntimeError: see `paths`.
        """
        self._watch.check()
        return self._watch.over(atp_steps(self._runs, budget=self._budget))

    def path_steps(
        self: _Study, paths: Iterable[AnyPath] | AnyPath
    ) -> Iterator[PathProgress]:
        """Exact effects of single paths, step by step, to be closed at any time.

        Args:
            paths: from one writer to one reader each, or their names.

        Raises:
            ValueError, IndexError, RuntimeError: see `exact_paths`.
            TypeError: if one is neither a path nor a name.

        Example:
            >>> from patchwidget import PatchStudy, demo
            >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
            >>> for step in study.path_steps(["L1H0 -> L2H1.v"]):
            ...     for path, effect in step.paths.items():
            ...         print(path, len(effect))
            L1H0 -> L2H1.v 8
        """
        found = _chosen(self, paths)
        self._watch.check()
        return self._watch.over(found.steps(self._watch.check))

    def path_cost(self: _Study, paths: Iterable[AnyPath] | AnyPath) -> PatchCost:
        """What `path_steps` would cost.

        Raises:
            ValueError, IndexError, TypeError: see `path_steps`.
        """
        return self._runner.price(_chosen(self, paths).work())


def _chosen(study: _Study, paths: Iterable[AnyPath] | AnyPath) -> ChosenPaths:
    named = paths_of(paths, study.extent, study.pairs.labels)
    return ChosenPaths(study._runs, named, study._budget)  # noqa: SLF001 - the study's own other half
