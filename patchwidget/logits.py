"""The end of a run: logits, unembedded only where somebody looks.

Unembedding every position of every patched run costs more than half a layer each and most
of it is never read. A metric of ours says what it reads; a user's function gets a tensor
that finds out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, cast

import torch
from torch import Tensor


class Readout(Protocol):
    """The end of a run, `[rows, positions, vocabulary]`, unembedded where looked at."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, positions (also those that were not computed), vocabulary."""
        ...

    @property
    def like(self) -> Tensor:
        """Any tensor on the device and in the dtype of the logits."""
        ...

    def logits(
        self, position: int | None = None, vocabulary: Tensor | None = None
    ) -> Tensor:
        """Logits at one position or all, of chosen tokens or all.

        Args:
            position: one position from 0, or None for all of them.
            vocabulary: token ids `[rows, A]`, only with a position.

        Returns:
            `[rows, A]`, `[rows, V]` (a position) or `[rows, T, V]` (all positions).

        Raises:
            NotComputedError: if the run did not compute that position.
        """
        ...

    def rows(self, start: int, stop: int) -> Readout:
        """The readout of some of the rows."""
        ...


class NotComputedError(LookupError):
    """A metric looked at a position that the run left out."""


class LazyLogits(Tensor):
    """Logits `[B, T, V]` that look like a tensor and are unembedded where indexed.

    `logits[:, -1]` and its kin unembed that position alone; whatever else is done to it
    works on all of the logits, which are made once, when they are first needed.

    `looked` holds the positions that were looked at; None among them stands for all.

    Its own storage is one NaN: a library that reads it behind torch's back gets that, and
    a metric that is not a number is refused.
    """

    unembed: Callable[[int], Tensor]
    unembed_all: Callable[[], Tensor]
    looked: set[int | None]
    full: Tensor | None

    @classmethod
    def of(
        cls,
        shape: tuple[int, int, int],
        like: Tensor,
        at: Callable[[int], Tensor],
        everything: Callable[[], Tensor],
    ) -> LazyLogits:
        """Logits of a shape, on the device and in the dtype of `like`.

        Args:
            shape: B, T, V.
            like: for device and dtype.
            at: gives `[B, V]` at a position from 0.
            everything: gives all of them.
        """
        nan = torch.full((), torch.nan, dtype=like.dtype, device=like.device)
        lazy = nan.expand(shape).as_subclass(cls)
        lazy.unembed, lazy.unembed_all = at, everything
        lazy.looked, lazy.full = set(), None
        return lazy

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Everything that torch is asked to do with such a tensor comes by here."""
        with torch._C.DisableTorchFunctionSubclass():  # noqa: SLF001 - torch documents it for subclasses
            if func in _SHAPE_ONLY:
                return func(*args, **(kwargs or {}))
            if func is Tensor.__getitem__ and isinstance(args[0], cls):
                return args[0]._item(args[1])  # noqa: SLF001 - its own class
            full = cast("tuple[Any, ...]", _made(args))
            return func(*full, **cast("dict[str, Any]", _made(dict(kwargs or {}))))

    def _item(self, index: Any) -> Tensor:
        found = _one_position(index, self.shape[1]) if self.full is None else None
        if found is None:
            return self.everything()[_made(index)]
        position, index = found
        self.looked.add(position)
        return self.unembed(position)[:, None][_made(index)]

    def everything(self) -> Tensor:
        """All logits, made once: what changes them in place is seen afterwards."""
        if self.full is None:
            self.looked.add(None)
            self.full = self.unembed_all()
        return self.full


def _getters(*names: str) -> set[Any]:
    return {getattr(Tensor, name).__get__ for name in names}


_SHAPE_ONLY = {Tensor.size, Tensor.dim, Tensor.numel, Tensor.__len__} | _getters(
    "shape", "device", "dtype", "ndim", "layout", "is_cuda", "is_sparse", "is_meta"
)


def _made(value: Any) -> Any:
    """The value with every lazy tensor in it replaced by its logits."""
    if isinstance(value, LazyLogits):
        return value.everything()
    if isinstance(value, (tuple, list)):
        return type(value)(_made(one) for one in value)
    if isinstance(value, dict):
        return {key: _made(one) for key, one in value.items()}
    return value


def _one_position(index: Any, length: int) -> tuple[int, tuple[Any, ...]] | None:
    """The position that an index picks, and the index into logits of that one alone.

    None if it picks several, or in a way that would put axes elsewhere.
    """
    parts = _spelled_out(index)
    if parts is None:
        return None
    rows, position, vocabulary = parts
    if isinstance(position, slice):
        picked = range(length)[position]
        if len(picked) != 1:
            return None
        return picked[0], (rows, slice(None), vocabulary)
    if not _is_int(position):
        return None
    if not -length <= int(position) < length:
        raise IndexError(f"position {position} is not in logits of {length} positions")
    return int(position) % length, (rows, 0, vocabulary)


def _spelled_out(index: Any) -> tuple[Any, Any, Any] | None:
    """An index of three axes with nothing left out; None if it is another kind."""
    parts = list(index) if isinstance(index, tuple) else [index]
    known = (int, slice, Tensor, type(Ellipsis))
    if any(isinstance(one, bool) or not isinstance(one, known) for one in parts):
        return None
    # A mask of two axes would stand for two of the three.
    if any(isinstance(one, Tensor) and _is_wide_mask(one) for one in parts):
        return None
    dots = [i for i, one in enumerate(parts) if one is Ellipsis]
    missing = 3 - (len(parts) - len(dots))
    if missing < 0 or len(dots) > 1:
        return None
    where = dots[0] if dots else len(parts)
    parts[where : where + len(dots)] = [slice(None)] * missing
    return parts[0], parts[1], parts[2]


def _is_wide_mask(index: Tensor) -> bool:
    return index.dtype in (torch.bool, torch.uint8) and index.dim() != 1


def _is_int(index: Any) -> bool:
    if isinstance(index, Tensor):
        return index.dim() == 0 and not index.is_floating_point()
    return isinstance(index, int)
