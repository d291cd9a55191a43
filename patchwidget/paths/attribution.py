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
from itertools import groupby

import torch
from torch import Tensor

from patchwidget.decoder import Decoder, tracing_from
from patchwidget.differentiate import differentiated
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
from patchwidget.runs import Activations, Runs, computed, computing
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
    """`atp` step by step: a layer of the backward, then the readers of a layer at a time."""
    with computing():
        decoder = _decoder_for(runs, by)
    gradients = yield from computed(base_gradients(runs))
    run = Differentiated(runs.base.values, gradients)
    scores = yield from computed(_Scores(runs, decoder, by, budget).steps(run))
    return _grid(runs, by, scores, "atp", ONE_BACKWARD)


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
    total: float | Tensor = 0
    for way in middles(steps, runs.base.values["resid_pre", 0]):
        run = whole(computed(_between(runs, decoder, way), grad=True))
        total = total + whole(computed(scores.steps(run))) / steps
    return _grid(runs, by, torch.as_tensor(total), "ig", Cost(2 + steps, steps))


METHODS = {"atp": atp, "ig": ig}


def _decoder_for(runs: Runs, by: str | None) -> Decoder:
    if by not in CUTS:
        raise ValueError(f"paths cannot be had by {by!r}: choose one of {list(CUTS)}")
    decoder = require_decoder(runs, "paths")
    require_additive(decoder, all_writers(runs.extent))
    return decoder


def _between(runs: Runs, decoder: Decoder, way: Tensor) -> Slices[Differentiated]:
    """The run whose embedding lies part of the way from base to source."""
    start, end = (run.values["resid_pre", 0] for run in (runs.base, runs.source))
    graph = yield from tracing_from(decoder, start + way * (end - start))
    values = {place: value.detach() for place, value in graph.sites.items()}
    gradients = yield from differentiated(graph.sites, graph.readout, runs.metric)
    return Differentiated(values, gradients)


@dataclass(frozen=True)
class _Scores:
    """Sums over features of changes times gradients, for all paths of a study."""

    runs: Runs
    decoder: Decoder
    by: str | None
    budget: int | None

    def steps(self, run: Differentiated) -> Slices[Tensor]:
        """`[B, writer, reader]`, or `[B, writer, reader, pos]`; NaN where no path is.

        A step is some positions of a layer's writers, or of its readers.
        """
        base = self.runs.base.values["resid_pre", 0]
        shape = (len(base), len(self._writers), len(all_readers(self.runs.extent)))
        positions = base.shape[1]
        scores = base.new_zeros(*shape, *([positions] if self.by else []))
        width = self._positions_at_once()
        for first in range(0, positions, width):
            yield from self._adding(scores, run, slice(first, first + width))
        return self._with_gaps(scores)

    @property
    def _writers(self) -> tuple[Writer, ...]:
        return all_writers(self.runs.extent)

    def _adding(self, scores: Tensor, run: Differentiated, span: slice) -> Slices[None]:
        """Add what the positions of a span contribute, layer by layer."""
        changes = yield from self._changes(span)
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

    def _changes(self, span: slice) -> Slices[Tensor]:
        """What all writers write differently, `[B, writer, t, d]`, layer by layer."""
        like = self.runs.base.values["resid_pre", 0][:, span]
        changes = like.new_empty(len(like), len(self._writers), *like.shape[1:])
        start = 0
        for _, group in groupby(self._writers, key=lambda writer: writer.layer):
            own = list(group)
            found = write_changes(self.runs, self.decoder, own, span)
            changes[:, start : start + len(own)] = found
            start += len(own)
            yield
        return changes

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
        """As many as the budget holds, and one step can deal with: one at least."""
        return max(1, min(self._that_fit(), self._that_are_a_layer()))

    def _that_are_a_layer(self) -> int:
        """Positions whose products take no more work than a layer's forward and backward.

        The last layer's readers meet all writers: in deep models that is more.
        """
        extent, layer = self.runs.extent, self.decoder.weights.layers[-1]
        n_readers = extent.n_heads + 2 * extent.n_kv_heads
        attn, mlp = layer.attn, layer.mlp
        own = 2 * (attn.W_Q.numel() + attn.W_K.numel())
        own += 0 if mlp is None else 2 * mlp.W_in.numel()
        products = len(self._writers) * n_readers * attn.W_Q.shape[1]
        return extent.n_pos * 2 * own // products

    def _that_fit(self) -> int:
        """As many as the budget holds beside the scores."""
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
        return allowed // (rows * size * (vectors * width + 4 * extent.d_mlp))

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
