"""Sweeps by head: outputs, queries, keys, values and patterns."""

from __future__ import annotations

from typing import Any

from patchwidget.exercises.cases import Case, chapter_case, short_case
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

_WHOLE: Axes = ("layer", "head")
_BY_POS: Axes = ("layer", "pos", "head")
_SITES = ("z", "q", "k", "v", "pattern")


def check_get_act_patch_attn_head_out_all_pos(
    function: Any, *, seconds: float | None = None
) -> Verdict:
    """Check a sweep over the outputs of heads, each at all positions.

    Args:
        function: `(model, corrupted_tokens, clean_cache, patching_metric)
            -> [layer, head]`, patching `attn.hook_z`.
        seconds: how long one call may take; by default many times what is needed.

    Example:
        >>> from patchwidget import exercises, patching
        >>> bool(exercises.check_get_act_patch_attn_head_out_all_pos(
        ...     patching.get_act_patch_attn_head_out_all_pos
        ... ))
        True
    """
    exercise = _one("get_act_patch_attn_head_out_all_pos", _WHOLE)
    return checked(exercise, function, seconds=seconds)


def check_get_act_patch_attn_head_out_by_pos(
    function: Any, *, seconds: float | None = None
) -> Verdict:
    """Check a sweep over the outputs of heads at single positions.

    Args:
        function: `(model, corrupted_tokens, clean_cache, patching_metric)
            -> [layer, pos, head]`, patching `attn.hook_z`.
        seconds: how long one call may take; by default many times what is needed.

    Example:
        >>> from patchwidget import exercises, patching
        >>> bool(exercises.check_get_act_patch_attn_head_out_by_pos(
        ...     patching.get_act_patch_attn_head_out_by_pos
        ... ))
        True
    """
    exercise = _one("get_act_patch_attn_head_out_by_pos", _BY_POS)
    return checked(exercise, function, seconds=seconds)


def check_get_act_patch_attn_head_all_pos_every(
    function: Any, *, seconds: float | None = None
) -> Verdict:
    """Check five sweeps over heads: output, query, key, value and pattern.

    Args:
        function: `(model, corrupted_tokens, clean_cache, patching_metric)
            -> [5, layer, head]`, in that order.
        seconds: how long one call may take; by default many times what is needed.

    Example:
        >>> from patchwidget import exercises, patching
        >>> bool(exercises.check_get_act_patch_attn_head_all_pos_every(
        ...     patching.get_act_patch_attn_head_all_pos_every
        ... ))
        True
    """
    slices = {site: (site, head_mistakes(site, _WHOLE)) for site in _SITES}
    exercise = every_exercise(
        "get_act_patch_attn_head_all_pos_every",
        Every(_WHOLE, slices),
        "Five maps of the same heads tell what of a head matters.",
    )
    return checked(exercise, function, seconds=seconds)


def check_get_act_patch_attn_head_by_pos_every(
    function: Any, *, seconds: float | None = None
) -> Verdict:
    """Check five sweeps over heads at single positions; patterns by destination.

    Its last case is shorter than the chapter's, and it still runs hundreds of patches:
    expect it to take some seconds.

    Args:
        function: `(model, corrupted_tokens, clean_cache, patching_metric)
            -> [5, layer, pos, head]`: output, query, key, value and pattern.
        seconds: how long one call may take; by default many times what is needed.

    Example:
        >>> from patchwidget import exercises, patching
        >>> bool(exercises.check_get_act_patch_attn_head_by_pos_every(
        ...     patching.get_act_patch_attn_head_by_pos_every
        ... ))
        True
    """
    slices = {site: (site, head_mistakes(site, _BY_POS)) for site in _SITES}
    exercise = every_exercise(
        "get_act_patch_attn_head_by_pos_every",
        Every(_BY_POS, slices),
        "Five maps of the same heads, position by position.",
        last=short_case,
    )
    return checked(exercise, function, seconds=seconds)


def _one(name: str, axes: Axes) -> Exercise[Tried]:
    right = turned("z", axes, Turn())
    return Exercise(
        name,
        lambda: sweep_trials(
            right, axes, last=short_case if "pos" in axes else chapter_case
        ),
        [
            *order_mistakes(right, axes),
            *head_mistakes("z", axes),
            *result_mistakes(right, axes),
        ],
        "Each cell is one run with one head's output replaced.",
        f"For every {', '.join(axes)}: run corrupted_tokens with one hook on attn.hook_z "
        "of that layer, in which that head's vector is the clean cache's.",
    )


def head_mistakes(site: str, axes: Axes) -> list[Mistake[Tried]]:
    """Mistakes of a sweep over one activation of heads."""
    mistakes = [
        *patch_mistakes(site, axes),
        moved(
            "head_later",
            "Off by one head: the patch is at head + 1.",
            site,
            axes,
            _next_head,
        ),
        moved(
            "head_earlier",
            "Off by one head: the patch is at head - 1.",
            site,
            axes,
            _head_before,
        ),
        *_misplaced_heads(site, axes),
        *(
            elsewhere(
                f"{other}_instead",
                f"You patched {other}, not {site}: look at the hook's name.",
                site,
                axes,
                other,
            )
            for other in _SITES
            if other != site
        ),
        elsewhere(
            "attn_out_instead",
            "You patched attn_out, the sum of all heads of the layer: single heads are "
            "in attn.hook_z.",
            site,
            axes,
            "attn_out",
        ),
        Mistake(
            "attn_out_instead",
            "You patched coordinates of attn_out, [batch, pos, d_model]: it has no axis of "
            "heads. Single heads are in attn.hook_z.",
            turned(site, axes, Turn(site="attn_out", place=_coordinate)),
        ),
    ]
    return [*(_by_pos(site) if "pos" in axes else [_last_pos_only(site)]), *mistakes]


def _last_pos_only(site: str) -> Mistake[Tried]:
    return misplaced(
        "last_pos_only",
        "You patched the last position only: here a head is replaced at all positions.",
        site,
        _WHOLE,
        _at_end_of_pattern if site == "pattern" else _at_end,
    )


def _misplaced_heads(site: str, axes: Axes) -> list[Mistake[Tried]]:
    shape = (
        "[batch, head, dest, src]"
        if site == "pattern"
        else "[batch, pos, head, d_head]"
    )
    wrong = (
        ("head_on_second_axis", _second)
        if site != "pattern"
        else ("head_on_third_axis", _third)
    )
    return [
        misplaced(
            wrong[0],
            f"The head indexes the wrong axis: {site} is {shape}, and you patched one "
            "position of all heads.",
            site,
            axes,
            wrong[1],
        ),
        misplaced(
            "head_on_last_axis",
            f"The head indexes the last axis: {site} is {shape}.",
            site,
            axes,
            _last,
        ),
    ]


def _by_pos(site: str) -> list[Mistake[Tried]]:
    mistakes = [
        moved(
            "all_heads_at_pos",
            "You patched position p in all heads: a cell is one head at one position.",
            site,
            _BY_POS,
            _any_head,
        ),
        moved(
            "all_positions",
            "You patched all positions of the head instead of one.",
            site,
            _BY_POS,
            _any_pos,
        ),
    ]
    if site == "pattern":
        mistakes.append(
            misplaced(
                "pattern_by_source",
                "You patched what is attended *to* (the last axis): by position, a "
                "pattern's position is the destination, [batch, head, dest, src].",
                site,
                _BY_POS,
                _source_column,
            )
        )
    return mistakes


_EVERY = slice(None)


def _next_head(cell: Cell, case: Case) -> Cell:
    return cell._replace(head=(cell.head + 1) % case.size("head"))


def _head_before(cell: Cell, case: Case) -> Cell:
    return cell._replace(head=(cell.head - 1) % case.size("head"))


def _any_head(cell: Cell, _case: Case) -> Cell:
    return cell._replace(head=None)


def _any_pos(cell: Cell, _case: Case) -> Cell:
    return cell._replace(pos=None)


def _second(_site: str, cell: Cell) -> Index:
    return _EVERY, cell.head


def _coordinate(_site: str, cell: Cell) -> Index:
    return _EVERY, _EVERY if cell.pos is None else cell.pos, cell.head


def _third(_site: str, cell: Cell) -> Index:
    return _EVERY, _EVERY, cell.head


def _last(_site: str, cell: Cell) -> Index:
    return ..., cell.head


def _at_end(_site: str, cell: Cell) -> Index:
    return _EVERY, -1, cell.head


def _at_end_of_pattern(_site: str, cell: Cell) -> Index:
    return _EVERY, cell.head, -1


def _source_column(_site: str, cell: Cell) -> Index:
    return _EVERY, cell.head, _EVERY, cell.pos
