"""Estimates of effects from gradients: one method a file, all `(runs, kind) -> Grid`."""

from collections.abc import Callable

from patchwidget.estimate.atp import atp
from patchwidget.estimate.atp_qk import atp_qk
from patchwidget.estimate.atp_star import atp_star
from patchwidget.estimate.graddrop import graddrop
from patchwidget.estimate.hvp import Curvature, hvp
from patchwidget.estimate.ig import ig
from patchwidget.estimate.offered import offered
from patchwidget.estimate.relp import relp
from patchwidget.grids import Grid

METHODS: dict[str, Callable[..., Grid]] = {
    "atp": atp,
    "atp_qk": atp_qk,
    "graddrop": graddrop,
    "atp_star": atp_star,
    "ig": ig,
    "relp": relp,
}

__all__ = [
    "METHODS",
    "Curvature",
    "atp",
    "atp_qk",
    "atp_star",
    "graddrop",
    "hvp",
    "ig",
    "offered",
    "relp",
]
