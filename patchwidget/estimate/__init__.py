"""Estimates of effects from gradients: one method a file, all `(runs, kind) -> Grid`."""

from collections.abc import Callable

from patchwidget.estimate.atp import atp
from patchwidget.grids import Grid

METHODS: dict[str, Callable[..., Grid]] = {"atp": atp}

__all__ = ["METHODS", "atp"]
