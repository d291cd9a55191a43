"""Where chosen heads look, in both runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from patchwidget.nodes import HEAD_KINDS, Node
from patchwidget.runs import Runs


@dataclass(frozen=True, eq=False)
class Attention:
    """Attention patterns of heads, rows the destination, columns the source.

    Attributes:
        heads: (layer, query head) of each.
        clean, corrupted: `[n, B, T, T]`; every row sums to 1.

    Example:
        >>> from patchwidget import Head, PatchStudy, demo
        >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
        >>> study.attention([Head(0, 0)]).clean.shape
        torch.Size([1, 8, 15, 15])
    """

    heads: tuple[tuple[int, int], ...]
    clean: Tensor
    corrupted: Tensor


def attention(runs: Runs, nodes: Sequence[Node]) -> Attention:
    """Patterns of the query heads that `nodes` belong to; a KV head gives its group.

    Raises:
        ValueError: if a node is not part of a head, or there is none.
    """
    if not nodes:
        raise ValueError("no head is named whose attention could be shown")
    heads: dict[tuple[int, int], None] = {}
    for node in nodes:
        heads.update(dict.fromkeys(_query_heads(runs, node)))
    return Attention(
        tuple(heads),
        clean=_patterns(runs.clean.values, list(heads)),
        corrupted=_patterns(runs.corrupted.values, list(heads)),
    )


def _query_heads(runs: Runs, node: Node) -> list[tuple[int, int]]:
    runs.extent.check(node)
    if node.kind not in HEAD_KINDS or node.head is None:
        raise ValueError(f"{node} is not part of a head: it has no attention pattern")
    group = 1
    if node.kind in ("k", "v"):
        group = runs.extent.n_heads // runs.extent.n_kv_heads
    return [(node.layer, node.head * group + i) for i in range(group)]


def _patterns(
    values: dict[tuple[str, int], Tensor], heads: list[tuple[int, int]]
) -> Tensor:
    return torch.stack([values["pattern", layer][:, head] for layer, head in heads])
