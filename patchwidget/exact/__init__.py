"""Exact effects: the patch is really run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from patchwidget.exact.hook_loop import hook_loop
from patchwidget.exact.progress import Progress
from patchwidget.exact.sweep import sweep
from patchwidget.hooks import HookedModel
from patchwidget.nodes import Node
from patchwidget.runs import Runs

__all__ = ["Progress", "hook_loop", "steps", "sweep"]


def steps(runs: Runs, nodes: Sequence[Node]) -> Iterator[Progress]:
    """Exact effects of `nodes` by whatever engine the runs were made with.

    Raises:
        ValueError: if the model has no such kind.
    """
    if isinstance(runs.engine, HookedModel):
        return hook_loop(runs, nodes, runs.engine)
    for kind in dict.fromkeys(node.kind for node in nodes):
        runs.require(kind)
    return sweep(runs, nodes)
