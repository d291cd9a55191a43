"""Paths: how what one part of a model writes reaches what another reads."""

from patchwidget.paths.asking import Tracing
from patchwidget.paths.attribution import METHODS
from patchwidget.paths.chosen import AnyPath, PathProgress
from patchwidget.paths.ends import Reader, Writer
from patchwidget.paths.exact_paths import ExactPaths
from patchwidget.paths.path import Path
from patchwidget.paths.path_grid import PathGrid
from patchwidget.paths.sides import Side

__all__ = [
    "METHODS",
    "AnyPath",
    "ExactPaths",
    "Path",
    "PathGrid",
    "PathProgress",
    "Reader",
    "Side",
    "Tracing",
    "Writer",
]
