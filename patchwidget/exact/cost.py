"""What patched runs cost: counted in multiplications that have to be made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from time import perf_counter
from typing import TypeVar

from patchwidget.changes import resumes_at
from patchwidget.decoder import Decoder
from patchwidget.decoder.weights import Layer
from patchwidget.exact.swap import Patch, Swap
from patchwidget.runs import computing

T = TypeVar("T")


@dataclass(frozen=True)
class PatchCost:
    """What running some patches costs.

    Attributes:
        patches: how many have to be run; those that can change nothing are not.
        multiplications: multiply-adds in them: the products with weight matrices, and
            scores and mixes of the positions that attention sees. 0 where the model's own
            hooks do the work.
        seconds: at the pace at which this study has computed so far.
    """

    patches: int
    multiplications: int
    seconds: float

    def __str__(self) -> str:
        plural = "" if self.patches == 1 else "es"
        return f"{self.patches} patch{plural}, about {self.seconds:.2g} s"


class Pace:
    """How fast a study computes on this machine: what remaining time is told from."""

    def __init__(self) -> None:
        self._work = self._seconds = 0.0

    def cost(self, swap: Swap, patches: Sequence[Patch]) -> PatchCost:
        """What patches would cost; before any was run, see `_time_some`."""
        return self.price(swap, work_of(swap, patches))

    def price(self, swap: Swap, work: Sequence[int]) -> PatchCost:
        """What runs would cost, from the work of each."""
        if not self._work:
            self._time_some(swap)
        total = sum(work)
        return PatchCost(
            sum(one > 0 for one in work),
            total if isinstance(swap.engine, Decoder) else 0,
            total * self._seconds / self._work,
        )

    def _time_some(self, swap: Swap) -> None:
        """One layer of the prompts' run, or all of it by the model's own hooks."""
        engine = swap.engine
        with computing():
            if not isinstance(engine, Decoder):
                started = perf_counter()
                engine.run(swap.tokens)
                self.add(1, perf_counter() - started)
                return
            layers = engine.weights.layers[:2]
            steps = engine.steps(swap.base.values["resid_pre", 0], 0, "resid_pre")
            next(steps)  # the stream as it was given
            for _ in layers:  # the last is timed: the first has memory to ask for
                started = perf_counter()
                next(steps)
                seconds = perf_counter() - started
            self.add(_layer(swap, layers[-1], 0, None), seconds)

    def add(self, work: float, seconds: float) -> None:
        """Take note of work and the time it took."""
        self._work += work
        self._seconds += seconds

    def start(self, swap: Swap) -> Clock:
        """A clock for a computation that starts now."""
        return Clock(self, swap)


class Clock:
    """How much of a computation is done."""

    def __init__(self, pace: Pace, swap: Swap) -> None:
        self._pace, self._swap = pace, swap
        self._todo: dict[Patch, int] = {}
        self._total, self._done, self._seconds = 0, 0, 0.0

    def expect(self, patches: Sequence[Patch]) -> None:
        """Take note of patches that are to be run."""
        work = work_of(self._swap, patches)
        self._todo.update(zip(patches, work, strict=True))
        self._total += sum(work)

    @property
    def work(self) -> float:
        """The share that is done, 0 to 1."""
        return self._done / self._total if self._total else 1.0

    def timed(self, steps: Iterator[T]) -> Iterator[T]:
        """The steps; what whoever takes them does in between is not counted."""
        while True:
            started = perf_counter()
            try:
                step = next(steps)
            except StopIteration:
                return
            self._seconds += perf_counter() - started
            yield step

    def finish(self, patches: Sequence[Patch]) -> None:
        """Take note of what is finished."""
        done = sum(self._todo[patch] for patch in patches)
        if done:
            self._pace.add(done, self._seconds)
            self._done, self._seconds = self._done + done, 0.0


def work_of(swap: Swap, patches: Sequence[Patch]) -> list[int]:
    """Work of each patch: multiplications, or 1 a patch that the model's hooks run."""
    with computing():
        firsts = [swap.reaching(patch) for patch in patches]
    if not isinstance(swap.engine, Decoder):
        return [int(first is not None) for first in firsts]
    counted = cache(partial(run_work, swap, swap.engine.weights.layers))
    return [
        0 if first is None else counted(*_start(swap.engine, patch), first)
        for patch, first in zip(patches, firsts, strict=True)
    ]


def _start(decoder: Decoder, patch: Patch) -> tuple[int, str]:
    """The layer and the site that a run goes on from."""
    layer = min(node.layer for node in patch)
    if len(patch) > 1:
        return layer, "resid_pre"
    return layer, resumes_at(patch[0].kind, decoder.weights.layers[layer])


def run_work(
    swap: Swap, layers: Sequence[Layer], layer: int, site: str, first: int
) -> int:
    """Work of a run from one site of one layer to what is read.

    Args:
        swap: the prompts, and what is read.
        layers: the decoder's.
        layer: the first that runs; as many as there are for the model's end alone.
        site: `"resid_pre"`, `"resid_mid"`, or what else a run goes on from.
        first: the first position that changes.
    """
    last = len(layers) - 1
    total = len(swap.tokens) * layers[0].attn.all_o.shape[1] * 2  # two answers' logits
    if site == "resid_mid":
        rows = _rows(swap, first, swap.read if layer == last else None)
        total += rows * mlp_size(layers[layer])
    for number in range(layer if site == "resid_pre" else layer + 1, last + 1):
        read = swap.read if number == last else None
        total += _layer(swap, layers[number], first, read)
    return total


def _layer(swap: Swap, layer: Layer, first: int, read: int | None) -> int:
    """One layer: keys and values from `first` on, the rest where it is wanted."""
    attn = layer.attn
    rows = _rows(swap, first, None)
    asked = _rows(swap, first, read)
    queries = attn.W_Q.shape[0] * attn.W_Q.shape[2]
    seen = [read + 1] if read is not None else range(first + 1, swap.n_pos + 1)
    in_attention = 2 * len(swap.tokens) * sum(seen) * queries
    projections = rows * 2 * attn.W_K.numel() + asked * 2 * attn.W_Q.numel()
    return projections + in_attention + asked * mlp_size(layer)


def _rows(swap: Swap, first: int, read: int | None) -> int:
    return len(swap.tokens) * (swap.n_pos - first if read is None else 1)


def mlp_size(layer: Layer) -> int:
    """How many weights an MLP has; none where there is none."""
    if layer.mlp is None:
        return 0
    gate = 0 if layer.mlp.W_gate is None else layer.mlp.W_gate.numel()
    return layer.mlp.W_in.numel() + layer.mlp.W_out.numel() + gate
