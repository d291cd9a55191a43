"""Checks of exercises that are somebody's own: an answer beside the right one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from patchwidget.exercises.errors import told
from patchwidget.exercises.mistakes import same
from patchwidget.exercises.verdict import Verdict


def check_answer(
    function: Any,
    arguments: Sequence[Any] = (),
    *,
    right: Any,
    mistakes: Mapping[str, Any] | None = None,
    praise: str = "That is it.",
    hint: str = "",
) -> Verdict:
    """Check an exercise of your own: for who writes a tutorial.

    Numbers are compared up to float32's rounding. The function runs as it is: what it
    leaves on a model stays there, unlike with the other checkers.

    Args:
        function: what the student wrote.
        arguments: what it is called with.
        right: what it should return: a number, numbers in lists, or a tensor.
        mistakes: wrong answers, each under the sentence that explains it.
        praise: what to say when it is right.
        hint: what to say of any other wrong answer.

    Raises:
        TypeError, ValueError: if `right` or a mistake's answer is not made of numbers.

    Example:
        >>> def double(x):
        ...     return x**2
        >>> check_answer(double, (3,), right=6, mistakes={"That is the square.": 9})
        double, not yet: That is the square.
    """
    name = getattr(function, "__name__", "answer")
    expected = _numbers(right)
    explained = {words: _numbers(value) for words, value in (mistakes or {}).items()}
    if not callable(function):
        words = f"Give the function itself, not what it returns: this is {function!r}."
        return Verdict(name, False, words, "not_a_function")
    try:
        found = _numbers(_given(function(*arguments)))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the student's
        mistake, sentence = told(error, function)
        return Verdict(name, False, sentence, mistake)
    if same(found, expected):
        return Verdict(name, True, praise)
    for sentence, value in explained.items():
        if same(found, value):
            return Verdict(name, False, sentence, "explained")
    return Verdict(name, False, f"{_described(found, expected)} {hint}".strip())


def _given(answer: Any) -> Any:
    if answer is None:
        raise TypeError("it returns nothing: did you forget to return the result?")
    return answer


def _numbers(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().double().cpu()
    if isinstance(value, (list, tuple)):
        return torch.stack([_numbers(one) for one in value])
    return torch.tensor(float(value), dtype=torch.float64)


def _described(found: Tensor, expected: Tensor) -> str:
    if found.shape != expected.shape:
        return f"Its shape is {list(found.shape)}, and {list(expected.shape)} is asked for."
    right = sum(map(same, found.flatten(), expected.flatten()))
    if not found.dim():
        return f"It gives {float(found):.4g}, and that is not what the reference gives."
    return f"{right} of {found.numel()} values are right."
