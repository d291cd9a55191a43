"""Exact effects: the patch is really run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from patchwidget.exact.hook_loop import hook_loop
from patchwidget.exact.progress import Progress
from patchwidget.exact.sweep import sweep
from patchwidget.hooks import HookedModel
from patchwidget.nodes import Node, kind_name
from patchwidget.runs import Runs

__all__ = ["Progress", "hook_loop", "require", "steps", "sweep"]


def require(runs: Runs, kind: str) -> None:
    """Make sure that a kind can be patched in this model.

    Raises:
        ValueError: if there is no such kind, or its hook does not act.
    """
    kind = kind_name(kind)
    if isinstance(runs.engine, HookedModel):
        runs.engine.require(kind, runs.base_tokens)
    elif (kind, 0) not in runs.base.values:
        raise ValueError(
            f"there is no {kind} in this model: its blocks have no MLP, or run it beside "
            "attention"
        )


def steps(runs: Runs, nodes: Sequence[Node]) -> Iterator[Progress]:
    """Exact effects of `nodes` by whatever engine the runs were made with.

    Raises:
        ValueError: if the model has no such kind.
    """
    if isinstance(runs.engine, HookedModel):
        return hook_loop(runs, nodes, runs.engine)
    for kind in dict.fromkeys(node.kind for node in nodes):
        require(runs, kind)
    return sweep(runs, nodes)
