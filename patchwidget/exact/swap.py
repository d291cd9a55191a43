"""What a patch needs: a run to patch, values to put into it, and what to read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from patchwidget.logits import Readout
from patchwidget.metrics import Metric, MetricFailedError, check_finite
from patchwidget.nodes import STREAM_KINDS, VECTOR_KINDS, Node
from patchwidget.runs import Capture, Engine, Runs, computing
from patchwidget.windows import Windows

Values = Mapping[tuple[str, int], Tensor]
Patch = tuple[Node, ...]
Patches = Collection[Patch] | Windows
"""What a sweep is asked for: of a whole kind, nodes that are made as it comes by them."""


@dataclass(frozen=True, eq=False)
class Reading:
    """The metrics of one patched run.

    Attributes:
        patch: the nodes that were patched in it.
        values: by metric, `[B]`, or `[1]` where only the mean is known.
        answers: logits of right and wrong answer `[B, 2]`, if a metric reads them.
    """

    patch: Patch
    values: Mapping[str, Tensor]
    answers: Tensor | None


@dataclass(frozen=True, eq=False)
class Swap:
    """Values to put into a run, and what to read after it.

    Attributes:
        engine: runs the model.
        tokens: `[B, T]` of the run that is patched.
        base: that run, captured.
        values: every site's values to put there instead, `[B, ...]`.
        metrics: what is read, by name; the first is the main one.
        unpatched: the reading of the run as it is.
        budget: bytes that patched runs may take; None is a quarter of what is free.
    """

    engine: Engine
    tokens: Tensor
    base: Capture
    values: Values
    metrics: Mapping[str, Metric]
    unpatched: Reading
    budget: int | None = None
    _differs: dict[tuple[str, int], Tensor] = field(default_factory=dict, repr=False)
    _firsts: dict[Node, int | None] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, runs: Runs, budget: int | None = None) -> Swap:
        """The source run's values, put into the base run."""
        by_name = {name: runs.reading(name) for name in runs.metric_likes}
        metrics = {name: one.metric for name, one in by_name.items()}
        with computing():
            answers = _answers(metrics, runs.base.readout, 1)
        # A user's function shows there where it looks, and need not be called again.
        values = {name: one.scale.base for name, one in by_name.items()}
        return cls(
            runs.engine,
            runs.base_tokens,
            runs.base,
            runs.source.values,
            metrics,
            Reading((), values, None if answers is None else answers[0]),
            budget,
        )

    @property
    def n_pos(self) -> int:
        """Number of positions."""
        return self.tokens.shape[1]

    @property
    def read(self) -> int | None:
        """The one position that every metric reads, or None."""
        positions = {metric.position for metric in self.metrics.values()}
        return positions.pop() if len(positions) == 1 else None

    def first_change(self, patch: Sequence[Node]) -> int | None:
        """The first position at which a patch puts in something else; None if nowhere."""
        firsts = (self._first_of(node) for node in patch)
        return min((first for first in firsts if first is not None), default=None)

    def reaching(self, patch: Sequence[Node]) -> int | None:
        """`first_change`, or None where no change can reach what the metrics read."""
        read = self.read
        if all(self._is_idle(node, read) for node in patch):
            return None
        return self.first_change(patch)

    def _is_idle(self, node: Node, read: int | None) -> bool:
        """Whether a node changes nothing, or only what is never read.

        What comes after the position that is read does not reach it, nor does another
        position once attention has mixed them for the last time.
        """
        first = self._first_of(node)
        if first is None or read is None:
            return first is None
        last = self.engine.extent(self.n_pos).n_layers - 1
        is_late = node.layer == last and node.kind not in ("resid_pre", "k", "v")
        return first > read or (is_late and node.pos not in (None, read))

    def _first_of(self, node: Node) -> int | None:
        # A node comes back in hundreds of sets that are drawn at random.
        if node not in self._firsts:
            self._firsts[node] = self._first(node)
        return self._firsts[node]

    def _first(self, node: Node) -> int | None:
        cells = self._differing(node.kind, node.layer)[node.index[1:]]
        if not bool(cells.any()):
            return None
        if node.pos is not None:
            return node.pos
        rows = cells.any(-1) if node.kind == "pattern" else cells
        return int(rows.int().argmax())

    def _differing(self, kind: str, layer: int) -> Tensor:
        """Where the two runs differ: `[T]`, `[T, H]`, `[H, T, T]` or `[T, neurons]`."""
        place = kind, layer
        if place not in self._differs:
            differs = (self.base.values[place] != self.values[place]).any(0)
            is_vector = kind in STREAM_KINDS or kind in VECTOR_KINDS
            self._differs[place] = (differs.any(-1) if is_vector else differs).cpu()
        return self._differs[place]

    def untouched(self, patch: Patch) -> Reading:
        """The reading of a patch that changes nothing: exactly that of the run as it is."""
        return Reading(patch, self.unpatched.values, self.unpatched.answers)


def readings_of(
    metrics: Mapping[str, Metric], patches: Sequence[Patch], readout: Readout
) -> list[Reading]:
    """Metrics of patched runs, whose rows lie patch by patch.

    Raises:
        ValueError: if a metric is not finite in a run; its patch is named.
        RuntimeError: if a metric raises; the patch is named.
        NotComputedError: if a metric looks at a position that was left out.
    """
    try:
        values = {
            name: metric.values(readout, len(patches))
            for name, metric in metrics.items()
        }
    except MetricFailedError as error:
        raise error.on(run_name(patches[error.copy])) from error.__cause__
    answers = _answers(metrics, readout, len(patches))
    readings = [
        Reading(
            patch,
            {name: of_all[i] for name, of_all in values.items()},
            None if answers is None else answers[i],
        )
        for i, patch in enumerate(patches)
    ]
    for reading in readings:
        for name, value in reading.values.items():
            check_finite(value, name, run_name(reading.patch))
    return readings


def _answers(
    metrics: Mapping[str, Metric], readout: Readout, copies: int
) -> Tensor | None:
    """Both answers' logits, which are the same for every metric that reads them."""
    found = (metric.answers(readout, copies) for metric in metrics.values())
    return next((answers for answers in found if answers is not None), None)


def together(nodes: Iterable[Node]) -> Patch:
    """Nodes as one patch, the same whatever their order.

    Raises:
        ValueError: if there is none.
    """
    patch = tuple(sorted(dict.fromkeys(nodes), key=lambda n: (n.layer, str(n))))
    if not patch:
        raise ValueError("no node is given to be patched")
    return patch


def run_name(patch: Patch) -> str:
    """A run in words."""
    if not patch:
        return "the unpatched run"
    shown: list[Any] = [*patch[:3], *(["..."] if len(patch) > 3 else [])]
    return f"the run in which {', '.join(map(str, shown))} is patched"
