"""Path attribution: the effect of every path, to first order, from one backward.

A reader's input is a sum of what writers wrote, so the path from a writer to a reader has
the estimate: what the writer writes differently, times the gradient at that reader's input
(EAP: Syed, Rager and Conmy, arXiv 2310.10348). The gradient at a writer's output is the sum
over all its readers: a writer's paths add up to its estimate as a node.

`ig` averages the gradients at the readers over runs between the two prompts (EAP-IG on
inputs: Hanna, Pezzelle and Belinkov, arXiv 2403.17806), in the middles of equal steps. Theirs
lie at ends, so that with one step EAP-IG is EAP: here it is EAP with the gradients half-way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from patchwidget.decoder import Decoder
from patchwidget.estimate.coverage import require_decoder
from patchwidget.estimate.first_order import ONE_BACKWARD, estimate_of
from patchwidget.estimate.gradients import base_gradients
from patchwidget.estimate.ig import check_steps, middles
from patchwidget.exact.budget import budget_of
from patchwidget.exact.swap import Swap
from patchwidget.grids import Cost
from patchwidget.paths.ends import Writer
from patchwidget.paths.path import reads_at, writes_at
from patchwidget.paths.path_grid import PathGrid
from patchwidget.paths.reads import head_gradients, mlp_gradient
from patchwidget.paths.sides import Side
from patchwidget.paths.writes import (
    all_readers,
    all_writers,
    require_additive,
    write_changes,
)
from patchwidget.runs import Activations, Runs, computing, gradients_at
from patchwidget.slices import Slices, whole

CUTS = (None, "pos")


@dataclass(frozen=True)
class Differentiated:
    """A run and the metric's gradients in it, at every site."""

    values: Activations
    gradients: Activations


def atp(runs: Runs, by: str | None = None, *, budget: int | None = None) -> PathGrid:
    """First-order estimates of all paths.

    Raises:
        ValueError: if `by` is unknown; in models with post-norms; if the metric's
            gradient vanishes on the base run; if the decoder does not cover the model.
    """
    return whole(atp_steps(runs, by, budget=budget))


def atp_steps(
    runs: Runs, by: str | None = None, *, budget: int | None = None
) -> Slices[PathGrid]:
    """`atp` step by step: the backward, then the readers of a layer at a time."""
    with computing():
        decoder = _decoder_for(runs, by)
        run = Differentiated(runs.base.values, base_gradients(runs))
    yield
    scores = yield from _Scores(runs, decoder, by, budget).steps(run)
    return _grid(runs, by, scores, "atp", ONE_BACKWARD)


def _alone(steps: Iterator[None]) -> Iterator[None]:
    """Steps in our own torch modes, which are over while others have their turn."""
    end = object()
    while True:
        with computing():
            if next(steps, end) is end:
                return
        yield


def ig(
    runs: Runs, by: str | None = None, *, steps: int = 5, budget: int | None = None
) -> PathGrid:
    """Estimates whose gradients are averaged while the embedding goes from base to source.

    Raises:
        ValueError: see `atp`; if `steps` is no number from 1 on; for an ablation, which
            has no other prompt.
    """
    check_steps(steps)
    decoder = _decoder_for(runs, by)
    if runs.ablation is not None:
        raise ValueError(
            "method='ig' goes from prompt to prompt, and an ablation has no other prompt: "
            "choose method='atp'"
        )
    scores = _Scores(runs, decoder, by, budget)
    total = sum(scores.of(run) / steps for run in _between(runs, decoder, steps))
    return _grid(runs, by, torch.as_tensor(total), "ig", Cost(2 + steps, steps))


METHODS = {"atp": atp, "ig": ig}


def _decoder_for(runs: Runs, by: str | None) -> Decoder:
    if by not in CUTS:
        raise ValueError(f"paths cannot be had by {by!r}: choose one of {list(CUTS)}")
    decoder = require_decoder(runs, "paths")
    require_additive(decoder, all_writers(runs.extent))
    return decoder


def _between(runs: Runs, decoder: Decoder, steps: int) -> Iterator[Differentiated]:
    """Runs whose embedding lies between base and source."""
    start, end = (run.values["resid_pre", 0] for run in (runs.base, runs.source))
    for way in middles(steps, start):
        probes: Activations = {}

        def tap(
            site: str, layer: int, value: Tensor, probes: Activations = probes
        ) -> Tensor:
            if not value.requires_grad:
                value = value.detach().requires_grad_(True)
            probes[site, layer] = value
            return value

        with computing(grad=True):
            point = start + way * (end - start)
            readout = decoder.resume(point, 0, "resid_pre", tap)
            values = runs.metric.values(readout)
            gradients = gradients_at(probes, values, runs.metric.name)
        yield Differentiated({k: v.detach() for k, v in probes.items()}, gradients)


@dataclass(frozen=True)
class _Scores:
    """Sums over features of changes times gradients, for all paths of a study."""

    runs: Runs
    decoder: Decoder
    by: str | None
    budget: int | None

    def of(self, run: Differentiated) -> Tensor:
        """`[B, writer, reader]`, or `[B, writer, reader, pos]`; NaN where no path is."""
        return whole(self.steps(run))

    def steps(self, run: Differentiated) -> Slices[Tensor]:
        """`of` step by step: some positions of the readers of a layer at a time."""
        with computing():
            base = self.runs.base.values["resid_pre", 0]
            shape = (len(base), len(self._writers), len(all_readers(self.runs.extent)))
            positions = base.shape[1]
            scores = base.new_zeros(*shape, *([positions] if self.by else []))
            width = self._positions_at_once()
        for first in range(0, positions, width):
            yield from _alone(self._adding(scores, run, slice(first, first + width)))
        with computing():
            return self._with_gaps(scores)

    @property
    def _writers(self) -> tuple[Writer, ...]:
        return all_writers(self.runs.extent)

    def _adding(
        self, scores: Tensor, run: Differentiated, span: slice
    ) -> Iterator[None]:
        """Add what the positions of a span contribute, layer by layer."""
        changes = write_changes(self.runs, self.decoder, self._writers, span)
        start = 0
        for gradients, n_writers in self._readers(run, span):
            stop = start + gradients.shape[1]
            met = changes[:, :n_writers]
            if self.by:
                cells = torch.einsum("bwtd,brtd->bwrt", met, gradients)
                scores[:, :n_writers, start:stop, span] = cells
            else:
                cells = met.flatten(2) @ gradients.flatten(2).mT
                scores[:, :n_writers, start:stop] += cells
            start = stop
            yield

    def _readers(
        self, run: Differentiated, span: slice
    ) -> Iterator[tuple[Tensor, int]]:
        """Gradients at readers' inputs `[B, n, t, d]`; how many writers come before."""
        extent, layers = self.runs.extent, self.decoder.weights.layers
        per_layer = extent.n_heads + bool(extent.d_mlp)
        where = run.values, run.gradients
        for layer, block in enumerate(layers):
            before = 1 + layer * per_layer
            yield head_gradients(self.decoder, *where, layer, span), before
            if block.mlp is not None:
                between = 0 if block.parallel else extent.n_heads
                yield mlp_gradient(self.decoder, *where, layer, span), before + between
        last = run.gradients["resid_post", len(layers) - 1][:, span]
        yield last[:, None], 1 + len(layers) * per_layer

    def _positions_at_once(self) -> int:
        """As many as the budget holds beside the scores: one at least."""
        extent = self.runs.extent
        n_readers = extent.n_heads + 2 * extent.n_kv_heads
        # A layer's readers live before and behind the norm, and as its own copies. By
        # position, the product of writers and readers copies both once more.
        vectors = len(self._writers) + 6 * n_readers
        vectors += len(self._writers) + n_readers if self.by else 0
        rows, width = len(self.runs.base_tokens), self.decoder.weights.W_U.shape[0]
        size = self.runs.base.values["resid_pre", 0].element_size()
        scores = len(self._writers) * len(all_readers(self.runs.extent)) * extent.n_pos
        held = rows * size * scores if self.by else 0
        allowed = budget_of(Swap.of(self.runs, self.budget)) - held
        return max(1, allowed // (rows * size * (vectors * width + 4 * extent.d_mlp)))

    def _with_gaps(self, scores: Tensor) -> Tensor:
        parallel = self.decoder.weights.layers[0].parallel
        writes = [writes_at(w, parallel=parallel) for w in self._writers]
        reads = [reads_at(r, parallel=parallel) for r in all_readers(self.runs.extent)]
        gaps = torch.tensor(writes)[:, None] >= torch.tensor(reads)
        gaps = gaps.to(scores.device)
        # In place: by position they may take more than all else.
        return scores.masked_fill_(gaps[..., None] if self.by else gaps, float("nan"))


def _grid(
    runs: Runs, by: str | None, scores: Tensor, method: str, cost: Cost
) -> PathGrid:
    return PathGrid(
        Side.of_each("writer", all_writers(runs.extent)),
        Side.of_each("reader", all_readers(runs.extent)),
        estimate_of(runs, scores),
        by=by,
        scale=runs.unit,
        method=method,
        direction=runs.direction,
        metric=runs.metric.name,
        cost=cost,
    )
