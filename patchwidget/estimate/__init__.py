"""Estimates of effects from gradients: one method a file, all `(runs, kind) -> Grid`."""

from patchwidget.estimate.asking import METHODS, SLICES, Estimating
from patchwidget.estimate.atp import atp
from patchwidget.estimate.atp_qk import atp_qk
from patchwidget.estimate.atp_star import atp_star
from patchwidget.estimate.graddrop import graddrop
from patchwidget.estimate.hvp import Curvature, hvp, hvp_slices
from patchwidget.estimate.ig import ig
from patchwidget.estimate.kept import Asked, Kept
from patchwidget.estimate.offered import offered
from patchwidget.estimate.relp import relp

__all__ = [
    "METHODS",
    "SLICES",
    "Asked",
    "Curvature",
    "Estimating",
    "Kept",
    "atp",
    "atp_qk",
    "atp_star",
    "graddrop",
    "hvp",
    "hvp_slices",
    "ig",
    "offered",
    "relp",
]
