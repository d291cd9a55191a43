"""Exact effects through the model's own hooks, one forward a node.

Slow and independent of the decoder: the way for models that the decoder does not cover,
and the oracle that the fast way is held against.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from patchwidget.exact.progress import Progress
from patchwidget.exact.sweep import effects_of, unchanged, zero_effect
from patchwidget.grids import Effect
from patchwidget.hooks import HookedModel
from patchwidget.metrics import Readout
from patchwidget.nodes import Node
from patchwidget.runs import Runs, computing


def hook_loop(
    runs: Runs, nodes: Sequence[Node], hooked: HookedModel
) -> Iterator[Progress]:
    """Exact effects of `nodes`, in their order.

    Raises:
        ValueError: if a hook does not act, or the metric is not finite at a node.
    """
    for done, node in enumerate(nodes, start=1):
        if unchanged(runs, node):
            effect = zero_effect(runs, node)
        else:
            effect = _effect(runs, node, hooked)
        yield Progress(done, len(nodes), (effect,))


def _effect(runs: Runs, node: Node, hooked: HookedModel) -> Effect:
    with computing():
        hooked.require(node.kind, runs.base_tokens)
        readout = _patched(runs, node, hooked)
        answers = runs.metric.answers(readout)
        return effects_of(runs, [node], runs.metric.values(readout), answers)[0]


def _patched(runs: Runs, node: Node, hooked: HookedModel) -> Readout:
    source = runs.source.values[node.kind, node.layer]

    def replace(_site: str, _layer: int, value: Tensor) -> Tensor:
        value = value.clone()
        value[node.index] = source[node.index]
        return value

    return hooked.run(runs.base_tokens, replace, at=[(node.kind, node.layer)])
