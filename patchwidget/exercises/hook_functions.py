"""Hook functions: one activation goes in, a patched one comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor

from patchwidget.exercises.cases import all_cases
from patchwidget.exercises.checker import Arguments, Exercise, Trial, checked
from patchwidget.exercises.hook_mistakes import (
    COMMON,
    HEAD,
    HEAD_BY_POS,
    PATTERN,
    STREAM,
    Call,
)
from patchwidget.exercises.oracle import Cell
from patchwidget.exercises.verdict import Verdict

Sizes = tuple[str, ...]


def check_patch_residual_component(
    function: Any, *, seconds: float | None = None
) -> Verdict:
    """Check a hook function that patches one position of the stream (or of what is added).

    Args:
        function: `(corrupted_residual_component [B, T, d_model], hook, pos, clean_cache)
            -> [B, T, d_model]`: with position `pos` from `clean_cache[hook.name]`. To
            change the tensor that it is given is fine; to change the cache is not.
        seconds: how long one call may take.

    Example:
        >>> from patchwidget import exercises
        >>> def patch_residual_component(value, hook, pos, clean_cache):
        ...     value = value.clone()
        ...     value[:, pos] = clean_cache[hook.name][:, pos]
        ...     return value
        >>> exercises.check_patch_residual_component(patch_residual_component)
        patch_residual_component, right: One position is the clean run's, the rest is as it was.
    """
    sites = ("resid_pre", "mlp_out", "attn_out")
    exercise = Exercise(
        "patch_residual_component",
        lambda: _trials(sites, "corrupted_residual_component", ("pos",)),
        [*COMMON, *STREAM],
        "One position is the clean run's, the rest is as it was.",
        "Assign clean_cache[hook.name][:, pos] to [:, pos], and return the tensor.",
    )
    return checked(exercise, function, seconds=seconds)


def check_patch_head_vector(function: Any, *, seconds: float | None = None) -> Verdict:
    """Check a hook function that patches one head's vector at all positions.

    Args:
        function: `(corrupted_head_vector [B, T, H, d_head], hook, head_index, clean_cache)
            -> [B, T, H, d_head]`, for any of q, k, v and z.
        seconds: how long one call may take.

    Example:
        >>> from patchwidget import exercises
        >>> def patch_head_vector(value, hook, head_index, clean_cache):
        ...     value[:, :, head_index] = clean_cache[hook.name][:, :, head_index]
        ...     return value
        >>> bool(exercises.check_patch_head_vector(patch_head_vector))
        True
    """
    exercise = Exercise(
        "patch_head_vector",
        lambda: _trials(("z", "q", "v"), "corrupted_head_vector", ("head",)),
        [*COMMON, *HEAD],
        "One head is the clean run's at all positions, the others are as they were.",
        "Vectors of heads are [batch, pos, head, d_head]: assign [:, :, head_index].",
    )
    return checked(exercise, function, seconds=seconds)


def check_patch_head_vector_by_pos(
    function: Any, *, seconds: float | None = None
) -> Verdict:
    """Check a hook function that patches one head's vector at one position.

    Args:
        function: `(corrupted_head_vector [B, T, H, d_head], hook, head_index, pos,
            clean_cache) -> [B, T, H, d_head]`, for any of q, k, v and z.
        seconds: how long one call may take.

    Example:
        >>> from patchwidget import exercises
        >>> def patch_head_vector_by_pos(value, hook, head_index, pos, clean_cache):
        ...     here = slice(None), pos, head_index
        ...     value[here] = clean_cache[hook.name][here]
        ...     return value
        >>> bool(exercises.check_patch_head_vector_by_pos(patch_head_vector_by_pos))
        True
    """
    exercise = Exercise(
        "patch_head_vector_by_pos",
        lambda: _trials(("z", "q", "v"), "corrupted_head_vector", ("head", "pos")),
        [*COMMON, *HEAD_BY_POS],
        "One head at one position is the clean run's, all else is as it was.",
        "Vectors of heads are [batch, pos, head, d_head]: assign [:, pos, head_index].",
    )
    return checked(exercise, function, seconds=seconds)


def check_patch_attn_patterns(
    function: Any, *, seconds: float | None = None
) -> Verdict:
    """Check a hook function that patches one head's attention pattern.

    Args:
        function: `(corrupted_head_vector [B, H, T, T], hook, head_index, clean_cache)
            -> [B, H, T, T]`; a pattern is [batch, head, dest, src].
        seconds: how long one call may take.

    Example:
        >>> from patchwidget import exercises
        >>> def patch_attn_patterns(value, hook, head_index, clean_cache):
        ...     value[:, head_index] = clean_cache[hook.name][:, head_index]
        ...     return value
        >>> bool(exercises.check_patch_attn_patterns(patch_attn_patterns))
        True
    """
    exercise = Exercise(
        "patch_attn_patterns",
        lambda: _trials(("pattern",) * 3, "corrupted_head_vector", ("head",)),
        [*COMMON, *PATTERN],
        "One head's pattern is the clean run's, the others are as they were.",
        "A pattern is [batch, head, dest, src]: assign [:, head_index].",
    )
    return checked(exercise, function, seconds=seconds)


def _trials(sites: Sizes, first: str, axes: Sizes) -> list[Callable[[], Trial[Call]]]:
    """A call for each site, on the two small cases and the chapter's."""

    def trial(number: int) -> Trial[Call]:
        case = all_cases()[number]
        # The last layer of each, and cells at which an axis' end is not hit by chance.
        cell = Cell(case.size("layer") - 1)
        if "pos" in axes:
            cell = cell._replace(pos=2)  # `:pos` is then more than one
        if "head" in axes:
            cell = cell._replace(head=0 if number == 1 else 2)
        call = Call(case, sites[number], cell)
        return Trial(
            f"{call.name} of {case.name}",
            call,
            case.model,
            partial(_arguments, call, first, axes),
            lambda: call.right,
            _SHAPES[call.site],
            partial(_unchanged, call),
        )

    return [partial(trial, number) for number in range(3)]


_VECTOR = ("batch", "pos", "head", "d_head")
_STREAM_AXES = ("batch", "pos", "d_model")
_SHAPES: dict[str, Sizes] = {
    **dict.fromkeys(("z", "q", "k", "v"), _VECTOR),
    **dict.fromkeys(("resid_pre", "attn_out", "mlp_out"), _STREAM_AXES),
    "pattern": ("batch", "head", "dest", "src"),
}


def _arguments(call: Call, first: str, axes: Sizes) -> Arguments:
    cell = {"pos": call.cell.pos, "head_index": call.cell.head}
    named = {"pos": "pos", "head": "head_index"}
    return {
        first: call.value().clone(),
        "hook": call.case.model.hook_dict[call.name],
        **{named[axis]: cell[named[axis]] for axis in axes},
        "clean_cache": call.case.cache("clean"),
    }


def _unchanged(call: Call, arguments: Arguments) -> Mapping[str, tuple[Tensor, Tensor]]:
    cached = arguments["clean_cache"].cache_dict
    then = call.case.activations["clean"]
    return {name: (dict.__getitem__(cached, name), then[name]) for name in then}
