"""The other direction: corrupted values in the clean run."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from patchwidget.exercises.cases import Case
from patchwidget.exercises.checker import Exercise, checked
from patchwidget.exercises.mistakes import Mistake
from patchwidget.exercises.oracle import Cell, Turn
from patchwidget.exercises.sweep_mistakes import order_mistakes, result_mistakes
from patchwidget.exercises.sweeps import (
    Axes,
    Tried,
    sweep_trials,
    token_arguments,
    turned,
)
from patchwidget.exercises.verdict import Verdict
from patchwidget.runs import computing

_AXES: Axes = ("layer", "head")
_NOISE = Turn(source="corrupted", base="clean")


def check_noising(function: Any, *, seconds: float | None = None) -> Verdict:
    """Check a noising sweep over the outputs of heads.

    Args:
        function: `(model, clean_tokens, corrupted_tokens, patching_metric)
            -> [layer, head]`: the metric of the clean run with one head's `attn.hook_z`
            replaced, at all positions, by the corrupted run's. It makes the cache itself.
            The metric is returned as it is: with one that is 1 on the clean run, a head
            that does not matter gives 1. (Effects in this package are 0 there, and 1
            where the head alone does all the damage; chapters like to say -1 for that.)
        seconds: how long one call may take.

    Example:
        >>> from patchwidget import exercises, patching
        >>> def noising(model, clean_tokens, corrupted_tokens, patching_metric):
        ...     _, cache = model.run_with_cache(corrupted_tokens)
        ...     return patching.get_act_patch_attn_head_out_all_pos(
        ...         model, clean_tokens, cache, patching_metric
        ...     )
        >>> bool(exercises.check_noising(noising))
        True
    """
    right = turned("z", _AXES, _NOISE)
    exercise = Exercise(
        "noising",
        lambda: sweep_trials(right, _AXES, arguments=token_arguments),
        [
            *order_mistakes(right, _AXES),
            *_MISTAKES,
            *result_mistakes(right, _AXES),
        ],
        "Corrupted values in the clean run: what is necessary, where denoising asks what "
        "is sufficient.",
        "Cache the corrupted run; run clean_tokens with one head's z from that cache.",
    )
    return checked(exercise, function, seconds=seconds)


def _constant(side: Any) -> Any:
    def produces(tried: Tried) -> Tensor:
        case = tried.case
        with computing():
            value = case.metric(case.logits[side])
        return value.expand(case.size("layer"), case.size("head"))

    return produces


def _whole_layer(cell: Cell, _case: Case) -> Cell:
    return Cell(cell.layer)


def _lost(tried: Tried) -> Tensor:
    """What is lost of the clean run's metric: the effect, in this package's sign."""
    return tried.case.offset + 1 - turned("z", _AXES, _NOISE)(tried)


_MISTAKES: list[Mistake[Tried]] = [
    Mistake(
        "denoising",
        "This is denoising, clean values in the corrupted run: noising runs clean_tokens "
        "and takes its values from the corrupted run.",
        turned("z", _AXES, Turn()),
    ),
    Mistake(
        "clean_cache",
        "Every cell is the clean run's value: the values put in came from the clean run "
        "itself, or the patch was lost. Cache the run of corrupted_tokens.",
        _constant("clean"),
    ),
    Mistake(
        "corrupted_base",
        "Every cell is the corrupted run's value: you used the corrupted tokens as the "
        "base run. Run clean_tokens.",
        _constant("corrupted"),
    ),
    Mistake(
        "loss_returned",
        "You returned how much is lost (that is this package's convention for effects): "
        "here, return what patching_metric gives.",
        _lost,
    ),
    Mistake(
        "loss_returned_negative",
        "You subtracted the clean run's value: return what patching_metric gives.",
        lambda tried: -_lost(tried),
    ),
    Mistake(
        "sign_flipped",
        "The sign is changed: return what patching_metric gives, as it is.",
        lambda tried: -turned("z", _AXES, _NOISE)(tried),
    ),
    *(
        Mistake(name, sentence, turned("z", _AXES, _NOISE._replace(place=place)))
        for name, sentence, place in (
            (
                "head_on_second_axis",
                "The head indexes the positions: z is [batch, pos, head, d_head].",
                lambda _site, cell: (slice(None), cell.head),
            ),
            (
                "last_pos_only",
                "You patched the last position only: a head is replaced at all positions.",
                lambda _site, cell: (slice(None), -1, cell.head),
            ),
        )
    ),
    Mistake(
        "zeroed",
        "Zeros were put in: that is zero ablation. Put the corrupted run's values there.",
        turned("z", _AXES, _NOISE._replace(put=lambda value, _o, i: _zero(value, i))),
    ),
    Mistake(
        "whole_activation",
        "You patched every head of the layer at once, instead of one head.",
        turned("z", _AXES, _NOISE._replace(move=_whole_layer)),
    ),
    Mistake(
        "hooks_pile_up",
        "Every run has the patches of the cells before it too: begin each cell with hooks "
        "of its own.",
        turned("z", _AXES, _NOISE._replace(keep="all")),
    ),
    *(
        Mistake(
            f"{site}_instead",
            f"You patched {site}, not z: a head's output is attn.hook_z.",
            turned("z", _AXES, _NOISE._replace(site=site)),
        )
        for site in ("q", "k", "v", "pattern", "attn_out")
    ),
]


def _zero(value: Tensor, index: Any) -> Tensor:
    value = value.clone()
    value[index] = 0
    return value
