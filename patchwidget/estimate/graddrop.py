"""GradDrop: sizes of effects that do not vanish where two paths cancel.

A node acts on the metric directly and through later layers. Where the two nearly cancel,
a first-order estimate is a small difference of large numbers and misses effects. GradDrop
cuts the layers one at a time and takes the size of what is left, for each pair and each
cut (AtP*, arXiv 2403.00745, eq. 11):

    1 / (L - 1) * sum over layers l of |step * gradient with layer l's write cut|

The divisor is L - 1 since a node has no gradient at all while its own layer is cut: a
node that acts only directly is counted L - 1 times. The sizes carry no sign.

One that acts only through a single later layer is counted L - 2 times, through one chain
of n layers L - 1 - n times: in shallow models such nodes come out too small, and with
two layers as 0. Use it for a ranking beside `atp`, not for the size of an effect.

The cuts' gradients are too many to keep. So whichever kind is asked for first, every
kind's sizes are summed up while they pass by, and the cuts are made once a study.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from patchwidget.estimate.coverage import require_decoder
from patchwidget.estimate.cuts import CUTS, Cut, cut_gradients
from patchwidget.estimate.first_order import ONE_BACKWARD, grid_of, one_layer
from patchwidget.estimate.gradients import base_gradients
from patchwidget.estimate.pattern_steps import pattern_steps
from patchwidget.estimate.steps import MakeSteps, Step, node_steps
from patchwidget.grids import Cost, Grid
from patchwidget.nodes import KINDS, cut_of, cuts_of, kind_name
from patchwidget.runs import Activations, Runs
from patchwidget.slices import Slices, whole

Cuts = Literal["layer", "sublayer"]


def graddrop(
    runs: Runs, kind: str, by: str | None = None, *, cuts: Cuts = "layer"
) -> Grid:
    """Sizes of the effects of every node of a kind; no value is negative.

    Args:
        runs: both runs.
        kind: a kind that lies in one layer's write: not the residual stream.
        by: how finely it is cut.
        cuts: `"layer"` is the paper's: half a backward a layer, for all kinds together.
            `"sublayer"` cuts what attention and what the MLP writes separately, divides by
            the number of writes less one, and calls itself `graddrop_sublayer`.

    Raises:
        ValueError: as `atp`; if the decoder does not cover the model; for a kind of the
            residual stream; or if there is only one write to cut.
    """
    return whole(graddrop_slices(runs, kind, by, cuts=cuts))


def graddrop_slices(
    runs: Runs, kind: str, by: str | None = None, *, cuts: Cuts = "layer"
) -> Slices[Grid]:
    """`graddrop`, of which a slice is one layer of one backward with its sums, or less."""
    return dropped(runs, kind, by, cuts=cuts, method="graddrop")


def dropped(
    runs: Runs,
    kind: str,
    by: str | None,
    *,
    cuts: Cuts,
    method: str,
    fixed: bool = False,
) -> Slices[Grid]:
    """GradDrop, with the QK fix if it is to be `fixed`.

    Raises:
        ValueError: see `graddrop`.
    """
    kind, by = kind_name(kind), cut_of(kind, by)
    decoder = require_decoder(runs, method)
    runs.require(kind)
    _refuse_stream(kind, method)
    if cuts not in CUTS:
        raise ValueError(f"unknown cuts {cuts!r}: choose one of {', '.join(CUTS)}")
    planned = CUTS[cuts](decoder.weights)
    if len(planned) < 2:
        raise ValueError(
            f"{method} compares cuts of several layers, and this model writes to the "
            "stream once: use 'atp' or 'atp_qk'"
        )
    asked = _Asked(kind, by, fixed=fixed and kind in ("q", "k"))
    sizes = yield from _kept_sizes(runs, planned, asked, cuts, fixed=fixed)
    passed = sum(cut.passed for cut in planned if cut.layer or cut.before)
    cost = Cost(ONE_BACKWARD.forwards, ONE_BACKWARD.backwards + passed)
    name = method if cuts == "layer" else f"{method}_{cuts}"
    return grid_of(runs, kind, by, sizes, method=name, cost=cost, signed=False)


class _Asked(NamedTuple):
    """What sizes are of."""

    kind: str
    by: str | None
    fixed: bool

    @property
    def site(self) -> str:
        """Where the gradient is wanted."""
        return "pattern" if self.fixed else self.kind

    @property
    def make(self) -> MakeSteps:
        """What makes the steps of one layer."""
        return pattern_steps if self.fixed else node_steps


def _kept_sizes(
    runs: Runs, planned: Sequence[Cut], asked: _Asked, cuts: Cuts, *, fixed: bool
) -> Slices[list[Tensor]]:
    """The mean sizes of what is asked, from the cuts that are made for all kinds.

    One pass of cuts serves the plain sizes, another those with the fix. Who wants these
    while nobody has or makes the plain ones has both made in one.
    """
    plain, with_fix = ("graddrop", cuts), ("graddrop", cuts, "fixed")

    def make_plain() -> Slices[dict[_Asked, list[Tensor]]]:
        return _mean_sizes(runs, planned, list(_all_asked(runs, fixed=False)))

    def make_with_fix() -> Slices[dict[_Asked, list[Tensor]]]:
        wanted = _all_asked(runs, fixed=True)
        is_there = runs.has(plain)
        new = [one for one in wanted if one.fixed or not is_there]
        return _mean_sizes(runs, planned, new)

    if asked.fixed or (not runs.has(plain) and (fixed or runs.has(with_fix))):
        sizes = yield from runs.once_in_slices(with_fix, make_with_fix)
        if asked in sizes:
            return sizes[asked]
    return (yield from runs.once_in_slices(plain, make_plain))[asked]


def _all_asked(runs: Runs, *, fixed: bool) -> Iterator[_Asked]:
    """All that can be asked, of the methods with the fix only if it is wanted now."""
    for kind in KINDS:
        if not kind.startswith("resid_") and (kind, 0) in runs.base.values:
            for by in cuts_of(kind):
                yield _Asked(kind, by, fixed=False)
                if fixed and kind in ("q", "k"):
                    yield _Asked(kind, by, fixed=True)


def _refuse_stream(kind: str, method: str) -> None:
    if kind.startswith("resid_"):
        raise ValueError(
            f"{method} is not defined for {kind}: it lies in no single layer's write, so "
            "there is no cut of its own. Use 'atp', or exact patches, of which there are "
            "only layers times positions"
        )


def _mean_sizes(
    runs: Runs, cuts: Sequence[Cut], asked: Sequence[_Asked]
) -> Slices[dict[_Asked, list[Tensor]]]:
    """The mean size over cuts for each layer, of all that is asked."""
    graph = yield from runs.tracing()
    plain = yield from base_gradients(runs, graph)
    layers, sums = range(runs.extent.n_layers), [_Sums(runs, one) for one in asked]
    for layer in layers:
        for each in sums:
            yield from each.begin(layer, plain)
        yield
    wanted = list(dict.fromkeys((one.site, layer) for layer in layers for one in asked))
    for cut in cuts:
        for layer, found in cut_gradients(cut, graph.sites, plain, wanted):
            for each in sums:
                yield from each.add(layer, found)
            yield
        for each in sums:
            each.add_uncut(cut)
        yield
    return {
        one: [total / (len(cuts) - 1) for total in each.totals]
        for one, each in zip(asked, sums, strict=True)
    }


class _Sums:
    """Sizes of one kind's nodes, summed over cuts, for each layer.

    Attributes:
        totals: the sums so far, `[B, *axes without the layer]` each.
    """

    def __init__(self, runs: Runs, asked: _Asked) -> None:
        self._runs, self._asked = runs, asked
        self._steps: list[list[Step]] = []
        self._uncut: list[Tensor] = []
        self.totals: list[Tensor] = []

    def begin(self, layer: int, plain: Activations) -> Slices[None]:
        """Make the steps of the next layer, and their size without a cut."""
        self._steps.append([])
        asked = self._asked
        for step in asked.make(self._runs, asked.kind, asked.by, layer):
            self._steps[layer].append(step)
            if asked.fixed:
                yield
        self._uncut.append((yield from self._size(layer, plain)))
        self.totals.append(torch.zeros_like(self._uncut[layer]))

    def _size(self, layer: int, gradients: Activations) -> Slices[Tensor]:
        sized = one_layer(self._runs, self._steps[layer], gradients, layer)
        # Without the fix a step is little work: all kinds of a layer are one slice.
        estimates = (yield from sized) if self._asked.fixed else whole(sized)
        return estimates.abs()

    def add(self, layer: int, found: Activations) -> Slices[None]:
        """The gradients of a layer under one more cut, if ours is among them."""
        if (self._asked.site, layer) in found:
            self.totals[layer] += yield from self._size(layer, found)

    def add_uncut(self, cut: Cut) -> None:
        """One more cut, where it leaves the gradients as they are."""
        for layer, uncut in enumerate(self._uncut):
            if cut.spares(self._asked.site, layer):
                self.totals[layer] += uncut
