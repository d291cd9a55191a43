"""The metric: a logit difference, brought to a scale on which 0 and 1 mean something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from patchwidget.exercises.cases import Case, all_cases
from patchwidget.exercises.checker import Arguments, Exercise, Trial, called, checked
from patchwidget.exercises.mistakes import Mistake
from patchwidget.exercises.verdict import Verdict
from patchwidget.runs import computing


@dataclass(frozen=True, eq=False)
class Read:
    """Logits that are some of the way from the corrupted run's to the clean run's."""

    case: Case
    way: float

    @property
    def logits(self) -> Tensor:
        """`[B, T, V]`; the metric is linear in them, so half the way is 0.5."""
        runs = self.case.logits
        return runs["corrupted"] + self.way * (runs["clean"] - runs["corrupted"])

    @property
    def ends(self) -> tuple[float, float]:
        """Logit difference of the corrupted and of the clean run."""
        logits = self.case.logits
        ends = [self.case.difference(logits[side]) for side in ("corrupted", "clean")]
        return float(ends[0]), float(ends[1])

    def scaled(self, difference: Tensor) -> Tensor:
        """A logit difference on the metric's scale."""
        corrupted, clean = self.ends
        return (difference - corrupted) / (clean - corrupted)

    def per_prompt(self, values: Tensor) -> Tensor:
        """Right minus wrong of values `[B, V]`."""
        both = values.gather(-1, self.case.answers)
        return both[:, 0] - both[:, 1]


def check_ioi_metric(function: Any, *, seconds: float | None = None) -> Verdict:
    """Check a normalised logit difference.

    Args:
        function: `(logits [B, T, V], answer_tokens [B, 2], corrupted_logit_diff,
            clean_logit_diff) -> scalar tensor`: 0 on the corrupted run, 1 on the clean
            run, 0.5 half way; `answer_tokens` are (right, wrong).
        seconds: how long one call may take.

    Example:
        >>> from patchwidget import exercises
        >>> def ioi_metric(logits, answer_tokens, corrupted_logit_diff, clean_logit_diff):
        ...     right, wrong = logits[:, -1].gather(1, answer_tokens).unbind(1)
        ...     above = (right - wrong).mean() - corrupted_logit_diff
        ...     return above / (clean_logit_diff - corrupted_logit_diff)
        >>> exercises.check_ioi_metric(ioi_metric)
        ioi_metric, right: It is 0 on the corrupted run and 1 on the clean one, and linear between.
    """
    return _checked("ioi_metric", function, seconds, noising=False)


def check_ioi_metric_noising(function: Any, *, seconds: float | None = None) -> Verdict:
    """Check the metric of the other direction: 0 on the clean run, -1 on the corrupted.

    That is the sign such chapters use. This package's own effects of noising are 0 as
    clean and 1 as corrupted, the same numbers with the other sign.

    Args:
        function: as that of `check_ioi_metric`.
        seconds: how long one call may take.

    Example:
        >>> from patchwidget import exercises
        >>> def ioi_metric_noising(
        ...     logits, answer_tokens, corrupted_logit_diff, clean_logit_diff
        ... ):
        ...     right, wrong = logits[:, -1].gather(1, answer_tokens).unbind(1)
        ...     above = (right - wrong).mean() - clean_logit_diff
        ...     return above / (clean_logit_diff - corrupted_logit_diff)
        >>> bool(exercises.check_ioi_metric_noising(ioi_metric_noising))
        True
    """
    return _checked("ioi_metric_noising", function, seconds, noising=True)


def _checked(
    name: str, function: Any, seconds: float | None, *, noising: bool
) -> Verdict:
    right: Callable[[Read], Tensor] = partial(_right, noising=noising)
    praise = (
        "It is 0 on the clean run and -1 on the corrupted one. (This package's own "
        "effects of noising have the opposite sign: 1 = as corrupted.)"
        if noising
        else "It is 0 on the corrupted run and 1 on the clean one, and linear between."
    )
    exercise = Exercise(
        name,
        lambda: _trials(right),
        [*(_NOISING if noising else _DENOISING), *_MISTAKES],
        praise,
        "Take the logits of the last position, right answer minus wrong one, the mean "
        "over prompts, and put it on the scale from corrupted_logit_diff to "
        "clean_logit_diff.",
    )
    verdict = checked(exercise, function, seconds=seconds)
    if not verdict:
        return verdict
    cut = _differentiable(name, function)
    return verdict if cut is None else cut


def _right(read: Read, *, noising: bool) -> Tensor:
    value = read.scaled(read.case.difference(read.logits))
    return value - 1 if noising else value


def _trials(right: Callable[[Read], Tensor]) -> list[Callable[[], Trial[Read]]]:
    """Every way on the small cases; on the chapter's, half way."""

    def trial(number: int, way: float) -> Trial[Read]:
        case = all_cases()[number]
        read = Read(case, way)
        names = {
            0.0: "the corrupted run",
            1.0: "the clean run",
            0.5: "half way between",
        }
        return Trial(
            f"{names[way]} of {case.name}",
            read,
            case.model,
            partial(_arguments, read),
            partial(right, read),
            (),
            lambda arguments: {
                "the logits, which patching needs again": (
                    arguments["logits"],
                    read.logits,
                )
            },
        )

    ways: Sequence[tuple[int, float]] = (
        (0, 0.0),
        (0, 1.0),
        (0, 0.5),
        (1, 0.0),
        (1, 1.0),
        (2, 0.5),
    )
    return [partial(trial, *way) for way in ways]


def _arguments(read: Read) -> Arguments:
    corrupted, clean = read.ends
    return {
        "logits": read.logits.clone(),
        "answer_tokens": read.case.answers.clone(),
        "corrupted_logit_diff": corrupted,
        "clean_logit_diff": clean,
    }


def _differentiable(name: str, function: Any) -> Verdict | None:
    """Whether a gradient reaches the logits; None if it does."""
    with computing(grad=True):
        arguments = _arguments(Read(all_cases()[0], 0.5))
        arguments["logits"].requires_grad_(True)
        value = called(function, arguments)
        if isinstance(value, Tensor) and value.requires_grad:
            return None
    return Verdict(
        name,
        False,
        "Its values are right, and no gradient comes through: the tensor was cut from its "
        "graph (.detach(), .item(), torch.no_grad() or a new torch.tensor(...)). "
        "Attribution patching differentiates the metric.",
        "detached",
    )


def _at_all_answers(read: Read) -> Tensor:
    both = read.logits[:, -1, read.case.answers]
    return (both[..., 0] - both[..., 1]).mean()


_NOISING: list[Mistake[Read]] = [
    Mistake(
        "opposite_sign",
        "The sign is the other one: this chapter's noising metric is -1 on the corrupted "
        "run. (Yours is the convention of this package's own effects.)",
        lambda read: 1 - _right(read, noising=False),
    ),
    Mistake(
        "denoising_metric",
        "This is the denoising metric, 0 at corrupted and 1 at clean: here the base run is "
        "the clean one, and 0 has to be there.",
        lambda read: _right(read, noising=False),
    ),
]
_DENOISING: list[Mistake[Read]] = [
    Mistake(
        "noising_metric",
        "This is the noising metric, 0 at clean and -1 at corrupted: here the base run is "
        "the corrupted one, and 0 has to be there.",
        lambda read: _right(read, noising=True),
    ),
]
_MISTAKES: list[Mistake[Read]] = [
    Mistake(
        "ends_swapped",
        "The two ends are swapped: it is 1 on the corrupted run and 0 on the clean one.",
        lambda read: 1 - _right(read, noising=False),
    ),
    Mistake(
        "not_normalised",
        "The metric is not normalised: this is the logit difference itself. Subtract "
        "corrupted_logit_diff, and divide by (clean_logit_diff - corrupted_logit_diff).",
        lambda read: read.case.difference(read.logits),
    ),
    Mistake(
        "not_divided",
        "corrupted_logit_diff is subtracted, and the division by (clean_logit_diff - "
        "corrupted_logit_diff) is missing: the clean run is to be 1.",
        lambda read: read.case.difference(read.logits) - read.ends[0],
    ),
    Mistake(
        "not_subtracted",
        "corrupted_logit_diff is not subtracted from the logit difference: the corrupted "
        "run is to be 0.",
        lambda read: read.case.difference(read.logits) / (read.ends[1] - read.ends[0]),
    ),
    Mistake(
        "divided_by_clean",
        "It is divided by clean_logit_diff: divide by the distance (clean_logit_diff - "
        "corrupted_logit_diff).",
        lambda read: (read.case.difference(read.logits) - read.ends[0]) / read.ends[1],
    ),
    Mistake(
        "parentheses",
        "Parentheses are missing: `a - b / c - d` is `a - (b / c) - d`.",
        lambda read: (
            read.case.difference(read.logits)
            - read.ends[0] / read.ends[1]
            - read.ends[0]
        ),
    ),
    Mistake(
        "parentheses_of_distance",
        "Parentheses are missing around the distance: `a / b - c` is `(a / b) - c`.",
        lambda read: (
            (read.case.difference(read.logits) - read.ends[0]) / read.ends[1]
            - read.ends[0]
        ),
    ),
    Mistake(
        "sign_of_distance",
        "The sign is wrong: divide by (clean - corrupted), not by (corrupted - clean).",
        lambda read: -_right(read, noising=False),
    ),
    Mistake(
        "answers_swapped",
        "Right and wrong answer are swapped: answer_tokens[:, 0] is the right one.",
        lambda read: read.scaled(-read.case.difference(read.logits)),
    ),
    Mistake(
        "per_prompt",
        "It returns one value a prompt: take the mean over the batch, a scalar tensor.",
        lambda read: read.scaled(read.per_prompt(read.logits[:, -1])),
    ),
    Mistake(
        "kept_dimension",
        "It returns a tensor of shape [1]: take the mean without keepdim, a scalar tensor.",
        lambda read: read.scaled(read.case.difference(read.logits))[None],
    ),
    Mistake(
        "summed",
        "You summed over the prompts: take their mean, as corrupted_logit_diff is one.",
        lambda read: read.scaled(read.per_prompt(read.logits[:, -1]).sum()),
    ),
    Mistake(
        "batch_averaged_twice",
        "You averaged over the batch twice.",
        lambda read: read.scaled(
            read.case.difference(read.logits) / len(read.case.answers)
        ),
    ),
    Mistake(
        "first_prompt_only",
        "Only the first prompt is read: take the mean over all of them.",
        lambda read: read.scaled(read.per_prompt(read.logits[:, -1])[0]),
    ),
    Mistake(
        "every_prompts_answers",
        "Each prompt is read at the answers of all prompts: `logits[:, -1, answer_tokens]` "
        "gives [batch, batch, 2]. Take each prompt's own, with "
        "`logits[:, -1].gather(1, answer_tokens)`.",
        lambda read: read.scaled(_at_all_answers(read)),
    ),
    Mistake(
        "last_prompt",
        "logits[-1] is the last prompt at every position: the last position of every "
        "prompt is logits[:, -1].",
        lambda read: read.scaled(
            read.per_prompt(read.logits[-1][: len(read.case.answers)]).mean()
        ),
    ),
    Mistake(
        "first_position",
        "The logits are those of the first position: the answer comes after the last, "
        "logits[:, -1].",
        lambda read: read.scaled(read.per_prompt(read.logits[:, 0]).mean()),
    ),
    Mistake(
        "position_before_last",
        "Off by one position: the answer is read at the last one, logits[:, -1].",
        lambda read: read.scaled(read.per_prompt(read.logits[:, -2]).mean()),
    ),
    Mistake(
        "all_positions",
        "The mean runs over all positions: only the last one tells the answer.",
        lambda read: read.scaled(read.per_prompt(read.logits.mean(1)).mean()),
    ),
    Mistake(
        "probabilities",
        "It reads probabilities: a logit difference takes the logits themselves.",
        lambda read: read.scaled(
            read.per_prompt(read.logits[:, -1].softmax(-1)).mean()
        ),
    ),
    Mistake(
        "absolute",
        "The absolute value loses the sign: below the corrupted run it has to be negative.",
        lambda read: read.scaled(read.per_prompt(read.logits[:, -1]).abs().mean()),
    ),
    Mistake(
        "right_answer_only",
        "Only the right answer's logit is read: a logit difference takes the wrong one's "
        "away.",
        lambda read: read.scaled(
            read.logits[:, -1].gather(-1, read.case.answers[:, :1]).mean()
        ),
    ),
]
