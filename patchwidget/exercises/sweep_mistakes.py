"""The mistakes that every sweep can have: in its patches, in its axes, in its result."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from patchwidget.exercises.cases import Case
from patchwidget.exercises.mistakes import Mistake
from patchwidget.exercises.oracle import Cell, Index, Turn
from patchwidget.exercises.sweeps import Axes, Tried, turned
from patchwidget.hooks import hook_name


class ImpossibleError(RuntimeError):
    """A mistake that cannot have been made here."""


def order_mistakes(
    right: Callable[[Tried], Tensor], axes: Axes
) -> list[Mistake[Tried]]:
    """The axes in another order than asked for."""
    if len(axes) == 2:
        return [
            Mistake(
                "transposed",
                f"Your rows and columns are swapped: the result is [{', '.join(axes)}], "
                f"so {axes[0]} comes first, as in `results[{axes[0]}, {axes[1]}]`.",
                lambda tried: right(tried).T,
            )
        ]
    return [
        Mistake(
            "axes_swapped",
            f"Two axes are swapped: {', '.join(axes[a] for a in order)} where "
            f"{', '.join(axes)} is asked for.",
            partial(_permuted, right, order),
        )
        for order in ((0, 2, 1), (1, 0, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1))
    ]


def _permuted(
    right: Callable[[Tried], Tensor], order: tuple[int, ...], tried: Tried
) -> Tensor:
    return right(tried).permute(order)


def result_mistakes(
    right: Callable[[Tried], Tensor], axes: Axes
) -> list[Mistake[Tried]]:
    """What can go wrong when patched runs become a result."""
    zeros = "torch.zeros shows through: does `range` reach the end?"
    missing = [
        Mistake(
            f"{axis}_left_out_{'first' if at == 0 else 'last'}",
            f"The {'first' if at == 0 else 'last'} {axis} was left out; {zeros}",
            partial(_zeroed, right, axes.index(axis), at),
        )
        for axis in axes
        for at in (0, -1)
    ]
    return [
        Mistake(
            "never_filled",
            "Every cell is 0: the values are computed and never put into the result, "
            "or the loop does not run.",
            lambda tried: torch.zeros_like(right(tried)),
        ),
        *missing,
        Mistake(
            "first_row_only",
            f"Only the first {axes[0]} is filled in: does `return` stand inside the loop?",
            lambda tried: _first_row(right(tried)),
        ),
        Mistake(
            "minus_baseline",
            "You subtracted the unpatched run's value: return what patching_metric gives.",
            lambda tried: right(tried) - tried.case.offset,
        ),
        Mistake(
            "not_the_metric",
            "These are raw logit differences, so the metric is not normalised: read each "
            "patched run with the `patching_metric` you are given.",
            lambda tried: _raw(tried, right(tried)),
        ),
        Mistake(
            "batch_averaged_twice",
            "You averaged over the batch twice: patching_metric has done it already, so "
            "there is nothing left to divide by the number of prompts.",
            lambda tried: right(tried) / len(tried.case.corrupted),
        ),
    ]


def _zeroed(
    right: Callable[[Tried], Tensor], axis: int, at: int, tried: Tried
) -> Tensor:
    values = right(tried).clone()
    values.select(axis, at).zero_()
    return values


def _first_row(values: Tensor) -> Tensor:
    return torch.cat([values[:1], torch.zeros_like(values[1:])])


def _raw(tried: Tried, values: Tensor) -> Tensor:
    case = tried.case
    corrupted, clean = (case.difference(case.logits[s]) for s in ("corrupted", "clean"))
    return (values - case.offset) * (clean - corrupted) + corrupted


def patch_mistakes(site: str, axes: Axes) -> list[Mistake[Tried]]:
    """What can go wrong in a patched run itself, at any site."""
    make: Callable[[Turn], Any] = partial(turned, site, axes)
    return [
        *_nothing_patched(axes),
        Mistake(
            "hooks_pile_up",
            "Every run has the patches of the cells before it too: begin each cell with "
            "hooks of its own, and reset those of `add_hook`.",
            make(Turn(keep="all")),
        ),
        *_pile_up_in_a_layer(site, axes),
        Mistake(
            "noising",
            "This is the other direction, corrupted values in the clean run: here the "
            "corrupted prompts are run, with clean values put in.",
            make(Turn(source="corrupted", base="clean")),
        ),
        Mistake(
            "zeroed",
            "Zeros were put in: that is an ablation. Put the clean cache's values there.",
            make(Turn(put=_put_zero)),
        ),
        Mistake(
            "added",
            "The clean value was added to the corrupted one: a patch replaces it.",
            make(Turn(put=_put_sum)),
        ),
        Mistake(
            "first_prompt_only",
            "Only the first prompt of the batch was patched: keep a `:` for the batch, "
            "as in `value[:, pos]`.",
            make(Turn(put=_put_first)),
        ),
        Mistake(
            "batch_mean",
            "The clean values of all prompts were averaged: each prompt gets its own "
            "pair's values.",
            make(Turn(put=_put_mean)),
        ),
        Mistake(
            "whole_activation",
            _whole(axes),
            make(Turn(move=_whole_layer)),
        ),
        Mistake(
            "clean_base",
            "You used the clean tokens as the base run: with clean values in a clean run "
            "nothing changes. Run corrupted_tokens.",
            make(Turn(base="clean")),
        ),
        Mistake(
            "fixed_layer",
            "Every row is that of layer 0: the hook's name has to follow the loop, "
            f"f'{hook_name(site, 0).replace('.0.', '.{layer}.')}'.",
            make(Turn(move=_first_layer)),
        ),
        *(
            Mistake(
                f"last_{axis}_for_all",
                f"Every cell is that of the last {axis}: a function made in a loop reads "
                "the loop's variable when it is called. Fix it with functools.partial.",
                make(Turn(move=partial(_last_of, axis))),
            )
            for axis in axes[1:]
        ),
        Mistake(
            "layer_later",
            "Off by one layer: each row holds what belongs to the layer after it.",
            make(Turn(move=_next_layer)),
        ),
        Mistake(
            "layer_earlier",
            "Off by one layer: each row holds what belongs to the layer before it.",
            make(Turn(move=_layer_before)),
        ),
    ]


def _pile_up_in_a_layer(site: str, axes: Axes) -> list[Mistake[Tried]]:
    if axes == ("layer", "pos"):
        return []  # the same as to patch all positions up to this one
    return [
        Mistake(
            "hooks_pile_up",
            "Every run has the patches of the cells before it in its layer too: make the "
            "list of hooks anew for every cell.",
            turned(site, axes, Turn(keep="layer")),
        )
    ]


def _whole(axes: Axes) -> str:
    what = "every position" if "pos" in axes else "every head (or their sum, attn_out)"
    if "pos" in axes and "head" in axes:
        what = "every head at every position"
    cell = " and ".join(axes[1:])
    return (
        f"You patched {what} of the layer at once, instead of one {cell}. (If the clean "
        "tokens are the base run, each cell is the clean value in the same way.)"
    )


def _nothing_patched(axes: Axes) -> list[Mistake[Tried]]:
    def unpatched(tried: Tried, *, looked: bool) -> Tensor:
        if tried.looked is not looked:
            raise ImpossibleError
        sizes = [tried.case.size(axis) for axis in axes]
        return torch.full(
            sizes, tried.case.metric(tried.case.logits["corrupted"]).item()
        )

    return [
        Mistake(
            "corrupted_cache",
            "Every cell is the unpatched value, and clean_cache was never read: you used "
            "the corrupted cache (or none), or no run came by your hook.",
            partial(unpatched, looked=False),
        ),
        Mistake(
            "patch_lost",
            "Every cell is the unpatched value, though clean_cache was read: the patch is "
            "lost. Does the hook return the patched activation, is it in `fwd_hooks`, and "
            "is the metric read from that run?",
            partial(unpatched, looked=True),
        ),
    ]


def moved(
    name: str, sentence: str, site: str, axes: Axes, move: Callable[[Cell, Case], Cell]
) -> Mistake[Tried]:
    """A mistake of patching another cell than asked for."""
    return Mistake(name, sentence, turned(site, axes, Turn(move=move)))


def misplaced(
    name: str, sentence: str, site: str, axes: Axes, place: Callable[[str, Cell], Index]
) -> Mistake[Tried]:
    """A mistake of indexing an activation along the wrong axis."""
    return Mistake(name, sentence, turned(site, axes, Turn(place=place)))


def elsewhere(
    name: str, sentence: str, site: str, axes: Axes, other: str
) -> Mistake[Tried]:
    """A mistake of hooking another activation."""
    return Mistake(name, sentence, turned(site, axes, Turn(site=other)))


def _whole_layer(cell: Cell, _case: Case) -> Cell:
    return Cell(cell.layer)


def _first_layer(cell: Cell, _case: Case) -> Cell:
    return cell._replace(layer=0)


def _last_of(axis: str, cell: Cell, case: Case) -> Cell:
    return cell._replace(**{axis: case.size(axis) - 1})


def _next_layer(cell: Cell, case: Case) -> Cell:
    return cell._replace(layer=(cell.layer + 1) % case.size("layer"))


def _layer_before(cell: Cell, case: Case) -> Cell:
    return cell._replace(layer=(cell.layer - 1) % case.size("layer"))


def _put_zero(value: Tensor, _other: Tensor, index: Index) -> Tensor:
    value = value.clone()
    value[index] = 0
    return value


def _put_sum(value: Tensor, other: Tensor, index: Index) -> Tensor:
    value = value.clone()
    value[index] += other[index]
    return value


def _put_first(value: Tensor, other: Tensor, index: Index) -> Tensor:
    value, first = value.clone(), (0, *index[1:])
    value[first] = other[first]
    return value


def _put_mean(value: Tensor, other: Tensor, index: Index) -> Tensor:
    value = value.clone()
    value[index] = other.mean(0, keepdim=True).expand_as(other)[index]
    return value
