"""Exact effects on the decoder: change the stream, resume, read the metric.

Nodes of one kind and layer run as one batch. A sweep is a generator: each step is one
layer of one batch, closing it at any step keeps all that was finished.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import cast

import torch
from torch import Tensor

from patchwidget.changes import Change, change
from patchwidget.decoder import Decoder, Past, StreamReadout
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
    """Nodes of one kind and layer; by position, since a batch starts at its earliest."""
    size = max(1, ROWS_PER_BATCH // runs.base_tokens.numel())
    ordered = sorted(nodes, key=lambda node: (node.layer, node.kind, node.pos or 0))
    for _, group in groupby(ordered, key=lambda node: (node.layer, node.kind)):
        members = list(group)
        for start in range(0, len(members), size):
            yield members[start : start + size]


def _patch(runs: Runs, nodes: list[Node]) -> Iterator[tuple[Effect, ...]]:
    """Run one batch: nothing finished while layers go by, then all of it."""
    moving = [node for node in nodes if not unchanged(runs, node)]
    still = [node for node in nodes if node not in moving]
    decoder = cast("Decoder", runs.engine)  # `exact.steps` has chosen this file
    if moving:
        with computing():
            start = change(
                decoder.weights, runs.base.values, runs.source.values, moving
            )
            first = _first_changes(runs, start)
        kept = [i for i, position in enumerate(first) if position is not None]
        still += [moving[i] for i in range(len(moving)) if i not in kept]
    if still:
        yield tuple(zero_effect(runs, node) for node in still)
    if moving and kept:
        wanted = [moving[i] for i in kept]
        stream = start.stream[kept, :, min(cast("int", first[i]) for i in kept) :]
        yield from _resumed(runs, wanted, Change(stream, start.layer, start.site))


def _first_changes(runs: Runs, start: Change) -> list[int | None]:
    """The first position at which each copy differs from the base run and it matters.

    None where it cannot matter: nothing differs, or only what comes after the position
    that is read, or, where nothing mixes positions any more, only other positions.
    """
    base = runs.base.values[start.site, start.layer]
    differs = (start.stream != base).any(-1).any(1)
    read = runs.metric.position
    if read is not None:
        differs[:, read + 1 :] = False
        is_last = start.layer == runs.extent.n_layers - 1
        if is_last and start.site != "resid_pre":
            differs[:, :read] = False
    return [int(row.argmax()) if bool(row.any()) else None for row in differs.int()]


def _resumed(
    runs: Runs, nodes: list[Node], start: Change
) -> Iterator[tuple[Effect, ...]]:
    """Go on from changed streams `[n, B, T - first, d]`, and read the metric."""
    decoder = cast("Decoder", runs.engine)
    first = runs.base_tokens.shape[1] - start.stream.shape[2]
    past, read = Past(first, runs.base.values), runs.metric.position
    steps = decoder.steps(
        start.stream.flatten(0, 1), start.layer, start.site, past=past, read=read
    )
    stream = start.stream
    for stream in _layers(steps):  # noqa: B007 - the last one is read
        yield ()
    with computing():
        if read is None:
            stream = past.before("resid_post", len(decoder.weights.layers) - 1, stream)
        readout = StreamReadout(decoder.weights, stream, read or 0)
        values = runs.metric.values(readout, len(nodes))
        answers = runs.metric.answers(readout, len(nodes))
        found = effects_of(runs, nodes, values, answers)
    yield found


def _layers(steps: Iterator[Tensor]) -> Iterator[Tensor]:
    """Layer by layer; our grad mode is on only while a layer is computed."""
    while True:
        with computing():
            stream = next(steps, None)
        if stream is None:
            return
        yield stream
