"""Exact effects on the decoder: change the stream, resume, read the metric.

Nodes of one kind and layer run as one batch. A sweep is a generator: each step is one
layer of one batch, closing it at any step keeps all that was finished.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import torch
from torch import Tensor

from patchwidget.changes import Change, change
from patchwidget.decoder import Decoder, StreamReadout
from patchwidget.exact.progress import Progress
from patchwidget.grids import Effect
from patchwidget.metrics import check_finite, halves
from patchwidget.nodes import Node
from patchwidget.runs import Runs, computing

# About a thousand token rows keep a matrix unit busy; more only delays the next step.
ROWS_PER_BATCH = 1024


def sweep(runs: Runs, nodes: Sequence[Node]) -> Iterator[Progress]:
    """Exact effects of `nodes` in the order of the model's layers.

    Raises:
        ValueError: if the metric is not finite at a node, which is named.
    """
    done = 0
    for batch in _batches(runs, nodes):
        for finished in _patch(runs, batch):
            done += len(finished)
            yield Progress(done, len(nodes), finished)


def unchanged(runs: Runs, node: Node) -> bool:
    """Whether source and base have the same value at a node: then its effect is 0."""
    place = node.kind, node.layer
    base, source = runs.base.values[place], runs.source.values[place]
    return torch.equal(base[node.index], source[node.index])


def zero_effect(runs: Runs, node: Node) -> Effect:
    """The effect of a node at which nothing is changed: exactly 0."""
    raw = torch.zeros_like(runs.scale.base)
    answers = runs.base_answers
    return Effect(node, raw, runs.scale, halves(answers, answers))


def effects_of(
    runs: Runs, nodes: Sequence[Node], values: Tensor, answers: Tensor | None
) -> tuple[Effect, ...]:
    """Effects from the metric of patched runs `[n, B]`, and its answers' logits."""
    for node, value in zip(nodes, values, strict=True):
        check_finite(
            value[None], runs.metric.name, f"the run in which {node} is patched"
        )
    raw = values - runs.scale.base
    return tuple(
        Effect(
            node,
            raw[i],
            runs.scale,
            halves(runs.base_answers, None if answers is None else answers[i]),
        )
        for i, node in enumerate(nodes)
    )


def _batches(runs: Runs, nodes: Sequence[Node]) -> Iterator[list[Node]]:
    size = max(1, ROWS_PER_BATCH // runs.base_tokens.numel())
    ordered = sorted(nodes, key=lambda node: (node.layer, node.kind))
    for _, group in groupby(ordered, key=lambda node: (node.layer, node.kind)):
        members = list(group)
        for start in range(0, len(members), size):
            yield members[start : start + size]


def _patch(runs: Runs, nodes: list[Node]) -> Iterator[tuple[Effect, ...]]:
    """Run one batch: nothing finished while layers go by, then all of it."""
    same = [node for node in nodes if unchanged(runs, node)]
    if same:
        yield tuple(zero_effect(runs, node) for node in same)
    nodes = [node for node in nodes if node not in same]
    if not nodes:
        return
    decoder = runs.engine
    assert isinstance(decoder, Decoder)  # noqa: S101 - `exact.steps` has chosen this file
    with computing():
        start = change(decoder.weights, runs.base.values, runs.source.values, nodes)
    stream = start.stream.flatten(0, 1)
    for stream in _layers(decoder, start):  # noqa: B007 - the last one is read
        yield ()
    with computing():
        readout = StreamReadout(decoder.weights, stream)
        values = runs.metric.values(readout, len(nodes))
        answers = runs.metric.answers(readout, len(nodes))
        found = effects_of(runs, nodes, values, answers)
    yield found


def _layers(decoder: Decoder, start: Change) -> Iterator[Tensor]:
    """Resume layer by layer; our grad mode is on only while a layer is computed."""
    steps = decoder.steps(start.stream.flatten(0, 1), start.layer, start.site)
    while True:
        with computing():
            stream = next(steps, None)
        if stream is None:
            return
        yield stream
