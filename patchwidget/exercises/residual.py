"""Sweeps by layer and position: the residual stream, and what blocks write to it."""

from __future__ import annotations

from typing import Any

from patchwidget.exercises.cases import Case
from patchwidget.exercises.checker import Exercise, checked
from patchwidget.exercises.every import Every, every_exercise
from patchwidget.exercises.mistakes import Mistake
from patchwidget.exercises.oracle import Cell, Index, Turn
from patchwidget.exercises.sweep_mistakes import (
    elsewhere,
    misplaced,
    moved,
    order_mistakes,
    patch_mistakes,
    result_mistakes,
)
from patchwidget.exercises.sweeps import Axes, Tried, sweep_trials, turned
from patchwidget.exercises.verdict import Verdict

_AXES: Axes = ("layer", "pos")
_BLOCK = ("resid_pre", "attn_out", "mlp_out")


def check_get_act_patch_resid_pre(
    function: Any, *, seconds: float | None = None
) -> Verdict:
    """Check a sweep over the residual stream before every block, by position.

    Args:
        function: `(model, corrupted_tokens, clean_cache, patching_metric) -> [layer, pos]`:
            the metric of the corrupted run with one layer's `hook_resid_pre` at one
            position replaced by the clean run's.
        seconds: how long one call may take; by default many times what is needed.

    Example:
        >>> from patchwidget import exercises, patching
        >>> exercises.check_get_act_patch_resid_pre(patching.get_act_patch_resid_pre)
        get_act_patch_resid_pre, right: Each cell is one run with one position replaced.
    """
    return checked(_resid_pre(), function, seconds=seconds)


def check_get_act_patch_block_every(
    function: Any, *, seconds: float | None = None
) -> Verdict:
    """Check three sweeps in one: `resid_pre`, `attn_out` and `mlp_out`.

    Args:
        function: `(model, corrupted_tokens, clean_cache, patching_metric)
            -> [3, layer, pos]`, in that order.
        seconds: how long one call may take; by default many times what is needed.

    Example:
        >>> from patchwidget import exercises, patching
        >>> bool(exercises.check_get_act_patch_block_every(
        ...     patching.get_act_patch_block_every
        ... ))
        True
    """
    slices = {kind: (kind, stream_mistakes(kind)) for kind in _BLOCK}
    exercise = every_exercise(
        "get_act_patch_block_every",
        Every(_AXES, slices),
        "Three maps of the same runs' parts: the stream, and what is written to it.",
    )
    return checked(exercise, function, seconds=seconds)


def _resid_pre() -> Exercise[Tried]:
    right = turned("resid_pre", _AXES, Turn())
    return Exercise(
        "get_act_patch_resid_pre",
        lambda: sweep_trials(right, _AXES),
        [
            *order_mistakes(right, _AXES),
            *stream_mistakes("resid_pre"),
            *result_mistakes(right, _AXES),
        ],
        "Each cell is one run with one position replaced.",
        "For every cell: run corrupted_tokens with one hook on resid_pre of that layer, "
        "in which position `pos` is the clean cache's, and read patching_metric.",
    )


def stream_mistakes(site: str) -> list[Mistake[Tried]]:
    """Mistakes of a sweep of one activation `[B, T, d_model]` by position."""
    # On a Bridge, a patch of resid_mid may act as one of mlp_out: that comes first.
    others = [kind for kind in (*_BLOCK, "resid_mid") if kind != site]
    return [
        *patch_mistakes(site, _AXES),
        moved(
            "pos_later",
            "Off by one position: the patch is at pos + 1.",
            site,
            _AXES,
            _next_pos,
        ),
        moved(
            "pos_earlier",
            "Off by one position: the patch is at pos - 1, which is the last one for 0.",
            site,
            _AXES,
            _pos_before,
        ),
        misplaced(
            "from_pos_on",
            "You patched this position and all after it: `pos:` is a range, `pos` is one.",
            site,
            _AXES,
            _from_here,
        ),
        misplaced(
            "up_to_pos",
            "You patched this position and all before it: `:pos + 1` is a range, `pos` "
            "is one. (Or the hooks of the positions before stay on.)",
            site,
            _AXES,
            _up_to_here,
        ),
        misplaced(
            "pos_as_feature",
            "The position indexes the wrong axis: activations are [batch, pos, d_model], "
            "and you patched one coordinate of d_model at all positions.",
            site,
            _AXES,
            _as_feature,
        ),
        elsewhere(
            "resid_post",
            "One layer late: you patched resid_post, the stream after the block, which is "
            "resid_pre of the next. (Or resid_mid, which gives the same: the MLP works "
            "position by position.)"
            if site == "resid_pre"
            else f"You patched resid_post (or resid_mid), not {site}.",
            site,
            _AXES,
            "resid_post",
        ),
        *(
            elsewhere(
                f"{other}_instead",
                f"You patched {other}, not {site}: look at the hook's name.",
                site,
                _AXES,
                other,
            )
            for other in others
        ),
    ]


def _next_pos(cell: Cell, case: Case) -> Cell:
    return cell._replace(pos=(cell.pos + 1) % case.size("pos"))


def _pos_before(cell: Cell, case: Case) -> Cell:
    return cell._replace(pos=(cell.pos - 1) % case.size("pos"))


def _from_here(_site: str, cell: Cell) -> Index:
    return slice(None), slice(cell.pos, None)


def _up_to_here(_site: str, cell: Cell) -> Index:
    return slice(None), slice(cell.pos + 1)


def _as_feature(_site: str, cell: Cell) -> Index:
    return slice(None), slice(None), cell.pos
