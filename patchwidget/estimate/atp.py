"""Attribution patching: every node's effect, to first order, from one backward.

The estimate of a node is the difference of its values in source and base run times the
gradient of the metric on the base run, summed over the node's parts (Nanda 2023; AtP*,
arXiv 2403.00745, eq. 4). Values are kept for each pair: `Grid.values` is their signed
mean, `Grid.mean_abs` the mean of their sizes, by which AtP* ranks (eq. 5).
"""

from __future__ import annotations

from patchwidget.estimate.first_order import first_order
from patchwidget.estimate.steps import node_steps
from patchwidget.grids import Grid
from patchwidget.runs import Runs
from patchwidget.slices import Slices, whole


def atp(runs: Runs, kind: str, by: str | None = None) -> Grid:
    """First-order estimates of every node of a kind.

    Raises:
        ValueError: if the kind is unknown, cannot be cut that way, or cannot be patched
            in this model; or the metric's gradient vanishes on the base run.
    """
    return whole(atp_slices(runs, kind, by))


def atp_slices(runs: Runs, kind: str, by: str | None = None) -> Slices[Grid]:
    """`atp` slice by slice: see `first_order`."""
    return first_order(runs, kind, by, node_steps, method="atp")
