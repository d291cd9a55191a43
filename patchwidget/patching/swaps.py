"""From what a user gives TransformerLens to runs of the exact engine."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from patchwidget.decoder import Decoder, model_class
from patchwidget.engines import captured_runs, refuse_dropout, refuse_split
from patchwidget.exact import Progress, Swap, readings, readings_of
from patchwidget.exact.bar import exhaust
from patchwidget.exact.cost import Pace
from patchwidget.hooks import HookedModel, hook_name
from patchwidget.nodes import Node
from patchwidget.patching.asked import Asked
from patchwidget.patching.cache import CacheValues
from patchwidget.runs import Activations, Capture, Engine, computing

# From `make_swap` up to the user's own line: what makes it, the call's form, the function.
_TO_THE_USER = 4


def make_swap(
    model: Any, tokens: Tensor, cache: Any, asked: Asked, kinds: Collection[str]
) -> Swap:
    """A cache's values, to be put into the run of the corrupted tokens.

    Raises:
        TypeError: if the model is not one of TransformerLens', or the tokens no tensor.
        ValueError: if the model drops at random or lies on several devices, the tokens do
            not fit it, it lacks a kind, or a value or metric of the unpatched run is not
            finite.
        RuntimeError: if a metric raises on the unpatched run.
    """
    model_class(model)
    refuse_dropout(model)
    refuse_split(model)
    with computing():
        tokens = _checked_tokens(model, tokens)
        engine, runs, notice = captured_runs(model, {"corrupted": tokens})
        base = runs["corrupted"]
        for kind in kinds:
            _require(engine, base, tokens, kind)
        own: Activations = {}
        if isinstance(engine, Decoder):
            own = _own_values(model, tokens, kinds)
        metrics = asked.metrics(len(tokens))
        unpatched = readings_of(metrics, [()], base.readout)[0]
    if notice is not None:
        warnings.warn(notice, RuntimeWarning, stacklevel=_TO_THE_USER)
    values = CacheValues(cache, base.values, own)
    return Swap(engine, tokens, base, values, metrics, unpatched)


def _checked_tokens(model: Any, tokens: Tensor) -> Tensor:
    """Tokens `[B, T]` on the model's device; `[T]` is one prompt, as for the model."""
    if not isinstance(tokens, Tensor):
        raise TypeError(
            f"corrupted_tokens must be a tensor [batch, pos], got {tokens!r}"
        )
    ids = tokens[None] if tokens.dim() == 1 else tokens
    if ids.dim() != 2 or ids.is_floating_point() or not ids.numel():
        raise ValueError(
            "corrupted_tokens must be token ids [batch, pos], got "
            f"{tokens.dtype} {list(tokens.shape)}"
        )
    cfg = model.cfg
    n_ctx = getattr(cfg, "n_ctx", None)
    if n_ctx is not None and ids.shape[1] > n_ctx:
        raise ValueError(
            f"corrupted_tokens hold {ids.shape[1]} tokens a prompt, the model takes {n_ctx}"
        )
    outside = ids[(ids < 0) | (ids >= cfg.d_vocab)]
    if len(outside):
        raise ValueError(
            f"token {int(outside[0])} is not in a vocabulary of {cfg.d_vocab}"
        )
    return ids.to(device=next(model.parameters()).device, dtype=torch.long)


def _require(engine: Engine, base: Capture, tokens: Tensor, kind: str) -> None:
    if isinstance(engine, HookedModel):
        engine.require(kind, tokens)
    elif (kind, 0) not in base.values:
        raise ValueError(
            f"there is no {kind} in this model: its blocks have no MLP, or run it beside "
            f"attention. TransformerLens has no {hook_name(kind, 0)} there either, and "
            "raises a KeyError"
        )


def _own_values(model: Any, tokens: Tensor, kinds: Collection[str]) -> Activations:
    """The corrupted run's values as the model rounds them, where it has a hook.

    A cache comes from the model, and our run rounds otherwise: only held against the
    model's own run does it show where it holds nothing new, such as all positions before
    the prompts differ.
    """
    own: Activations = {}

    def keep(kind: str, layer: int, value: Tensor) -> Tensor:
        own[kind, layer] = value.clone()
        return value

    hooked = HookedModel(model)
    hooked.run(tokens, keep, at=[place for place in hooked.places if place[0] in kinds])
    return own


def run(model: Any, swap: Swap, nodes: Sequence[Node], label: str) -> Tensor:
    """Metrics with each node patched, `[metric, node, B]`, or 1 for B of scalar metrics.

    A bar shows how far it has come. The result lies where TransformerLens puts its own:
    on the model's device, in torch's default dtype.

    Raises:
        KeyError, TypeError: if the cache lacks a value, or holds no tensor.
        ValueError: if a cached shape does not fit, or a metric is not finite in a run.
        RuntimeError: if a metric raises.
    """
    unpatched = stacked(swap)
    found = torch.zeros(
        len(unpatched), len(nodes), unpatched.shape[-1], device=model.cfg.device
    )
    exhaust(_fill(found, swap, nodes), label)
    return found


def stacked(swap: Swap) -> Tensor:
    """Metrics of the unpatched run, `[metric, B]`, or 1 for B of scalar metrics."""
    return torch.stack([swap.unpatched.values[name] for name in swap.metrics])


def _fill(found: Tensor, swap: Swap, nodes: Sequence[Node]) -> Iterator[Progress]:
    columns: dict[Node, list[int]] = defaultdict(list)
    for column, node in enumerate(nodes):
        columns[node].append(column)
    patches = [(node,) for node in columns]
    clock, done = Pace().start(swap), 0
    clock.expect(patches)
    for finished in readings(swap, patches):
        for reading in finished:
            for row, name in enumerate(swap.metrics):
                found[row, columns[reading.patch[0]]] = reading.values[name].to(found)
        done += len(finished)
        clock.finish([reading.patch for reading in finished])
        yield Progress(done, len(patches), work=clock.work)
