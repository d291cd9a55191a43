"""The way every check goes: try, look at what came back, recognise what went wrong."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Generic

import torch
from torch import Tensor

from patchwidget.exercises.arguments import unread
from patchwidget.exercises.errors import RAISED
from patchwidget.exercises.guard import Attempt, attempt
from patchwidget.exercises.mistakes import Mistake, On, recognised, same
from patchwidget.exercises.verdict import Verdict
from patchwidget.runs import computing

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Trial(Generic[On]):
    """One call of the student's function.

    Attributes:
        name: what it is tried on, in words.
        on: what mistakes are computed from.
        model: what is put back afterwards.
        arguments: makes the call's arguments, in order and by name.
        right: computes what should come back.
        axes: the axes of that, for people.
        unchanged: of the arguments, the tensors that must not change, each with what it
            shall still be.
        seconds: how long the call may take.
    """

    name: str
    on: On
    model: Any
    arguments: Callable[[], Arguments]
    right: Callable[[], Tensor]
    axes: tuple[str, ...] = ()
    unchanged: Callable[[Arguments], Mapping[str, tuple[Tensor, Tensor]]] = (
        lambda _arguments: {}
    )
    seconds: float = 60.0


@dataclass(frozen=True)
class Exercise(Generic[On]):
    """What is asked for, and which mistakes are known.

    Attributes:
        name: of the function.
        trials: makes the calls: those on small models first, the chapter's own last.
        mistakes: the table.
        praise: what to say when it is right.
        otherwise: what to look at when no mistake of the table fits.
        narrowed: more of the table, made from what was found and what is right.
    """

    name: str
    trials: Callable[[], Sequence[Callable[[], Trial[On]]]]
    mistakes: Sequence[Mistake[On]]
    praise: str
    otherwise: str
    narrowed: Callable[[Sequence[Tensor], Sequence[Tensor]], Iterable[Mistake[On]]] = (
        lambda _found, _right: ()
    )


def checked(
    exercise: Exercise[On], function: Any, *, seconds: float | None = None
) -> Verdict:
    """Check one function.

    All small trials are made before anything is said of a wrong result, because a mistake
    may happen to be invisible in one of them.
    """
    verdict = _first_seen(exercise, function, seconds)
    if verdict or verdict.mistake not in _VAGUE or _is_unknown_error(verdict):
        return verdict
    names = unread(function)
    if not names:
        return verdict
    given = ", ".join(f"`{name}`" for name in names)
    sentence = (
        f"It never reads {given}, which it is given. It is tried on other models and "
        "prompts than those of your notebook, whose variables do not fit there: take "
        "everything from the arguments."
    )
    return Verdict(exercise.name, False, sentence, "argument_unread", verdict.notes)


# What a value from elsewhere leads to.
_VAGUE = (None, "shape", "shapes_differ", "index_axis", "not_finite")


def _is_unknown_error(verdict: Verdict) -> bool:
    return verdict.mistake is None and verdict.sentence.startswith(RAISED)


def _first_seen(
    exercise: Exercise[On], function: Any, seconds: float | None
) -> Verdict:
    if not callable(function):
        return Verdict(
            exercise.name,
            False,
            f"Give the function itself, check_{exercise.name}({exercise.name}), not "
            f"what it returns: this is {_kind(function)}.",
            "not_a_function",
        )
    *small, last = exercise.trials()
    notes: tuple[str, ...] = ()
    for group in (small, [last]):
        made = [make() for make in group]
        found = []
        for trial in made:
            tried = _tried(trial, function, seconds)
            problem = tried if tried.problem else _malformed(tried, trial)
            if problem.problem:
                return Verdict(
                    exercise.name,
                    False,
                    problem.problem,
                    problem.mistake,
                    tried.notes,
                )
            found.append(tried.value)
            notes = tuple(dict.fromkeys((*notes, *tried.notes, *_noted(tried, trial))))
        verdict = _judged(exercise, made, found, notes)
        if verdict is not None:
            return verdict
    return Verdict(exercise.name, True, exercise.praise, None, notes)


def _tried(trial: Trial[On], function: Any, seconds: float | None) -> Attempt:
    arguments = trial.arguments()
    with computing():
        keep = trial.unchanged(arguments)
    return attempt(
        lambda: called(function, arguments),
        function,
        trial.model,
        keep=keep,
        seconds=trial.seconds if seconds is None else seconds,
    )


def called(function: Any, arguments: Arguments) -> Any:
    """Call with the first argument by place, the rest by name where those are taken.

    A student may have put them in another order; who named them otherwise has kept it.
    """
    names, values = list(arguments), list(arguments.values())
    try:
        takes = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return function(*values)
    named = {
        p.name for p in takes if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    if named >= set(names[1:]):
        return function(values[0], **dict(zip(names[1:], values[1:], strict=True)))
    return function(*values)


def _judged(
    exercise: Exercise[On],
    made: Sequence[Trial[On]],
    found: Sequence[Tensor],
    notes: tuple[str, ...],
) -> Verdict | None:
    """None if all is right."""
    with computing():
        right = [trial.right() for trial in made]
        wrong = [i for i, value in enumerate(found) if not same(value, right[i])]
        if not wrong:
            return None
        known = chain(exercise.mistakes, exercise.narrowed(found, right))
        mistake = recognised(known, found, right, [trial.on for trial in made])
        if mistake is not None:
            return Verdict(exercise.name, False, mistake.sentence, mistake.name, notes)
        first = wrong[0]
        sentence = _described(found[first], right[first], made[first])
    if found[first].shape == right[first].shape:
        sentence = f"{sentence} {exercise.otherwise}"
        return Verdict(exercise.name, False, sentence, None, notes)
    return Verdict(exercise.name, False, sentence, "shape", notes)


def _described(found: Tensor, right: Tensor, trial: Trial[Any]) -> str:
    """Where a result differs, in words."""
    axes = f"[{', '.join(trial.axes)}] = " if trial.axes else ""
    if found.shape != right.shape:
        scalar = " (a scalar tensor)" if not right.dim() else ""
        return (
            f"The result has the shape {list(found.shape)} and should have {axes}"
            f"{list(right.shape)}{scalar}, on {trial.name}."
        )
    if not right.dim():
        return (
            f"On {trial.name} it gives {float(found):.4g}, and should give "
            f"{float(right):.4g}."
        )
    off = [
        tuple(cell)
        for cell in torch.nonzero(torch.ones_like(right)).tolist()
        if not same(found[tuple(cell)], right[tuple(cell)])
    ]
    if not off:
        return f"The result differs a little everywhere, on {trial.name}."
    cell = off[0]
    where = ", ".join(
        f"{axis} {number}" for axis, number in zip(trial.axes, cell, strict=True)
    )
    return (
        f"{right.numel() - len(off)} of {right.numel()} values are right, on {trial.name}; "
        f"the first other one, at {where}, is {float(found[cell]):.4g} and should be "
        f"{float(right[cell]):.4g}."
    )


def _malformed(tried: Attempt, trial: Trial[Any]) -> Attempt:
    """Whether what came back can be compared at all."""
    value = tried.value
    if value is None:
        return Attempt(
            mistake="nothing_returned",
            problem="It returns nothing: did you forget to return the result (for a "
            "hook function, the patched activation)?",
        )
    if isinstance(value, (float, int)) and not trial.axes:
        return Attempt(
            mistake="float",
            problem="It returns a float: return a scalar tensor so that it can be "
            "differentiated (no .item(), no float()).",
        )
    if not isinstance(value, Tensor):
        return Attempt(
            mistake="no_tensor",
            problem=f"It returns {_kind(value)}: return one torch tensor"
            + (f" [{', '.join(trial.axes)}]." if trial.axes else "."),
        )
    return _uncomputable(value)


def _uncomputable(value: Tensor) -> Attempt:
    if value.device.type == "meta":
        return Attempt(
            mistake="device",
            problem="The result lies on the device 'meta', where tensors have no values: "
            "make it with device=model.cfg.device.",
        )
    if value.dtype is not torch.float32:
        return Attempt(
            mistake="dtype",
            problem=f"The result is {value.dtype}, and the model computes in "
            "torch.float32: make it with torch.zeros(..., dtype=torch.float32), not from "
            "numpy or from integers.",
        )
    if not bool(value.detach().isfinite().all()):
        return Attempt(
            mistake="not_finite",
            problem="The result has NaN or infinite values: a cell that was never filled "
            "in (torch.empty), or a division by 0.",
        )
    return Attempt()


def _noted(tried: Attempt, trial: Trial[Any]) -> list[str]:
    """What is no mistake, and yet worth a word."""
    value, notes = tried.value, []
    device = getattr(getattr(trial.model, "cfg", None), "device", "cpu")
    if trial.axes and value.requires_grad:
        notes.append(
            "(The result still carries a graph, which costs memory: run patches inside "
            "`with torch.no_grad():`.)"
        )
    if value.device.type != torch.device(device).type:
        notes.append(
            f"(The result lies on {value.device}, the checked model on {device}: "
            "model.cfg.device fits any model.)"
        )
    return notes


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"
