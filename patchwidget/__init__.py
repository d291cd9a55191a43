"""Activation patching in the notebook: estimates to look at, exact patches to trust."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Any

from patchwidget.grids import Grid
from patchwidget.nodes import Head, Node
from patchwidget.pairs import Pairs
from patchwidget.paths import Reader, Writer
from patchwidget.questions import Question, Top
from patchwidget.study import PatchStudy

__all__ = [
    "Grid",
    "Head",
    "Node",
    "Pairs",
    "PatchStudy",
    "PatchWidget",
    "Question",
    "Reader",
    "Top",
    "Writer",
    "demo",
    "exercises",
    "patching",
]


def __getattr__(name: str) -> Any:
    # The widget loads ipywidgets, the demo a tokenizer, the others much: only when used.
    if name == "PatchWidget":
        return import_module("patchwidget.widget").PatchWidget
    if name in ("demo", "exercises", "patching"):
        return import_module(f"patchwidget.{name}")
    if name == "__version__":
        return version("patchwidget")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
