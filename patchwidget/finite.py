"""Values that are not numbers, found where they first arise."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from patchwidget.nodes import HEAD_KINDS, Node
from patchwidget.runs import Capture


def refuse_infinite(runs: Mapping[str, Capture]) -> None:
    """Refuse runs in which a value is NaN or infinite.

    All further values follow from the first of them, so that is the one to be named.
    (Masked scores are no site: every captured value must be finite.)

    Args:
        runs: the captured runs by what they are called.

    Raises:
        ValueError: naming the run, the node and the pair.
    """
    for name, run in runs.items():
        found = _first(run)
        if found is not None:
            raise ValueError(
                f"the {name} run has {found}: what follows from it means nothing. "
                f"{_advice(run)}"
            )


def _advice(run: Capture) -> str:
    if any(value.dtype == torch.float16 for value in run.values.values()):
        return "float16 ends at 65504: try bfloat16 or float32"
    return "Look at the model's weights and hooks there"


def _first(run: Capture) -> str | None:
    """The first value that is not finite, in words; None if all are."""
    logits = [] if run.witness is None else [run.witness]
    if _all_finite([*run.values.values(), *logits]):
        return None
    for (kind, layer), value in run.values.items():
        found = _of(value)
        if found is not None:
            what, place = found
            return f"{what} at {_node(kind, layer, place)}, pair {place[0]}"
    for value in logits:
        found = _of(value)
        if found is not None:
            what, (pair, position, _) = found
            return (
                f"{what} in its logits at position {position}, pair {pair}, which comes "
                "from the last norm or the unembedding, as every node is finite"
            )
    return None


def _of(value: Tensor) -> tuple[str, list[int]] | None:
    """What is not finite in a value, and the place of the first of it."""
    bad = (~value.isfinite()).nonzero()
    if len(bad) == 0:
        return None
    place: list[int] = bad[0].tolist()
    return "a NaN" if value[tuple(place)].isnan() else "an infinite value", place


def _all_finite(values: list[Tensor]) -> bool:
    """Whether sums are finite: one pass over each, and one wait for a device.

    A sum may overflow where no value has; then each value is looked at after all.
    """
    totals = [value.sum(dtype=_wide(value.dtype)) for value in values]
    return bool(torch.stack(totals).isfinite().all())


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype.itemsize < 4 else dtype


def _node(kind: str, layer: int, place: list[int]) -> Node:
    """The node that a place `[pair, ...]` of a captured value belongs to."""
    if kind == "pattern":
        return Node(kind, layer, head=place[1], pos=place[2], src=place[3])
    if kind == "neuron":
        return Node(kind, layer, pos=place[1], neuron=place[2])
    if kind in HEAD_KINDS:
        return Node(kind, layer, head=place[2], pos=place[1])
    return Node(kind, layer, pos=place[1])
