"""Sources of ablations: what is saved of them, and how they are made again."""

from __future__ import annotations

from typing import Any

from patchwidget.pairs import Pairs
from patchwidget.saving.contents import SavedSource
from patchwidget.sources import Gaussian, Mean, Resample, Source, Zero


def saved_source(source: Source, model: Any) -> SavedSource:
    """Name and parameters of a source; prompts as tokens."""
    if type(source) is Zero:
        return SavedSource(source.name)
    if type(source) is Gaussian:
        return SavedSource(source.name, seed=source.seed, sigma=source.sigma)
    if type(source) is Mean or type(source) is Resample:
        tokens = Pairs(source.prompts, source.prompts).on(model).clean
        seed = source.seed if type(source) is Resample else None
        return SavedSource(source.name, seed=seed, prompts=tokens)
    return SavedSource(source.name, is_own=True)


def made_source(saved: SavedSource) -> Source:
    """The source that was saved.

    Raises:
        ValueError: if it is of one's own class, or says not all that it needs.
    """
    if saved.is_own:
        raise ValueError(
            f"the source {saved.name!r} is of a class of your own, which is not saved: "
            "give it again, PatchStudy.load(path, model=model, source=...)"
        )
    if saved.name == "zero":
        return Zero()
    if saved.name == "gaussian" and saved.sigma is not None:
        return Gaussian(saved.sigma, saved.seed or 0)
    if saved.name == "mean" and saved.prompts is not None:
        return Mean(saved.prompts)
    if saved.name == "resample" and saved.prompts is not None:
        return Resample(saved.prompts, saved.seed or 0)
    raise ValueError(f"the source {saved.name!r} is not one that can be made again")
