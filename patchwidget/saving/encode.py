"""From what is saved of a study to a record and tensors; `decode` is the way back.

Texts and settings are in the record, all numbers of which there may be many in tensors:
`denoising.grid.0 [B, *axes]`, `denoising.raw.0 [patches, B]` (for the first metric),
`denoising.halves.0 [2, patches, B]`, `denoising.nodes [N, 6]` and
`denoising.sizes [patches]` (the nodes of each patch), `clean [B, T]` and so on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from patchwidget.attention import Attention
from patchwidget.effects import Effect
from patchwidget.estimate import Asked
from patchwidget.exact import Patch
from patchwidget.grids import Grid
from patchwidget.nodes import KINDS, Node
from patchwidget.pairs import TokenPairs
from patchwidget.saving.container import Record
from patchwidget.saving.contents import Contents, SavedSource, Side

NODE_PARTS = ("layer", "head", "pos", "src", "neuron")
PRECISIONS = {
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
    torch.float32: "float32",
    torch.float64: "float64",
}
PATTERNS = ("clean", "corrupted")
NORMS = ("clean_norms", "corrupted_norms")
ByName = dict[str, Tensor]


def encode(contents: Contents) -> tuple[Record, ByName]:
    """A record and tensors that say all of it."""
    tensors: ByName = {}
    record = {
        "pairs": _pairs(contents.pairs, tensors),
        "extent": asdict(contents.extent),
        "metrics": [{"name": k, "means": v} for k, v in contents.metrics.items()],
        "source": _source(contents.source, tensors),
        "has_unit": contents.has_unit,
        "kinds": list(KINDS),  # what the numbers in `nodes` mean
        "sides": [_side(side, contents, tensors) for side in contents.sides],
        "attention": _attention(contents.attention, tensors),
        "moving": list(contents.moving),
        "obstacles": dict(contents.obstacles),
        "notice": contents.notice,
        "model": {**asdict(contents.model), "config": dict(contents.model.config)},
        "provenance": dict(contents.provenance),
    }
    for kind, can_move in contents.moving.items():
        tensors[f"moving.{kind}"] = can_move
    return record, tensors


def _pairs(pairs: TokenPairs, tensors: ByName) -> Record:
    tensors["clean"], tensors["corrupted"] = pairs.clean, pairs.corrupted
    if pairs.answers is not None:
        tensors["answers"] = pairs.answers
    return {
        "labels": pairs.labels,
        "position": pairs.position,
        "text": [
            {"clean": clean, "corrupted": corrupted} for clean, corrupted in pairs.text
        ],
        "answers": [{"text": row} for row in pairs.answer_text],
    }


def _source(source: SavedSource | None, tensors: ByName) -> Record | None:
    if source is None:
        return None
    if source.prompts is not None:
        tensors["source"] = source.prompts
    named = {"name": source.name, "is_own": source.is_own}
    return {**named, "seed": source.seed, "sigma": source.sigma}


def _attention(found: Attention | None, tensors: ByName) -> list[Record]:
    if found is None:
        return []
    for name in (*PATTERNS, *NORMS):
        tensors[f"attention.{name}"] = getattr(found, name)
    return [{"layer": layer, "head": head} for layer, head in found.heads]


def _side(side: Side, contents: Contents, tensors: ByName) -> Record:
    prefix = side.direction
    for number, name in enumerate(contents.metrics):
        scale = side.scales[name]
        tensors[f"{prefix}.base.{number}"] = scale.base
        tensors[f"{prefix}.source.{number}"] = scale.source
        effects = list(side.effects[name].values())
        if effects:
            _effects(effects, f"{prefix}.{{}}.{number}", tensors)
    patches = side.effects[next(iter(contents.metrics))]
    sizes = [len(patch) for patch in patches]
    tensors[f"{prefix}.nodes"] = _nodes(patches)
    tensors[f"{prefix}.sizes"] = torch.tensor(sizes, dtype=torch.int32)
    grids = enumerate(side.grids.items())
    dtype = side.scales[next(iter(contents.metrics))].dtype
    return {
        "direction": side.direction,
        "dtype": None if dtype is None else PRECISIONS[dtype],
        "grids": [
            _grid(asked, grid, f"{prefix}.grid.{i}", tensors)
            for i, (asked, grid) in grids
        ],
    }


def _effects(effects: list[Effect], name: str, tensors: ByName) -> None:
    tensors[name.format("raw")] = torch.stack([one.raw for one in effects])
    halves = [one.halves for one in effects if one.halves is not None]
    if halves:  # one reading of the metric gives them, so all have them
        columns = zip(*halves, strict=True)
        both = [torch.stack(list(half)) for half in columns]
        tensors[name.format("halves")] = torch.stack(both)


def _nodes(patches: Iterable[Patch]) -> Tensor:
    rows = [_numbers(node) for patch in patches for node in patch]
    return torch.tensor(rows, dtype=torch.int32).reshape(-1, 1 + len(NODE_PARTS))


def _numbers(node: Node) -> list[int]:
    parts = (getattr(node, name) for name in NODE_PARTS)
    return [KINDS.index(node.kind), *(-1 if part is None else part for part in parts)]


def _grid(asked: Asked, grid: Grid, name: str, tensors: ByName) -> dict[str, Any]:
    tensors[name] = grid.raw
    cost = None if grid.cost is None else asdict(grid.cost)
    return {**asdict(asked), "signed": grid.signed, "cost": cost}
