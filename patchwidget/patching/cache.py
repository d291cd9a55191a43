"""Values to patch in, from a user's `clean_cache`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from patchwidget.hooks import hook_name
from patchwidget.runs import Activations

Place = tuple[str, int]


class CacheValues(Mapping[Place, Tensor]):
    """What a cache holds, by (kind, layer), as the engine wants it: `[B, ...]`.

    Whatever is in the cache counts, edited or not, at the time of the call. As in
    TransformerLens, values of another dtype or device are converted, and a cache of one
    prompt stands for all pairs.

    Args:
        cache: an `ActivationCache`, or any mapping by hook names.
        base: every site of the run that is patched: for shapes, dtype and device.
        own: the model's own values of that run, bit for bit; may lack any. Where the
            cache holds the same number, there is nothing to patch, and the value of
            `base` is given, which may round otherwise.

    Raises:
        KeyError: when a value is asked for that the cache does not hold.
        TypeError: if it is no tensor.
        ValueError: if its shape does not fit that of the patched run.

    Example:
        >>> import torch
        >>> cache = {"blocks.0.attn.hook_z": torch.ones(1, 4, 2, 3)}
        >>> values = CacheValues(cache, {("z", 0): torch.zeros(5, 4, 2, 3)}, {})
        >>> values["z", 0].shape
        torch.Size([5, 4, 2, 3])
    """

    def __init__(
        self, cache: Mapping[str, Tensor], base: Activations, own: Activations
    ) -> None:
        self._cache, self._base, self._own = cache, base, own
        self._kept: dict[Place, Tensor] = {}

    def __getitem__(self, place: Place) -> Tensor:
        if place not in self._kept:
            self._kept[place] = self._fitted(place)
        return self._kept[place]

    def __iter__(self) -> Iterator[Place]:
        return iter(self._base)

    def __len__(self) -> int:
        return len(self._base)

    def _fitted(self, place: Place) -> Tensor:
        name, base = hook_name(*place), self._base[place]
        value = self._held(name)
        if value.shape[1:] != base.shape[1:] or len(value) not in (1, len(base)):
            raise ValueError(
                f"clean_cache[{name!r}] has shape {list(value.shape)}, in the corrupted run "
                f"it is {list(base.shape)}: both runs need the same number of tokens, and "
                "the cache as many prompts, or one, and its batch dimension"
            )
        value = value.detach().to(base).expand_as(base)
        own = self._own.pop(place, None)
        return value if own is None else base.where(value == own, value)

    def _held(self, name: str) -> Tensor:
        try:
            value = self._cache[name]
        except KeyError:
            raise KeyError(
                f"clean_cache has no {name!r}: cache it with run_with_cache"
            ) from None
        if not isinstance(value, Tensor):
            raise TypeError(f"clean_cache[{name!r}] is no tensor but {value!r}")
        return value
