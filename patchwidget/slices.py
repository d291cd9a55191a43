"""A computation that is made slice by slice, so that others have turns in between."""

from __future__ import annotations

from collections.abc import Generator
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
