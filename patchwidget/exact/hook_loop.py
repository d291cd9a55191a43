"""Patched runs through the model's own hooks, one forward a patch.

Slow and independent of the decoder: the way for models that the decoder does not cover,
and the oracle that the fast way is held against.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from torch import Tensor

from patchwidget.exact.swap import Patch, Reading, Swap, readings_of
from patchwidget.hooks import HookedModel
from patchwidget.nodes import Node
from patchwidget.runs import computing


def hook_loop(
    swap: Swap, patches: Sequence[Patch], hooked: HookedModel
) -> Iterator[tuple[Reading, ...]]:
    """Readings of patched runs, in their order.

    Raises:
        ValueError: if a hook does not act, or a metric is not finite in a run.
        RuntimeError: if a metric raises.
    """
    for patch in patches:
        with computing():
            if swap.reaching(patch) is None:
                found = swap.untouched(patch)
            else:
                found = _patched(swap, patch, hooked)
        yield (found,)


def _patched(swap: Swap, patch: Patch, hooked: HookedModel) -> Reading:
    at: dict[tuple[str, int], list[Node]] = defaultdict(list)
    for node in patch:
        hooked.require(node.kind, swap.tokens)
        at[node.kind, node.layer].append(node)

    def replace(site: str, layer: int, value: Tensor) -> Tensor:
        value = value.clone()
        for node in at[site, layer]:
            value[node.index] = swap.values[site, layer][node.index]
        return value

    # In the order of computation: hooks of one name run as they are given.
    places = [place for place in hooked.places if place in at]
    readout = hooked.run(swap.tokens, replace, at=places)
    return readings_of(swap.metrics, [patch], readout)[0]
