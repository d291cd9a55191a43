"""A study and its results in the form in which they travel to the page.

Floats that may be missing travel as bytes: JSON turns NaN into a string on the way.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

from torch import Tensor

from patchwidget.effects import Effect
from patchwidget.grids import Grid
from patchwidget.nodes import Node
from patchwidget.study import PatchStudy

Record = dict[str, Any]


def study_record(study: PatchStudy) -> Record:
    """What is being studied: the `study` trait."""
    clean, corrupted = study.baselines
    extent = study.extent
    return {
        "model": str(getattr(study.model.cfg, "model_name", None) or "model"),
        "n_layers": extent.n_layers,
        "n_heads": extent.n_heads,
        "n_kv_heads": extent.n_kv_heads,
        "n_pos": extent.n_pos,
        "direction": study.direction,
        "metric": {
            "name": study.metric,
            "clean": clean.tolist(),
            "corrupted": corrupted.tolist(),
        },
        "scale": study.scale,
        "pairs": _pair_records(study),
        "labels": study.pairs.labels,
        "answer_position": study.pairs.position,
    }


def _pair_records(study: PatchStudy) -> list[Record]:
    nothing: tuple[list[str], ...] = tuple([] for _ in study.pairs.text)
    answers = study.pairs.answer_text or nothing
    return [
        {"clean": clean, "corrupted": corrupted, "answers": list(row)}
        for (clean, corrupted), row in zip(study.pairs.text, answers, strict=True)
    ]


def grid_record(grid: Grid) -> Record:
    """One grid of mean effects, `[*axes]` as float32; raw changes without a scale."""
    values = grid.shown.mean(0)
    return {
        "kind": grid.kind,
        "by": grid.by,
        "method": grid.method,
        "axes": list(grid.axes),
        "shape": list(values.shape),
        "data": to_bytes(values),
    }


def shown_value(grid: Grid, node: Node) -> float:
    """The number of one node's cell."""
    cell: tuple[Any, ...] = (slice(None), *node.cell)
    return float(grid.shown[cell].mean())


def effect_record(effect: Effect, estimate: float | None) -> Record:
    """One verified node: an entry of the `verified` trait."""
    shown = effect.shown
    halves = None
    if effect.halves is not None:
        halves = [float(shown(half).mean()) for half in effect.halves]
    return {
        "estimate": None if estimate is None or not isfinite(estimate) else estimate,
        "exact": float(shown(effect.raw).mean()),
        "raw": float(effect.raw.mean()),
        "per_pair": shown(effect.raw).tolist(),
        "halves": halves,
    }


def to_bytes(values: Tensor) -> bytes:
    """Values as float32 in C order."""
    data: bytes = values.detach().float().cpu().contiguous().numpy().tobytes()
    return data
