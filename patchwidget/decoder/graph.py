"""A run that can be differentiated, the way back through it, and who holds it meanwhile.

A graph keeps about half as much memory again as the values of its run. So it is held in
one place only, from which whoever differentiates it takes it away.

All that a layer gives to the next one is the stream between them. So the way back can stop
at each of these streams: the layers' parts of the graph have nothing in common.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from patchwidget.decoder.decoder import Decoder, StreamReadout, Tap
from patchwidget.slices import Slices, whole

Sites = dict[tuple[str, int], Tensor]


@dataclass(frozen=True)
class Graph:
    """A run with the graph between all of its sites.

    Attributes:
        decoder: what ran it.
        sites: every site's value by (site, layer).
        readout: the end of the run.
    """

    decoder: Decoder
    sites: Sites
    readout: StreamReadout


def trace(decoder: Decoder, tokens: Tensor) -> Graph:
    """Run tokens `[B, T]` in grad mode; the first site seeds the graph."""
    return whole(tracing(decoder, tokens))


def tracing(decoder: Decoder, tokens: Tensor) -> Slices[Graph]:
    """`trace`, of which a slice is one layer."""
    return (yield from _traced(decoder, partial(decoder.running, tokens)))


def tracing_from(decoder: Decoder, stream: Tensor) -> Slices[Graph]:
    """`tracing` of a stream before layer 0, `[B, T, d]`."""
    start = partial(decoder.resuming, stream, 0, "resid_pre")
    return (yield from _traced(decoder, start))


def _traced(
    decoder: Decoder, start: Callable[[Tap], Slices[StreamReadout]]
) -> Slices[Graph]:
    sites: Sites = {}

    def tap(site: str, layer: int, value: Tensor) -> Tensor:
        # Nothing before the first site asks for a gradient.
        value = value if value.requires_grad else value.detach().requires_grad_(True)
        sites[site, layer] = value
        return value

    return Graph(decoder, sites, (yield from start(tap)))


def going_back(sites: Sites, total: Tensor, *, keep: bool = False) -> Slices[Sites]:
    """Gradients at sites of a run, from its end to its beginning: 0 where there are none.

    A slice is one layer; the first is what comes after the last of them. Each sum of a
    site's gradients is made in the order in which one backward of all would make it.

    Args:
        sites: values in the order of their computation, `"resid_post"` of every layer
            among them. They are taken out as they are passed, and their part of the graph
            with them, unless it is kept.
        total: what is differentiated, one number.
        keep: whether the graph is to be gone through again.
    """
    order, layers = list(sites), sorted({layer for _, layer in sites})
    end = "resid_post", layers[-1]
    found = _gradients(total, sites, [end], None, keep=keep)
    yield
    for layer in reversed(layers):
        end, before = ("resid_post", layer), ("resid_post", layer - 1)
        own = [place for place in sites if place[1] == layer and place != end]
        wanted = [*own, before] if before in sites else own
        if wanted:
            found |= _gradients(sites[end], sites, wanted, found[end], keep=keep)
        if not keep:
            for place in (*own, end):
                del sites[place]
        yield
    return {place: found[place] for place in order}


def _gradients(
    end: Tensor,
    sites: Sites,
    wanted: list[tuple[str, int]],
    behind: Tensor | None,
    *,
    keep: bool,
) -> Sites:
    """Gradients at sites, from that at what they lead to."""
    values = [sites[place] for place in wanted]
    grads = torch.autograd.grad(
        end, values, behind, retain_graph=keep, allow_unused=True
    )
    return {
        place: torch.zeros_like(value) if grad is None else grad
        for place, value, grad in zip(wanted, values, grads, strict=True)
    }


class SpareGraph:
    """The graph of a captured run, for the first who wants it."""

    def __init__(self, graph: Graph) -> None:
        self._graph: Graph | None = graph

    def take(self, decoder: Decoder) -> Graph | None:
        """The graph if `decoder` made it and it is still here; then it is no longer."""
        graph = self._graph
        if graph is None or graph.decoder is not decoder:
            return None
        self.drop()
        return graph

    def drop(self) -> None:
        """Hold the graph no longer."""
        self._graph = None
