"""GPT-2 small's grids on indirect objects, as TransformerLens' demos printed them.

Exact patches and plain AtP of the same 8 prompts, denoising, each number a mean over the
prompts: per-prompt values were not printed. `data/gpt2_ioi_published.json` says where they
are from.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch

from patchwidget.estimate.first_order import ONE_BACKWARD
from patchwidget.grids import Grid

PATH = Path(__file__).parent / "data" / "gpt2_ioi_published.json"
HEADS = 12


def published():
    """The file."""
    return json.loads(PATH.read_text("utf-8"))


def grids(side):
    """Grids by the name of their list, of `"exact"` or of `"atp"`."""
    found = (_grid(key, rows) for key, rows in published()[side].items())
    return {
        (grid.kind, grid.by): replace(grid, method=side, cost=_cost(side))
        for grid in found
    }


def _cost(side):
    return ONE_BACKWARD if side == "atp" else None


def _grid(key, rows):
    """A grid from rows by layer, or by layer and head."""
    name, axes = key.removesuffix("]").split("[")
    values = torch.tensor(rows, dtype=torch.float64)
    if not name.startswith("head_"):
        return Grid.from_tensor(name, values)
    kind = name.removeprefix("head_").split("_")[0]
    if axes == "layer,head":
        return Grid.from_tensor(kind, values)
    values = values.unflatten(0, (-1, HEADS))  # layer, head, pos
    if kind == "pattern":
        return Grid.from_tensor(kind, values, by="dest")
    return Grid.from_tensor(kind, values.transpose(1, 2), by="pos")


def effects(lists):
    """Exact effects of the nodes of some lists that can have one.

    That is those for which not both numbers were printed as 0: before the one token in
    which the prompts differ, and beside it in the first layer, all of them were.
    """
    exact, estimates = grids("exact"), grids("atp")
    return {
        node: float(exact[name][node])
        for name in lists
        for node in exact[name].nodes()
        if exact[name][node] or estimates[name][node]
    }
