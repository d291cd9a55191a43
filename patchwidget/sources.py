"""Where patched values come from, if not from the other prompt of each pair.

An *ablation* puts values into the clean run that say less than its own: nothing, an
average, noise, or what the same place holds on other text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from zlib import crc32

import torch
from torch import Tensor

Prompts = str | Sequence[str] | Tensor
Activations = dict[tuple[str, int], Tensor]


class Capturing(Protocol):
    """What an ablation may ask of a study: other prompts' activations."""

    def __call__(self, prompts: Prompts) -> Activations:
        """Every site's values on prompts of the study's length, `[N, ...]`."""
        ...


class Source(Protocol):
    """Makes the values that are patched in."""

    @property
    def name(self) -> str:
        """What it is called in pictures and messages."""
        ...

    def values(self, base: Activations, capture: Capturing) -> Activations:
        """Values for every site, in the shapes of the base run's."""
        ...


@dataclass(frozen=True)
class Zero:
    """Zero ablation: every value is 0.

    Example:
        >>> from patchwidget import PatchStudy, demo, sources
        >>> pairs = demo.ioi_pairs()
        >>> study = PatchStudy(demo.load_model(), pairs, source=sources.Zero())
        >>> study.direction
        'noising'
    """

    name = "zero"

    def values(self, base: Activations, capture: Capturing) -> Activations:  # noqa: ARG002 - one form
        """Zeros."""
        return {place: torch.zeros_like(value) for place, value in base.items()}


@dataclass(frozen=True, eq=False)
class Mean:
    """Mean ablation: the mean over given prompts, position by position.

    Args:
        prompts: text or tokens `[N, T]`, of the study's length.
    """

    prompts: Prompts
    name = "mean"

    def values(self, base: Activations, capture: Capturing) -> Activations:
        """The mean, the same for every pair."""
        found = capture(self.prompts)
        return {
            place: found[place].mean(0, keepdim=True).expand_as(value)
            for place, value in base.items()
        }


@dataclass(frozen=True, eq=False)
class Resample:
    """Resample ablation: each pair gets the values of a prompt drawn from given ones.

    Args:
        prompts: text or tokens `[N, T]`, of the study's length.
        seed: of the drawing, with replacement.
    """

    prompts: Prompts
    seed: int = 0
    name = "resample"

    def values(self, base: Activations, capture: Capturing) -> Activations:
        """Values of one drawn prompt a pair, the same prompt at every site."""
        found = capture(self.prompts)
        like = next(iter(base.values()))
        n_prompts = len(next(iter(found.values())))
        generator = torch.Generator().manual_seed(self.seed)
        drawn = torch.randint(n_prompts, (len(like),), generator=generator)
        rows = drawn.to(like.device)
        return {place: found[place].index_select(0, rows) for place in base}


@dataclass(frozen=True)
class Gaussian:
    """The base run's own values with Gaussian noise on them.

    Args:
        sigma: in units of the standard deviation of the site's values in its layer, over
            pairs, positions and features (Meng et al. 2022 use 3 on the embedding).
        seed: of the noise.

    Raises:
        ValueError: if sigma is not positive.
    """

    sigma: float
    seed: int = 0
    name = "gaussian"

    def __post_init__(self) -> None:
        if not self.sigma > 0:
            raise ValueError(f"sigma must be positive, got {self.sigma}")

    def values(self, base: Activations, capture: Capturing) -> Activations:  # noqa: ARG002 - one form
        """Noised values; a pattern stays 0 where it is 0: what a destination hides."""
        return {place: self._noised(place, value) for place, value in base.items()}

    def _noised(self, place: tuple[str, int], value: Tensor) -> Tensor:
        # Each place has its own seed, and noise is drawn on the processor: the same on
        # every device, whatever else is captured.
        own = crc32(f"{self.seed}/{place}".encode())
        noise = torch.randn(value.shape, generator=torch.Generator().manual_seed(own))
        seen = value[value > 0] if place[0] == "pattern" else value
        step = self.sigma * seen.std() * noise.to(value)
        return value + (step * (value != 0) if place[0] == "pattern" else step)


def make_source(source: str | Source) -> Source:
    """The source a user means by a name or an object.

    Raises:
        ValueError: if the name is unknown, or the source needs prompts.
        TypeError: if it is neither.
    """
    if source == "zero":
        return Zero()
    if isinstance(source, str):
        raise ValueError(  # noqa: TRY004 - a wrong name is a wrong value
            f"unknown source {source!r}: 'zero', or sources.Mean(prompts), "
            "sources.Resample(prompts), sources.Gaussian(sigma)"
        )
    if isinstance(source, type) or not hasattr(source, "values"):
        raise TypeError(
            f"{source!r} is not a source: give sources.Zero(), or an object with "
            "values(base, capture)"
        )
    return source
