"""Thousands of things a portion at a time: going through all of them is no one step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
# So many patches are looked at in a hundredth of a second. A message from the page takes
# several turns of the kernel's loop, and there is a portion in each of them.
_AT_ONCE = 250


def portions(many: Iterable[T]) -> Iterator[list[T]]:
    """All of them, up to some hundreds at a time."""
    rest = iter(many)
    while some := list(islice(rest, _AT_ONCE)):
        yield some
