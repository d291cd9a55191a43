"""Mistakes are recognised by what they give.

For each typical mistake there is a row: its name, a sentence, and a function that computes
what a solution with that mistake returns. What a student's function returned is held
against all of them. Nothing is ever found right this way: only the reference decides that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

On = TypeVar("On")
# Two orders of adding float32 differ by about 1e-6 of a metric of size 1.
_RTOL, _ATOL = 1e-4, 2e-5


@dataclass(frozen=True)
class Mistake(Generic[On]):
    """A typical mistake.

    Attributes:
        name: by which tests and the catalogue know it.
        sentence: what it is, and what to do.
        produces: what a solution with it returns on a trial's material.

    Example:
        >>> doubled = Mistake("doubled", "Half of it.", lambda right: 2 * right)
        >>> doubled.produces(torch.tensor(1.5))
        tensor(3.)
    """

    name: str
    sentence: str
    produces: Callable[[On], Tensor]


def same(found: Tensor, expected: Tensor) -> bool:
    """Whether two results agree up to rounding; a NaN agrees with nothing."""
    if found.shape != expected.shape:
        return False
    found, expected = found.detach().cpu().double(), expected.detach().cpu().double()
    size = max(1.0, float(expected.abs().max())) if expected.numel() else 1.0
    return torch.allclose(found, expected, rtol=_RTOL, atol=_ATOL * size)


def recognised(
    mistakes: Iterable[Mistake[On]],
    found: Sequence[Tensor],
    right: Sequence[Tensor],
    on: Sequence[On],
) -> Mistake[On] | None:
    """The first mistake that gives what was found on every trial, if there is one.

    On a trial where a mistake happens to give the right result it proves nothing, so it
    has to differ from it on one at least.
    """
    for mistake in mistakes:
        if _fits(mistake, found, right, on):
            return mistake
    return None


def _fits(
    mistake: Mistake[On],
    found: Sequence[Tensor],
    right: Sequence[Tensor],
    on: Sequence[On],
) -> bool:
    differs = False
    for value, expected, material in zip(found, right, on, strict=True):
        try:
            given = mistake.produces(material)
        except (IndexError, RuntimeError):
            return False  # there the mistake is an error, and no result comes of it
        if not same(value, given):
            return False
        differs = differs or not same(given, expected)
    return differs
