"""Self-repair: how later heads change what they write when nodes are patched.

A *backup* head writes more of what an ablated head wrote (Wang et al., arXiv 2211.00593,
section 3.4); a *negative* head, which wrote against it, writes less. Patching such a head
alone shows nothing of the first: in the base run it has nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from patchwidget.circuits.direct import End
from patchwidget.circuits.parts import Part
from patchwidget.circuits.repair import Repair
from patchwidget.decoder import Decoder, StreamReadout
from patchwidget.effects import Effect
from patchwidget.estimate.coverage import require_decoder
from patchwidget.exact import Progress, Swap, together
from patchwidget.exact.batches import Batch
from patchwidget.exact.cost import run_work
from patchwidget.exact.replace import replacement
from patchwidget.grids import Grid
from patchwidget.nodes import HEAD_KINDS, Node
from patchwidget.runs import Activations, Runs, computing

# What a node of these kinds changes is written by its own head or MLP alone.
_INSIDE = (*HEAD_KINDS, "mlp_out", "neuron")


@dataclass(frozen=True)
class _Own:
    """The heads and MLPs whose writes are patched themselves."""

    heads: frozenset[tuple[int, int]]
    mlps: frozenset[int]


class SelfRepair:
    """Direct effects in the run in which nodes are patched together.

    Args:
        runs: the captured runs; their main metric is read.
        parts: what is patched.
        budget: bytes that copies of the end of a run may take at once, or None.

    Attributes:
        patch: the nodes that are patched.
        found: what was found, once all steps are made.

    Raises:
        ValueError: if the decoder does not cover the model; for models whose blocks norm
            what their heads write; if a stream is patched beside other nodes.

    Example:
        >>> from patchwidget import Head, PatchStudy, demo
        >>> from patchwidget.circuits import Part
        >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
        >>> repair = SelfRepair(study._runs, [Part.of_node(Head(3, 1))], budget=None)
        >>> [step.done for step in repair.steps()][-1]
        1
        >>> repair.found.heads.values.shape
        torch.Size([5, 8])
    """

    def __init__(self, runs: Runs, parts: Sequence[Part], budget: int | None) -> None:
        self._runs, self._decoder = runs, require_decoder(runs, "self-repair")
        _require_additive(self._decoder)
        self.patch = together(node for part in parts for node in part.nodes)
        _require_inside(self.patch)
        for kind in {node.kind for node in self.patch}:
            runs.require(kind)
        self._swap = Swap.of(runs, budget)
        self._end = End(runs, self._decoder, budget)
        self._own = _own(self.patch, self._decoder.weights.layers[0].attn.group)
        self._first = self.patch[0].layer
        self.found: Repair

    @property
    def work(self) -> int:
        """Multiplications of the run, and of what its heads write; see `exact.PatchCost`."""
        swap, layers = self._swap, self._decoder.weights.layers
        writes = sum(2 * layer.attn.W_O.numel() for layer in layers)
        run = run_work(swap, layers, self._first, "resid_pre", 0)
        return run + swap.tokens.numel() * writes

    def steps(
        self, check: Callable[[], None] = lambda: None
    ) -> Generator[Progress, None, None]:
        """Run it, a layer at a step, and then read it, a layer at a step.

        Args:
            check: called before what was found is believed.

        Raises:
            ValueError: if the metric is not finite.
            RuntimeError: if the metric raises, or from `check`.
        """
        n_layers = self._runs.extent.n_layers
        total = 2 * n_layers - self._first
        values: Activations = {}
        run = self._patched(values)
        yield Progress(0, 1)
        for number in range(n_layers - self._first):
            with computing():
                next(run)
            yield Progress(0, 1, work=(number + 1) / total)
        pieces = []
        for layer in range(n_layers):
            with computing():
                pieces.append(self._read(values, layer))
            yield Progress(0, 1, work=(n_layers - self._first + layer + 1) / total)
        check()
        with computing():
            self.found = self._put_together(values, pieces)
        yield Progress(1, 1, work=1.0)

    def _patched(self, values: Activations) -> Generator[None, None, None]:
        """The patched run, layer by layer; every site is kept."""
        replace = replacement(self._swap, Batch([self.patch], [0]), None)

        def tap(site: str, layer: int, value: Tensor) -> Tensor:
            values[site, layer] = replace(site, layer, value)
            return values[site, layer]

        stream = self._swap.base.values["resid_pre", self._first]
        steps = self._decoder.steps(stream, self._first, "resid_pre", tap)
        next(steps)  # the stream as it was given
        for _ in steps:
            yield

    def _read(self, values: Activations, layer: int) -> _Piece:
        """One layer's direct effects: of its heads before, and their changes."""
        base = self._swap.base.values["z", layer]
        piece = _Piece(before=-self._end.effects(-self._writes(base, layer)))
        if layer < self._first:
            return piece
        writes = self._writes(values["z", layer] - base, layer)
        for head in range(base.shape[2]):
            if (layer, head) in self._own.heads:
                writes[head] = 0
        piece.later = writes.sum(0)
        piece.heads = self._end.effects(writes)
        if self._runs.extent.d_mlp and layer not in self._own.mlps:
            place = "mlp_out", layer
            change = values[place] - self._swap.base.values[place]
            piece.later = piece.later + change
            piece.mlp = self._end.effects(change[None])[0]
        return piece

    def _writes(self, z: Tensor, layer: int) -> Tensor:
        """What each head's z writes, `[H, B, T, d]`."""
        attn = self._decoder.weights.layers[layer].attn
        return torch.einsum("bthe,hed->hbtd", z, attn.W_O)

    def _put_together(self, values: Activations, pieces: list[_Piece]) -> Repair:
        runs, place = self._runs, ("resid_post", len(pieces) - 1)
        last = values[place]
        change = last - self._swap.base.values[place]
        later = sum((p.later for p in pieces if p.later is not None), 0 * change)
        own, whole = self._end.effects(torch.stack([change - later, change]))
        readout = StreamReadout(self._decoder.weights, last, last.shape[1])
        effect = runs.metric.values(readout)[0] - runs.scale.base
        unknown = torch.full_like(pieces[0].before, float("nan"))
        heads = torch.stack([unknown if p.heads is None else p.heads for p in pieces])
        mlps = [unknown[0] if p.mlp is None else p.mlp for p in pieces]
        return Repair(
            self.patch,
            self._grid(self._masked(heads), "self-repair"),
            self._grid(torch.stack([p.before for p in pieces]), "direct"),
            torch.stack(mlps, 1),
            *(self._effect(raw) for raw in (own, effect - whole, effect)),
        )

    def _masked(self, heads: Tensor) -> Tensor:
        """`[layer, head, B]` with NaN for heads that the patch does not come before."""
        reads_own = self.patch[0].kind == "resid_pre"
        heads[: self._first + (not reads_own)] = float("nan")
        for layer, head in self._own.heads:
            heads[layer, head] = float("nan")
        return heads

    def _grid(self, raw: Tensor, method: str) -> Grid:
        runs = self._runs
        return Grid(
            "z",
            raw.permute(2, 0, 1).contiguous(),
            scale=runs.unit if method == "self-repair" else None,
            method=method,
            direction=runs.direction,
            metric=runs.metric.name,
        )

    def _effect(self, raw: Tensor) -> Effect:
        return Effect(self.patch, raw, self._runs.unit)


@dataclass
class _Piece:
    """One layer: direct effects `[H, B]`, the MLP's `[B]`, what both write `[B, T, d]`."""

    before: Tensor
    heads: Tensor | None = None
    mlp: Tensor | None = None
    later: Tensor | None = None


def _require_additive(decoder: Decoder) -> None:
    if any(layer.ln1_post is not None for layer in decoder.weights.layers):
        raise ValueError(
            "self-repair reads what each head adds to the stream, and this model's blocks "
            "norm what all their heads write together before it is added (a post-norm): "
            "no part of the stream is one head's own"
        )


def _require_inside(patch: Sequence[Node]) -> None:
    streams = [node for node in patch if node.kind not in _INSIDE]
    if streams and len({(node.kind, node.layer) for node in patch}) > 1:
        raise ValueError(
            f"{streams[0]} replaces what others have written: ask for it alone, and for "
            f"sets of {', '.join(_INSIDE)}"
        )


def _own(patch: Sequence[Node], group: int) -> _Own:
    heads, mlps = set(), set()
    for node in patch:
        if node.kind in ("mlp_out", "neuron"):
            mlps.add(node.layer)
        elif node.head is not None:
            width = group if node.kind in ("k", "v") else 1
            first = node.head * width
            heads |= {(node.layer, head) for head in range(first, first + width)}
    return _Own(frozenset(heads), frozenset(mlps))
