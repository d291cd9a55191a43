"""AtP*: GradDrop with the QK fix (Kramár et al. 2024, arXiv 2403.00745).

Queries and keys go exactly through the softmax, and direct and indirect effects do not
cancel. What a patch does to a pattern does not depend on the cut: it is computed once.
"""

from __future__ import annotations

from patchwidget.estimate.graddrop import Cuts, dropped
from patchwidget.grids import Grid
from patchwidget.runs import Runs
from patchwidget.slices import Slices, whole


def atp_star(
    runs: Runs, kind: str, by: str | None = None, *, cuts: Cuts = "layer"
) -> Grid:
    """Sizes of the effects of every node of a kind: see `graddrop`, its options and errors."""
    return whole(atp_star_slices(runs, kind, by, cuts=cuts))


def atp_star_slices(
    runs: Runs, kind: str, by: str | None = None, *, cuts: Cuts = "layer"
) -> Slices[Grid]:
    """`atp_star` slice by slice: see `graddrop.graddrop_slices`."""
    return dropped(runs, kind, by, cuts=cuts, method="atp_star", fixed=True)
