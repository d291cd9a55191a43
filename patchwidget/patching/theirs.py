"""TransformerLens' own module, imported when it is used."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Any

THEIRS = "transformer_lens.patching"


def theirs() -> Any:
    """The module `transformer_lens.patching`."""
    return import_module(THEIRS)


def has_results() -> bool:
    """Whether the installed version can keep values per example (`PatchingResult`)."""
    return hasattr(theirs(), "PatchingResult")


def installed() -> str:
    """Name and version of what is installed."""
    return f"TransformerLens {version('transformer_lens')}"
