"""A run that can be differentiated, and who holds it meanwhile.

A graph keeps about half as much memory again as the values of its run. So it is held in
one place only, from which whoever differentiates it takes it away.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from patchwidget.decoder.decoder import Decoder, StreamReadout


@dataclass(frozen=True)
class Graph:
    """A run with the graph between all of its sites.

    Attributes:
        decoder: what ran it.
        sites: every site's value by (site, layer).
        readout: the end of the run.
    """

    decoder: Decoder
    sites: dict[tuple[str, int], Tensor]
    readout: StreamReadout


def trace(decoder: Decoder, tokens: Tensor) -> Graph:
    """Run tokens `[B, T]` in grad mode; the first site seeds the graph."""
    sites: dict[tuple[str, int], Tensor] = {}

    def tap(site: str, layer: int, value: Tensor) -> Tensor:
        # Nothing before the first site asks for a gradient.
        value = value if value.requires_grad else value.detach().requires_grad_(True)
        sites[site, layer] = value
        return value

    return Graph(decoder, sites, decoder.run(tokens, tap))


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
