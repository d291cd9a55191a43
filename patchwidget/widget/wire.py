"""A study and its results in the form in which they travel to the page.

Floats that may be missing travel as bytes: JSON turns NaN into a string on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from patchwidget.effects import Effect
from patchwidget.spread import DRAWS, LEVEL, spread
from patchwidget.study import PatchStudy
from patchwidget.widget.estimates import LABELS, SHOWN_KINDS, Estimate, Estimates

Record = dict[str, Any]


def study_record(study: PatchStudy, estimates: Estimates) -> Record:
    """What is being studied: the `study` trait."""
    clean, corrupted = study.baselines
    extent = study.extent
    return {
        "model": study.model_name,
        "n_layers": extent.n_layers,
        "n_heads": extent.n_heads,
        "n_kv_heads": extent.n_kv_heads,
        "n_pos": extent.n_pos,
        "direction": study.direction,
        "directions": list(study.directions),
        "methods": [
            {"name": name, "label": LABELS[name], "kinds": kinds}
            for name, kinds in estimates.methods.items()
        ],
        "metric": {
            "name": study.metric,
            "clean": clean.tolist(),
            "corrupted": corrupted.tolist(),
        },
        "scale": study.scale,
        "interval": {"level": LEVEL, "draws": DRAWS},
        "pairs": _pair_records(study),
        "labels": study.pairs.labels,
        "answer_position": study.pairs.position,
        "notice": _notice(study),
    }


def _notice(study: PatchStudy) -> str | None:
    """What the reader has to know: the slower way, and maps that are missing."""
    obstacles = [study.obstacle(kind) for kind in SHOWN_KINDS]
    lines = [study.notice, *dict.fromkeys(obstacles)]
    return " ".join(line for line in lines if line) or None


def _pair_records(study: PatchStudy) -> list[Record]:
    nothing: tuple[list[str], ...] = tuple([] for _ in study.pairs.text)
    answers = study.pairs.answer_text or nothing
    return [
        {"clean": clean, "corrupted": corrupted, "answers": list(row)}
        for (clean, corrupted), row in zip(study.pairs.text, answers, strict=True)
    ]


def grid_record(found: Estimate) -> Record:
    """One map: mean effects `[*axes]` as float32, and how the pairs are spread."""
    return {
        "kind": found.kind,
        "by": found.by,
        "method": found.method,
        "signed": found.signed,
        "axes": list(found.axes),
        "shape": list(found.mean.shape),
        "data": to_bytes(found.mean),
        "spread": None if found.spread is None else to_bytes(found.spread),
        "cost": None if found.cost is None else asdict(found.cost),
    }


def mine_records(mine: Mapping[str, Tensor]) -> dict[str, Record]:
    """Somebody's own maps by kind: the `mine` trait; NaN is no value."""
    return {
        kind: {"shape": list(values.shape), "data": to_bytes(values)}
        for kind, values in mine.items()
    }


def effect_records(
    effects: Sequence[Effect], estimates: Sequence[float]
) -> list[Record]:
    """Verified nodes: entries of the `verified` trait."""
    if not effects:
        return []
    shown = torch.stack([effect.shown(effect.raw) for effect in effects], dim=1)
    found = spread(shown)
    intervals = [None] * len(effects) if found is None else found[2:].T.tolist()
    return [
        {
            "estimate": estimate if isfinite(estimate) else None,
            "exact": float(one.mean()),
            "raw": float(effect.raw.mean()),
            "per_pair": one.tolist(),
            "halves": _halves(effect),
            "interval": interval,
        }
        for effect, estimate, one, interval in zip(
            effects, estimates, shown.T, intervals, strict=True
        )
    ]


def _halves(effect: Effect) -> list[float] | None:
    if effect.halves is None:
        return None
    return [float(effect.shown(half).mean()) for half in effect.halves]


def to_bytes(values: Tensor) -> bytes:
    """Values as float32 in C order."""
    data: bytes = values.detach().float().cpu().contiguous().numpy().tobytes()
    return data
