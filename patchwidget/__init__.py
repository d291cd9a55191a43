"""Activation patching in the notebook: estimates to look at, exact patches to trust."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Any

from patchwidget.grids import Grid
from patchwidget.nodes import Head, Node
from patchwidget.pairs import Pairs
from patchwidget.study import PatchStudy

__all__ = ["Grid", "Head", "Node", "Pairs", "PatchStudy", "PatchWidget", "demo"]


def __getattr__(name: str) -> Any:
    # The widget loads ipywidgets and the demo loads a tokenizer: both only when used.
    if name == "PatchWidget":
        return import_module("patchwidget.widget").PatchWidget
    if name == "demo":
        return import_module("patchwidget.demo")
    if name == "__version__":
        return version("patchwidget")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
