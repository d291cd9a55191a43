"""The second derivative of the metric along the changes of some nodes, layer by layer.

A length t goes along each change, and a run with its metric is a function of all t. One
layer after the other is run, gone back through, gone through once more for what that way
back does when t moves, and gone back through for the last time. Each layer has a graph of
its own between copies of the streams before and behind it, so that none of these ways
leads into the next layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from patchwidget.decoder import Decoder, StreamReadout
from patchwidget.nodes import Node
from patchwidget.runs import Runs
from patchwidget.slices import Slices


@dataclass(frozen=True)
class _Stretch:
    """One layer of a run, or its end with the metric.

    Attributes:
        start, end: what goes in, a leaf, and what comes out.
        behind: the gradient at the end, a leaf.
        before: the gradient at the start, a function of `start` and `behind`.
    """

    start: Tensor
    end: Tensor
    behind: Tensor
    before: Tensor


def second_derivatives(
    runs: Runs, decoder: Decoder, nodes: list[Node]
) -> Slices[Tensor]:
    """D.H.D of nodes of one kind and layer, `[n, B]`, or `[n, 1]` of one metric for all.

    Rows do not mix, so each has a length t of its own that goes along its D, and one
    derivative of the sum of all first derivatives gives every second one. To be made in
    grad mode; a slice is one layer of a run of n copies, one way.
    """
    ends = yield from _run(runs, decoder, nodes)
    stretches: list[_Stretch] = []
    behind = torch.ones_like(ends[-1][1])
    while ends:
        start, end = ends.pop()
        behind = behind.detach().requires_grad_(True)
        (before,) = _pulled(end, [start], behind, create=True)
        stretches.append(_Stretch(start, end, behind, before))
        behind = before
        yield
    pull, pulled = torch.ones_like(stretches[-1].start), []
    while stretches:
        one = stretches.pop()
        pull, moved = _pulled(one.before, [one.behind, one.start], pull)
        pulled.append((one.start, one.end, moved))
        yield
    _, _, second = pulled.pop()
    while pulled:
        start, end, moved = pulled.pop()
        (further,) = _pulled(end, [start], second)
        second = moved + further
        yield
    return second


def _run(
    runs: Runs, decoder: Decoder, nodes: list[Node]
) -> Slices[list[tuple[Tensor, Tensor]]]:
    """What goes into each layer from the nodes' own on and what comes out; then the end."""
    place = nodes[0].kind, nodes[0].layer
    stream = runs.base.values["resid_pre", place[1]]
    along = stream.new_zeros(len(nodes), len(runs.scale.base), requires_grad=True)
    moved, starts, ends = _moved(runs, nodes, along), [along], []

    def tap(site: str, layer: int, value: Tensor) -> Tensor:
        if (site, layer) == place:
            return value + moved
        if site == "resid_pre" and layer > place[1]:
            starts.append(value.detach().requires_grad_(True))
            return starts[-1]
        return value

    copies = stream.repeat(len(nodes), *[1] * (stream.dim() - 1))
    steps = decoder.steps(copies, place[1], "resid_pre", tap)
    next(steps)  # the stream as it was given
    for end in steps:
        ends.append(end)
        yield
    starts.append(ends[-1].detach().requires_grad_(True))
    readout = StreamReadout(
        decoder.weights, starts[-1], stream.shape[1], rules=decoder.rules
    )
    ends.append(runs.metric.values(readout, len(nodes)).sum())
    return list(zip(starts, ends, strict=True))


def _pulled(
    end: Tensor, starts: list[Tensor], behind: Tensor, *, create: bool = False
) -> list[Tensor]:
    """Gradients from that at an end; 0 where it does not depend on a start."""
    if not end.requires_grad:  # it depends on none of them
        return [torch.zeros_like(start) for start in starts]
    grads = torch.autograd.grad(
        end, starts, behind, create_graph=create, retain_graph=True, allow_unused=True
    )
    return [
        torch.zeros_like(start) if grad is None else grad
        for start, grad in zip(starts, grads, strict=True)
    ]


def _moved(runs: Runs, nodes: list[Node], along: Tensor) -> Tensor:
    """Moves `[n * B, ...]`: each copy's own node moved by t D, nothing else."""
    place = nodes[0].kind, nodes[0].layer
    step = runs.source.values[place] - runs.base.values[place]
    steps = step.new_zeros(len(nodes), *step.shape)
    for copy, node in zip(steps, nodes, strict=True):
        copy[node.index] = step[node.index]
    lengths = along.reshape(*along.shape, *[1] * (step.dim() - 1))
    return (lengths * steps).flatten(0, 1)
