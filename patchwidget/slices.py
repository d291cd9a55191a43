"""A computation that is made slice by slice, so that others have turns in between."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import TypeVar

T = TypeVar("T")
Slices = Generator[None, None, T]
"""The slices of a computation; what it finds is the generator's result."""


def whole(slices: Slices[T]) -> T:
    """What a computation finds, without a turn for anybody else."""
    while True:
        try:
            next(slices)
        except StopIteration as end:
            found: T = end.value
            return found


def looking(slices: Slices[T], look: Callable[[], object]) -> Slices[T]:
    """The same slices, with a look around whenever others have had their turn.

    Args:
        slices: a computation.
        look: what it raises ends the computation.
    """
    with closing(slices):
        while True:
            try:
                next(slices)
            except StopIteration as end:
                found: T = end.value
                return found
            yield
            look()
