"""Attribution patching with the QK fix: queries and keys exactly through the softmax.

From the same backward as `atp` (AtP*, arXiv 2403.00745, eq. 7 to 10). Plain AtP takes the
softmax as linear too, and so misses queries and keys of heads that have made up their
mind. Over all positions (`by=None`) every query or key of a head is replaced at once and
its pattern computed anew. For keys that is *not* the sum of the by-position grid: keys of
one row compete, and the two can differ by nearly the whole effect.
"""

from __future__ import annotations

from patchwidget.estimate.coverage import require_decoder
from patchwidget.estimate.first_order import first_order
from patchwidget.estimate.pattern_steps import pattern_steps
from patchwidget.grids import Grid
from patchwidget.runs import Runs
from patchwidget.slices import Slices, whole


def atp_qk(runs: Runs, kind: str, by: str | None = None) -> Grid:
    """Estimates of every node: of `q` and `k` with the fix, of other kinds as `atp`.

    Raises:
        ValueError: as `atp`; or if the decoder does not cover the model.
    """
    return whole(atp_qk_slices(runs, kind, by))


def atp_qk_slices(runs: Runs, kind: str, by: str | None = None) -> Slices[Grid]:
    """`atp_qk` slice by slice: see `first_order`."""
    require_decoder(runs, "atp_qk")
    return (yield from first_order(runs, kind, by, pattern_steps, method="atp_qk"))
