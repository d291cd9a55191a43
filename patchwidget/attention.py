"""Where chosen heads look, in both runs, and how much they move from there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from patchwidget.decoder import Decoder
from patchwidget.nodes import HEAD_KINDS, Extent, Node
from patchwidget.runs import Activations, Runs, computing

Run = Literal["clean", "corrupted"]


@dataclass(frozen=True, eq=False, repr=False)
class Attention:
    """Attention patterns of heads, rows the destination, columns the source.

    A pattern times the norms of what is read gives value-weighted attention (Kobayashi et
    al. 2020, arXiv 2004.10102): a head that looks at a place to read nothing there shows.

    Attributes:
        heads: (layer, query head) of each.
        clean, corrupted: `[n, B, T, T]`; every row sums to 1.
        clean_norms, corrupted_norms: `[n, B, T]`, |v W_O| of each source position: the
            length of what a head would write from it alone, before any norm of what
            attention writes. NaN where the model does not show the weights.
        text: for each pair the clean and the corrupted token strings.

    Example:
        >>> from patchwidget import Head, PatchStudy, demo
        >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
        >>> attention = study.attention([Head(0, 0)])
        >>> attention.clean.shape, attention.clean_norms.shape
        (torch.Size([1, 8, 15, 15]), torch.Size([1, 8, 15]))
    """

    heads: tuple[tuple[int, int], ...]
    clean: Tensor
    corrupted: Tensor
    clean_norms: Tensor
    corrupted_norms: Tensor
    text: tuple[tuple[list[str], list[str]], ...]

    def __repr__(self) -> str:
        heads = ", ".join(f"L{layer}H{head}" for layer, head in self.heads)
        size = self.clean.shape[-1]
        return f"attention of {heads}: {len(self.text)} pairs, {size} x {size} each"

    def of(self, pair: int, run: Run = "clean") -> tuple[Tensor, Tensor]:
        """Patterns `[n, T, T]` and norms `[n, T]` of one pair.

        Of pair -1 the means, in double precision on the CPU.

        Raises:
            IndexError: if there is no such pair.
            ValueError: if the run is neither.
        """
        self._check(pair, run)
        patterns, norms = getattr(self, run), getattr(self, f"{run}_norms")
        if pair == -1:
            # Apple's devices have no double precision.
            return patterns.cpu().double().mean(1), norms.cpu().double().mean(1)
        return patterns[:, pair], norms[:, pair]

    def tokens(self, pair: int, run: Run = "clean") -> list[str]:
        """Token strings of one pair; of pair -1 those that are alike in all.

        Raises:
            IndexError, ValueError: see `of`.
        """
        self._check(pair, run)
        texts = [
            clean if run == "clean" else corrupted for clean, corrupted in self.text
        ]
        if pair != -1:
            return list(texts[pair])
        return [
            column[0] if len(set(column)) == 1 else f"[{position}]"
            for position, column in enumerate(zip(*texts, strict=True))
        ]

    def to_circuitsvis(self, pair: int = 0, run: Run = "clean") -> Any:
        """What `circuitsvis.attention.attention_heads` shows of one pair.

        Args:
            pair: which; -1 is the mean, with the positions' numbers where tokens differ.
            run: `"clean"` or `"corrupted"`.

        Raises:
            IndexError, ValueError: see `of`.
        """
        from circuitsvis.attention import attention_heads

        return attention_heads(
            attention=self.of(pair, run)[0].float().cpu(),
            tokens=self.tokens(pair, run),
            attention_head_names=[f"L{layer}H{head}" for layer, head in self.heads],
        )

    def _check(self, pair: int, run: str) -> None:
        if run not in ("clean", "corrupted"):
            raise ValueError(f"unknown run {run!r}: choose 'clean' or 'corrupted'")
        if not -1 <= pair < len(self.text):
            raise IndexError(
                f"there is no pair {pair}, only 0 to {len(self.text) - 1}, and -1 for "
                "the mean"
            )


def attention(runs: Runs, nodes: Sequence[Node]) -> Attention:
    """Patterns of the query heads that `nodes` belong to; a KV head gives its group.

    Raises:
        ValueError: if a node is not part of a head, or there is none.
    """
    if not nodes:
        raise ValueError("no head is named whose attention could be shown")
    heads: dict[tuple[int, int], None] = {}
    for node in nodes:
        heads.update(dict.fromkeys(query_heads(runs.extent, node)))
    clean, corrupted = runs.clean.values, runs.corrupted.values
    with computing():
        return Attention(
            tuple(heads),
            clean=_patterns(clean, list(heads)),
            corrupted=_patterns(corrupted, list(heads)),
            clean_norms=_norms(runs, clean, list(heads)),
            corrupted_norms=_norms(runs, corrupted, list(heads)),
            text=runs.pairs.text,
        )


def query_heads(extent: Extent, node: Node) -> list[tuple[int, int]]:
    """The heads (layer, query head) of a node's patterns; a KV head's are its group.

    Raises:
        ValueError: if the node is not part of a head.
        IndexError: if there is no such node.
    """
    extent.check(node)
    if node.kind not in HEAD_KINDS or node.head is None:
        raise ValueError(f"{node} is not part of a head: it has no attention pattern")
    group = extent.n_heads // extent.n_kv_heads
    if node.kind not in ("k", "v"):
        return [(node.layer, node.head)]
    return [(node.layer, node.head * group + i) for i in range(group)]


def _patterns(values: Activations, heads: list[tuple[int, int]]) -> Tensor:
    return torch.stack([values["pattern", layer][:, head] for layer, head in heads])


def _norms(runs: Runs, values: Activations, heads: list[tuple[int, int]]) -> Tensor:
    """Lengths `[n, B, T]` of what each head writes from each source position."""
    group = runs.extent.n_heads // runs.extent.n_kv_heads
    found = []
    for layer, head in heads:
        value, weight = values.get(("v", layer)), _output_of(runs, layer)
        if value is None or weight is None:
            like = values["pattern", layer][:, head, 0]
            found.append(torch.full_like(like, float("nan"), dtype=torch.float32))
            continue
        written = value[:, :, head // group].float() @ weight[head].float()
        found.append(written.norm(dim=-1))
    return torch.stack(found)


def _output_of(runs: Runs, layer: int) -> Tensor | None:
    """`W_O [H, d_head, d]` of a layer; None where the model's hooks run it without one."""
    if isinstance(runs.engine, Decoder):
        return runs.engine.weights.layers[layer].attn.W_O
    weight = getattr(runs.engine.model.blocks[layer].attn, "W_O", None)
    if not isinstance(weight, Tensor) or len(weight) != runs.extent.n_heads:
        return None
    return weight.detach() if weight.dim() == 3 else None
