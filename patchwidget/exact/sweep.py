"""Patched runs on the decoder: change the stream, resume, read the metrics.

A sweep is a generator: each step is one layer of one batch of patches, and closing it at
any step keeps all that was finished. A patch of one node starts at what its layer writes;
a patch of several runs its layers with the nodes replaced as the run comes by them.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from itertools import chain
from typing import cast

from torch import Tensor

from patchwidget.changes import Change, change
from patchwidget.decoder import Decoder, Packed, Past, StreamReadout
from patchwidget.exact.batches import Batch, Start, batches, start_of
from patchwidget.exact.portions import portions
from patchwidget.exact.replace import replacement
from patchwidget.exact.swap import Patch, Reading, Swap, readings_of
from patchwidget.logits import NotComputedError
from patchwidget.runs import computing

Found = tuple[Reading, ...]


def sweep(swap: Swap, patches: Sequence[Patch]) -> Iterator[Found]:
    """Readings of patched runs, in the order of the model's layers.

    Raises:
        ValueError: if a metric is not finite in a run, which is named; if the budget is
            too small for one patch.
        RuntimeError: if a metric raises.
    """
    moving: dict[Start, list[Patch]] = defaultdict(list)
    for some in portions(patches):
        with computing():
            firsts = [swap.reaching(patch) for patch in some]
        for patch, first in zip(some, firsts, strict=True):
            if first is not None:
                moving[start_of(patch, first)].append(patch)
        idle = zip(some, firsts, strict=True)
        yield tuple(swap.untouched(patch) for patch, first in idle if first is None)
    waiting, at_most = batches(swap, moving), len(patches)
    while (batch := next(waiting, None)) is not None:
        if len(batch.patches) > at_most:
            waiting = chain(batch.pieces(at_most), waiting)
            continue
        try:
            yield from _run(swap, batch)
        except RuntimeError as error:
            if len(batch.patches) == 1 or not _is_out_of_memory(error):
                raise
            at_most = len(batch.patches) // 2
            _say_less(len(batch.patches))
            waiting = chain([batch], waiting)


def _say_less(n_patches: int) -> None:
    warnings.warn(
        f"memory did not suffice for {n_patches} patches at once: going on with half as "
        "many. A smaller budget=... avoids the attempt",
        RuntimeWarning,
        stacklevel=2,
    )


def _is_out_of_memory(error: RuntimeError) -> bool:
    # Also inside a user's metric, which unembeds; a processor's allocator and Apple's
    # have no error class of their own.
    words = ("allocate memory", "out of memory", "OutOfMemoryError", "ALLOC_FAILED")
    return any(one in str(error) for one in words)


def _run(swap: Swap, batch: Batch) -> Iterator[Found]:
    """Nothing is found while layers go by, then all of it."""
    try:
        found = yield from _read(swap, batch, swap.read)
    except NotComputedError:
        # A metric that reads other positions than it did so far.
        found = yield from _read(swap, batch, None)
    yield found


def _read(swap: Swap, batch: Batch, read: int | None) -> Generator[Found, None, Found]:
    """Readings of a batch in which the metrics read one position, or any."""
    if len(batch.patches[0]) > 1:
        return (yield from _read_sets(swap, batch, read))
    decoder = cast("Decoder", swap.engine)  # `exact.readings` has chosen this file
    with computing():
        nodes = [patch[0] for patch in batch.patches]
        start = change(
            decoder.weights, swap.base.values, swap.values, nodes, batch.first
        )
        matters = _matters(swap, start, read)
    still = [p for p, one in zip(batch.patches, matters, strict=True) if not one]
    found = tuple(swap.untouched(patch) for patch in still)
    kept = [i for i, one in enumerate(matters) if one]
    if not kept:
        return found
    starts = [batch.starts[i] for i in kept]
    with computing():
        packed = Packed.of(decoder.weights, swap.base.values, starts, read)
        stream = start.stream if not still else start.stream[kept]
        steps = packed.steps(packed.pack(stream), start.layer, start.site)
    last = yield from _layers(steps)
    with computing():
        patches = [batch.patches[i] for i in kept]
        return found + _readings(swap, patches, packed.final(last), read)


def _matters(swap: Swap, start: Change, read: int | None) -> list[bool]:
    """Which copies differ from the base run where it can reach what is read.

    What comes after the position that is read does not reach it, and where nothing mixes
    positions any more, neither does any other.
    """
    base = swap.base.values[start.site, start.layer][:, start.first :]
    differs = (start.stream != base).any(-1).any(1)
    if read is not None:
        differs[:, max(0, read + 1 - start.first) :] = False
        decoder = cast("Decoder", swap.engine)
        is_last = start.layer == len(decoder.weights.layers) - 1
        if is_last and start.site != "resid_pre":
            differs[:, : max(0, read - start.first)] = False
    found: list[bool] = differs.any(1).tolist()
    return found


def _read_sets(
    swap: Swap, batch: Batch, read: int | None
) -> Generator[Found, None, Found]:
    """Readings of runs in which several nodes are replaced as the run comes by them."""
    decoder, copies = cast("Decoder", swap.engine), len(batch.patches)
    layer = min(node.layer for patch in batch.patches for node in patch)
    past = Past(batch.first, swap.base.values)
    with computing():
        before = swap.base.values["resid_pre", layer][:, batch.first :]
        stream = before.repeat(copies, 1, 1)
        tap = replacement(swap, batch, read)
    steps = decoder.steps(stream, layer, "resid_pre", tap, past=past, read=read)
    last = yield from _layers(steps)
    with computing():
        if read is None:
            last = past.before("resid_post", len(decoder.weights.layers) - 1, last)
        return _readings(swap, batch.patches, last, read)


def _readings(
    swap: Swap, patches: list[Patch], stream: Tensor, read: int | None
) -> Found:
    decoder = cast("Decoder", swap.engine)
    readout = StreamReadout(decoder.weights, stream, swap.n_pos, read)
    return tuple(readings_of(swap.metrics, patches, readout))


def _layers(steps: Iterator[Tensor]) -> Generator[Found, None, Tensor]:
    """Layer by layer to the last; our grad mode is on only while a layer is computed."""
    last: Tensor | None = None
    while True:
        with computing():
            stream = next(steps, None)
        if stream is None:
            return cast("Tensor", last)
        last = stream
        yield ()
