"""What is computed once, slice by slice, by all who want it meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from patchwidget.slices import Slices

T = TypeVar("T")


class Once:
    """Results by key, and those that are being made.

    Whoever asks for what another is having made goes on with the same slices. It is given
    up when the last of them is closed before it is there, begun anew by those who are
    left when one got an error out of it.

    Example:
        >>> from patchwidget.slices import whole
        >>> def squares():
        ...     print("made")
        ...     yield
        ...     return [0, 1, 4]
        >>> once = Once()
        >>> asked, again = once.slices("squares", squares), once.slices("squares", squares)
        >>> next(asked)
        made
        >>> whole(again), whole(asked)
        ([0, 1, 4], [0, 1, 4])
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, Any] = {}
        self._making: dict[Hashable, _Making] = {}

    def __contains__(self, key: Hashable) -> bool:
        """Whether something is there, or being made."""
        return key in self._kept or key in self._making

    def slices(self, key: Hashable, compute: Callable[[], Slices[T]]) -> Slices[T]:
        """What `compute` gives, computed by those who ask the first time."""
        while key not in self._kept:
            if key not in self._making:
                self._making[key] = _Making(compute())
            making = self._making[key]
            with self._waiting(key, making):
                while self._making.get(key) is making:
                    if making.is_running:
                        # A metric that asks for its own estimate, or another thread.
                        return (yield from compute())
                    self._advance(key, making)
                    yield  # whoever watches the model looks before this is believed
        return cast("T", self._kept[key])

    def forget(self) -> None:
        """Keep nothing, nor what will come of what is being made."""
        self._kept.clear()
        self._making.clear()

    def _advance(self, key: Hashable, making: _Making) -> None:
        """One more slice; the one after the last keeps what was found."""
        if making.found:
            (self._kept[key],) = making.found
            del self._making[key]
            return
        making.is_running = True
        try:
            next(making.slices)
        except StopIteration as end:
            making.found.append(end.value)
        except BaseException:
            self._drop(key, making)
            raise
        finally:
            making.is_running = False

    @contextmanager
    def _waiting(self, key: Hashable, making: _Making) -> Iterator[None]:
        making.asking += 1
        try:
            yield
        finally:
            making.asking -= 1
            if not making.asking and not making.found:
                making.slices.close()
                self._drop(key, making)

    def _drop(self, key: Hashable, making: _Making) -> None:
        if self._making.get(key) is making:
            del self._making[key]


class _Making:
    """What is being made.

    Attributes:
        slices: of which whoever has the turn takes the next.
        is_running: whether somebody is in the middle of one.
        asking: how many wait for it.
        found: what came out, once it is there.
    """

    def __init__(self, slices: Slices[Any]) -> None:
        self.slices, self.is_running, self.asking = slices, False, 0
        self.found: list[Any] = []
