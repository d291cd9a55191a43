"""What a patch changes at the nodes of one layer, before any gradient is known.

A *step* meets the gradient of the metric at its site and gives the estimate of each of
the layer's nodes on each pair. The plain step is the difference of both runs' values;
`pattern_steps` has those that go through the softmax. A step knows nothing of how the
gradient was made, so one step serves the plain backward and every one that is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from patchwidget.nodes import STREAM_KINDS, VECTOR_KINDS
from patchwidget.runs import Runs


class Step(Protocol):
    """The change of one layer's nodes, or of those of some of its heads."""

    @property
    def site(self) -> str:
        """Where the gradient is wanted."""
        ...

    def estimate(self, gradient: Tensor) -> Tensor:
        """Estimates `[B, *axes without the layer]` from the gradient at the site."""
        ...


MakeSteps = Callable[[Runs, str, str | None, int], Iterator[Step]]
"""The steps of one layer, of a kind, cut by `by`: one, or several of some heads each."""


@dataclass(frozen=True)
class NodeStep:
    """The difference of both runs' values: what AtP multiplies gradients with.

    Attributes:
        site: the nodes' kind.
        by: how finely it is cut.
        base, source: the layer's values in both runs `[B, ...]`, as they are kept.
    """

    site: str
    by: str | None
    base: Tensor
    source: Tensor

    def estimate(self, gradient: Tensor) -> Tensor:
        """See `Step.estimate`."""
        product = (self.source - self.base).mul_(gradient)
        return _reduced(product, self.site, self.by)


def node_steps(runs: Runs, kind: str, by: str | None, layer: int) -> Iterator[NodeStep]:
    """The plain step of one layer."""
    place = kind, layer
    yield NodeStep(kind, by, runs.base.values[place], runs.source.values[place])


def _reduced(product: Tensor, kind: str, by: str | None) -> Tensor:
    """Summed over what a node holds: features, and positions where it holds them all."""
    if kind in STREAM_KINDS:
        return product.sum(-1)
    if kind in VECTOR_KINDS:
        return product.sum(-1) if by == "pos" else product.sum((1, -1))
    if kind == "pattern":
        summed = {None: (-1, -2), "dest": (-1,), "dest_src": ()}[by]
        return product.sum(summed) if summed else product
    return product
