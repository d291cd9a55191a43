"""What a study can be asked without a patched run: estimates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

from patchwidget.estimate.atp import atp, atp_slices
from patchwidget.estimate.atp_qk import atp_qk, atp_qk_slices
from patchwidget.estimate.atp_star import atp_star, atp_star_slices
from patchwidget.estimate.graddrop import graddrop, graddrop_slices
from patchwidget.estimate.hvp import Curvature, hvp
from patchwidget.estimate.ig import ig, ig_slices
from patchwidget.estimate.kept import Asked, Kept
from patchwidget.estimate.offered import offered
from patchwidget.estimate.relp import relp, relp_slices
from patchwidget.grids import Grid
from patchwidget.nodes import Node, cut_of, kind_name
from patchwidget.runs import Runs, computed, computing
from patchwidget.slices import Slices, whole
from patchwidget.watch import Watch

METHODS: dict[str, Callable[..., Grid]] = {
    "atp": atp,
    "atp_qk": atp_qk,
    "graddrop": graddrop,
    "atp_star": atp_star,
    "ig": ig,
    "relp": relp,
}

SLICES: dict[str, Callable[..., Slices[Grid]]] = {
    "atp": atp_slices,
    "atp_qk": atp_qk_slices,
    "graddrop": graddrop_slices,
    "atp_star": atp_star_slices,
    "ig": ig_slices,
    "relp": relp_slices,
}


class _Study(Protocol):
    """What these questions need of a study."""

    _runs: Runs
    _watch: Watch
    _kept: Kept

    @property
    def metric(self) -> str: ...

    def nodes(self, what: Iterable[Node | str] | Node | str) -> list[Node]: ...

    def estimate(
        self, kind: str, *, by: str | None = None, metric: str | None = None
    ) -> Grid: ...

    def estimating(
        self,
        kind: str,
        method: str,
        *,
        by: str | None,
        metric: str | None,
        **options: Any,
    ) -> Slices[Grid]: ...


class Estimating:
    """The part of `PatchStudy` that estimates."""

    def methods(self: _Study, kind: str, *, by: str | None = None) -> tuple[str, ...]:
        """Names of the methods that give estimates of a kind, so cut, in this model."""
        cut_of(kind, by)
        return offered(self._runs, kind)

    def estimate(
        self: _Study,
        kind: str,
        method: str = "atp",
        *,
        by: str | None = None,
        metric: str | None = None,
        **options: Any,
    ) -> Grid:
        """Estimated effects of all nodes of a kind, from one backward for all kinds.

        The others than AtP, its fix and RelP take more: see the grid's `cost`.

        Args:
            kind: see `nodes.KINDS`.
            method: `"atp"` (first order), `"atp_qk"` (queries and keys through the
                softmax), `"graddrop"` (sizes, without cancellation of paths),
                `"atp_star"` (both), `"ig"` (gradients averaged along a path) or
                `"relp"` (other rules in the backward).
            by: `"pos"` cuts heads by position, `"dest"` and `"dest_src"` patterns.
            metric: one of `metrics`; None is the first.
            options: the method's own, such as `steps` of `"ig"`.

        Raises:
            ValueError: if the kind or the method is unknown, the method does not give
                that kind in this model, or the metric cannot be differentiated.
            TypeError: if the method has no such option.
            RuntimeError: if the model changed since the study captured its runs.
        """
        asked, make = _asked(self, kind, method, by=by, metric=metric, options=options)
        found = self._kept.get(asked)
        if found is None:
            found = whole(computed(make()))
            self._kept.keep(asked, found)
        return found

    def estimating(
        self: _Study,
        kind: str,
        method: str = "atp",
        *,
        by: str | None = None,
        metric: str | None = None,
        **options: Any,
    ) -> Slices[Grid]:
        """`estimate` slice by slice: each is at most about one layer of one batch.

        That is one layer of a run, or of the way back through it, or some of what is
        summed there. A batch is all pairs once, or as many times as points are
        differentiated at once (`"ig"`). The model's end with the metric is a slice too.
        Where the model's own hooks do the work, a run and its backward cannot be cut:
        they are one slice.

        All who ask meanwhile, `estimate` too, go on with what is being made. Closing the
        last of them keeps nothing that is half made; asking again begins anew.

        Raises:
            ValueError, TypeError, RuntimeError: see `estimate`; RuntimeError also if the
                weights were others during a slice, or anybody noticed meanwhile that the
                model was another.
        """
        asked, make = _asked(self, kind, method, by=by, metric=metric, options=options)
        found = self._kept.get(asked)
        if found is None:
            found = yield from self._watch.over(computed(make()))
            self._watch.check()
            self._kept.keep(asked, found)
        return found

    def hvp(
        self: _Study,
        nodes: Iterable[Node | str] | Node | str,
        *,
        metric: str | None = None,
    ) -> dict[Node, Curvature]:
        """AtP's estimates of chosen nodes, to second order, and how far to trust them.

        Each node takes a run from its layer on and two backwards of it. One node's first
        and second order can both be small while a patch is not: exact patches decide.

        Args:
            nodes: of any kinds.
            metric: one of `metrics`; None is the first.

        Raises:
            ValueError: if a name is not a node's, there is no such metric, it cannot be
                differentiated, or the decoder does not cover the model.
            IndexError: if the model has no such node.
            TypeError: if something is not a node.
            RuntimeError: if the model changed since the study captured its runs.

        Example:
            >>> from patchwidget import Head, PatchStudy, demo
            >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
            >>> found = study.hvp([Head(2, 0), Head(3, 1, kind="q")])
            >>> [len(one.ratio) == len(study.pairs) for one in found.values()]
            [True, True]
        """
        asked = dict.fromkeys(self.nodes(nodes))
        groups: dict[tuple[str, str | None], list[Node]] = defaultdict(list)
        for node in asked:
            groups[node.kind, node.by].append(node)
        runs, found = self._runs.reading(metric or self.metric), {}
        for (kind, by), members in groups.items():
            grid = self.estimate(kind, by=by, metric=metric)
            with computing():
                found.update(hvp(runs, grid, members))
        return {node: found[node] for node in asked}


def _asked(
    study: _Study,
    kind: str,
    method: str,
    *,
    by: str | None,
    metric: str | None,
    options: dict[str, Any],
) -> tuple[Asked, Callable[[], Slices[Grid]]]:
    """What is asked for, and what makes it slice by slice if it is not known."""
    if method not in SLICES:
        raise ValueError(
            f"unknown method {method!r}: choose one of {', '.join(SLICES)}"
        )
    kind, by = kind_name(kind), cut_of(kind, by)
    study._watch.check()  # noqa: SLF001 - the study's own other half
    runs = study._runs.reading(metric or study.metric)  # noqa: SLF001 - the same
    asked = Asked.of(method, kind, by, runs.metric.name, options)
    return asked, partial(SLICES[method], runs, kind, by, **options)
