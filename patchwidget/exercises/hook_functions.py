"""Hook functions: one activation goes in, a patched one comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from patchwidget.exercises.cases import Case, all_cases
from patchwidget.exercises.checker import Arguments, Exercise, Trial, checked
from patchwidget.exercises.mistakes import Mistake
from patchwidget.exercises.oracle import Cell, Index, index_of, replaced
from patchwidget.exercises.verdict import Verdict
from patchwidget.hooks import hook_name

Sizes = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a hook function: where it hangs, and which cell it patches."""

    case: Case
    site: str
    cell: Cell

    @property
    def name(self) -> str:
        """The hook's name."""
        return hook_name(self.site, self.cell.layer)

    def value(self, *, clean: bool = False) -> Tensor:
        """The activation that the hook is given, or the clean one.

        Noise is on the former, so that the two differ at every position: in real runs they
        agree before the prompts do.
        """
        name = hook_name(self.site, self.cell.layer)
        value = self.case.activations["clean" if clean else "corrupted"][name]
        if clean:
            return value
        generator = torch.Generator().manual_seed(0)
        return value + torch.rand(value.shape, generator=generator)

    def put(self, index: Index, other: Tensor | None = None) -> Tensor:
        """The corrupted activation with the clean one's numbers at an index."""
        source = self.value(clean=True) if other is None else other
        return replaced(self.value(), source, index)

    @property
    def right(self) -> Tensor:
        """What should come back."""
        return self.put(index_of(self.site, self.cell))


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
        [*_COMMON, *_STREAM],
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
        [*_COMMON, *_HEAD],
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
        [*_COMMON, *_HEAD_BY_POS],
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
        [*_COMMON, *_PATTERN],
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


# ---- mistakes ------------------------------------------------------------------------

_ALL = slice(None)


def _at(make: Callable[[Call], Index]) -> Callable[[Call], Tensor]:
    return lambda call: call.put(make(call))


def _own(call: Call) -> Index:
    return index_of(call.site, call.cell)


def _elsewhere(call: Call) -> Tensor:
    """The clean value of layer 0, whatever layer the hook is on."""
    name = hook_name(call.site, 0)
    return call.put(_own(call), call.case.activations["clean"][name])


_COMMON: list[Mistake[Call]] = [
    Mistake(
        "unpatched",
        "The activation comes back as it was: assign the clean value to it, and read the "
        "values from clean_cache.",
        lambda call: call.value(),
    ),
    Mistake(
        "slice_returned",
        "You returned the patched part only: return the whole activation, with that part "
        "replaced.",
        lambda call: call.value(clean=True)[_own(call)],
    ),
    Mistake(
        "all_patched",
        "You returned the clean activation as a whole: replace one part, and keep the "
        "corrupted run's rest.",
        lambda call: call.value(clean=True),
    ),
    Mistake(
        "direction_swapped",
        "It is the wrong way round: the clean activation came back with a corrupted part "
        "in it.",
        lambda call: replaced(call.value(clean=True), call.value(), _own(call)),
    ),
    Mistake(
        "zeroed",
        "Zeros were put in: that is an ablation. Put the clean value there.",
        lambda call: call.put(_own(call), torch.zeros_like(call.value())),
    ),
    Mistake(
        "added",
        "The clean value was added to the corrupted one: a patch replaces it.",
        lambda call: call.put(_own(call), call.value() + call.value(clean=True)),
    ),
    Mistake(
        "fixed_layer",
        "The clean value is that of layer 0: read clean_cache[hook.name], which follows "
        "the hook.",
        _elsewhere,
    ),
    Mistake(
        "first_prompt_only",
        "Only the first prompt of the batch was patched: keep a `:` for the batch.",
        _at(lambda call: (0, *_own(call)[1:])),
    ),
]
_STREAM: list[Mistake[Call]] = [
    Mistake(
        "pos_later",
        "Off by one position: you patched pos + 1.",
        _at(lambda call: (_ALL, call.cell.pos + 1)),
    ),
    Mistake(
        "pos_earlier",
        "Off by one position: you patched pos - 1.",
        _at(lambda call: (_ALL, call.cell.pos - 1)),
    ),
    Mistake(
        "from_pos_on",
        "You patched this position and all after it: `pos:` is a range, `pos` is one.",
        _at(lambda call: (_ALL, slice(call.cell.pos, None))),
    ),
    Mistake(
        "up_to_pos",
        "You patched this position and those before it: `:pos + 1` is a range.",
        _at(lambda call: (_ALL, slice(call.cell.pos + 1))),
    ),
    Mistake(
        "before_pos",
        "You patched the positions before this one: `:pos` is a range, `pos` is one.",
        _at(lambda call: (_ALL, slice(call.cell.pos))),
    ),
    Mistake(
        "pos_as_feature",
        "The position indexes the last axis: activations are [batch, pos, d_model].",
        _at(lambda call: (..., call.cell.pos)),
    ),
    Mistake(
        "pos_as_batch",
        "The position indexes the batch: activations are [batch, pos, d_model], so keep a "
        "`:` in front.",
        _at(lambda call: (call.cell.pos % len(call.value()),)),
    ),
]
_HEAD: list[Mistake[Call]] = [
    Mistake(
        "head_on_second_axis",
        "The head indexes the positions: vectors of heads are [batch, pos, head, d_head].",
        _at(lambda call: (_ALL, call.cell.head)),
    ),
    Mistake(
        "head_on_last_axis",
        "The head indexes the last axis: vectors of heads are [batch, pos, head, d_head].",
        _at(lambda call: (..., call.cell.head)),
    ),
    Mistake(
        "last_pos_only",
        "You patched the last position only: here a head is replaced at all positions.",
        _at(lambda call: (_ALL, -1, call.cell.head)),
    ),
    Mistake(
        "head_later",
        "Off by one head: you patched head_index + 1.",
        _at(lambda call: (_ALL, _ALL, (call.cell.head + 1) % call.case.size("head"))),
    ),
    Mistake(
        "head_earlier",
        "Off by one head: you patched head_index - 1.",
        _at(lambda call: (_ALL, _ALL, call.cell.head - 1)),
    ),
]
_HEAD_BY_POS: list[Mistake[Call]] = [
    Mistake(
        "all_heads_at_pos",
        "You patched position p in all heads: only head_index is meant.",
        _at(lambda call: (_ALL, call.cell.pos)),
    ),
    Mistake(
        "all_positions",
        "You patched all positions of the head instead of one.",
        _at(lambda call: (_ALL, _ALL, call.cell.head)),
    ),
    Mistake(
        "axes_swapped",
        "Position and head are swapped: vectors of heads are [batch, pos, head, d_head].",
        _at(lambda call: (_ALL, call.cell.head, call.cell.pos)),
    ),
]
_PATTERN: list[Mistake[Call]] = [
    Mistake(
        "head_on_third_axis",
        "The head indexes the destinations: a pattern is [batch, head, dest, src], unlike "
        "the vectors of heads.",
        _at(lambda call: (_ALL, _ALL, call.cell.head)),
    ),
    Mistake(
        "head_on_last_axis",
        "The head indexes the sources: a pattern is [batch, head, dest, src].",
        _at(lambda call: (..., call.cell.head)),
    ),
    Mistake(
        "last_row_only",
        "You patched the last destination only: the whole pattern of the head is meant.",
        _at(lambda call: (_ALL, call.cell.head, -1)),
    ),
    Mistake(
        "transposed",
        "The pattern is transposed: it is [batch, head, dest, src], and each row [src] "
        "adds up to 1.",
        lambda call: call.put(_own(call), call.value(clean=True).mT),
    ),
    Mistake(
        "head_later",
        "Off by one head: you patched head_index + 1.",
        _at(lambda call: (_ALL, (call.cell.head + 1) % call.case.size("head"))),
    ),
    Mistake(
        "head_earlier",
        "Off by one head: you patched head_index - 1.",
        _at(lambda call: (_ALL, call.cell.head - 1)),
    ),
]
