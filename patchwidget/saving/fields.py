"""Parts of a record and of its tensors, each checked as it is taken."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from torch import Tensor

MOST = 2**31 - 1
Shape = tuple[int | None, ...]
T = TypeVar("T")


class MalformedError(ValueError):
    """A record or tensor that no study has."""


def check(found: object, what: str) -> None:
    """Refuse a file unless something is found.

    Raises:
        MalformedError: naming what is wrong.
    """
    if not found:
        raise MalformedError(what)


class Fields:
    """One object of a record.

    Args:
        values: the object.
        where: what it is called, for messages.

    Raises:
        MalformedError: from every method, if what is asked for is not there.
    """

    def __init__(self, values: object, where: str) -> None:
        check(isinstance(values, dict), f"{where} is no object")
        self._values = cast("Mapping[str, Any]", values)
        self._where = where

    def _take(self, name: str, kind: type[T]) -> T:
        value = self._values.get(name)
        # A bool is an int to Python, and nowhere here.
        if type(value) is not kind:
            raise MalformedError(f"{self._where}.{name} is no {kind.__name__}")
        return value

    def text(self, name: str) -> str:
        """A string."""
        return self._take(name, str)

    def json_object(self, name: str) -> str:
        """A string that is an object in JSON."""
        text = self.text(name)
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise MalformedError(f"{self._where}.{name} is no JSON") from error
        check(isinstance(found, dict), f"{self._where}.{name} is no object in JSON")
        return text

    def text_or_none(self, name: str) -> str | None:
        """A string or null."""
        return None if self._values.get(name, "") is None else self.text(name)

    def one_of(self, name: str, choices: tuple[T, ...]) -> T:
        """One of some strings."""
        found = [one for one in choices if one == self._values.get(name)]
        check(found, f"{self._where}.{name} is none of {choices}")
        return found[0]

    def whole(self, name: str, low: int = 0, high: int = MOST) -> int:
        """A whole number in a range."""
        value = self._take(name, int)
        check(low <= value <= high, f"{self._where}.{name} is out of range")
        return value

    def real(self, name: str) -> float:
        """A finite number."""
        value: Any = self._values.get(name)
        # A whole number may be too large to be a float.
        if type(value) not in (int, float) or not abs(value) < MOST:
            raise MalformedError(f"{self._where}.{name} is no number")
        return float(value)

    def flag(self, name: str) -> bool:
        """True or false."""
        return self._take(name, bool)

    def has(self, name: str) -> bool:
        """Whether there is such a part, and not null."""
        return self._values.get(name) is not None

    def part(self, name: str) -> Fields:
        """An object."""
        return Fields(self._take(name, dict), f"{self._where}.{name}")

    def parts(self, name: str) -> list[Fields]:
        """A list of objects."""
        found = self._take(name, list)
        return [
            Fields(one, f"{self._where}.{name}[{i}]") for i, one in enumerate(found)
        ]

    def texts(self, name: str, count: int | None = None) -> list[str]:
        """A list of strings."""
        found = self._take(name, list)
        check(
            all(type(one) is str for one in found) and count in (None, len(found)),
            f"{self._where}.{name} are not {count if count is not None else 'all'} strings",
        )
        return list(found)

    def wholes_by_name(self, name: str) -> dict[str, int]:
        """Whole numbers by name."""
        found = self.part(name)
        return {one: found.whole(one) for one in found.names()}

    def texts_by_name(self, name: str) -> dict[str, str]:
        """Strings by name."""
        found = self.part(name)
        return {one: found.text(one) for one in found.names()}

    def names(self) -> list[str]:
        """Names of all parts."""
        return list(self._values)


class Tensors:
    """The tensors of a file, each taken once.

    Args:
        values: by name.
    """

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        self._left = dict(values)

    def floats(self, name: str, shape: Shape, *, finite: bool = False) -> Tensor:
        """Floating-point numbers; a None in the shape may be any size.

        Raises:
            MalformedError: if there is no such tensor, or not of that form.
        """
        found = self._take(name, shape)
        check(found.is_floating_point(), f"{name} holds no floating-point numbers")
        check(not finite or bool(found.isfinite().all()), f"{name} is not finite")
        return found

    def wholes(self, name: str, shape: Shape, low: int, high: int) -> Tensor:
        """Whole numbers in a range; see `floats`."""
        found = self._take(name, shape)
        check(not found.is_floating_point(), f"{name} holds no whole numbers")
        inside = (found >= low) & (found <= high)
        check(bool(inside.all()), f"{name} is out of range")
        return found

    def has(self, name: str) -> bool:
        """Whether there is such a tensor, not taken yet."""
        return name in self._left

    def _take(self, name: str, shape: Shape) -> Tensor:
        found = self._left.pop(name, None)
        if found is None:
            raise MalformedError(f"{name} is missing")
        fits = found.dim() == len(shape) and all(
            size in (None, has) for size, has in zip(shape, found.shape, strict=True)
        )
        check(fits, f"{name} has shape {list(found.shape)}")
        return found

    def finish(self) -> None:
        """Refuse what nobody has asked for.

        Raises:
            MalformedError: naming it.
        """
        check(not self._left, f"{', '.join(sorted(self._left))[:80]} is not known")
