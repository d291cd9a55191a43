"""Which methods give which kinds, known without computing anything."""

from __future__ import annotations

from patchwidget.decoder import Decoder
from patchwidget.estimate.cuts import CUTS
from patchwidget.estimate.relp import KINDS as RELP_KINDS
from patchwidget.nodes import kind_name
from patchwidget.runs import Runs, computing


def offered(runs: Runs, kind: str) -> tuple[str, ...]:
    """Names of the methods that give a kind in this model; none if it has no such kind.

    Raises:
        ValueError: if there is no such kind in any model.
    """
    kind = kind_name(kind)
    try:
        with computing():
            runs.require(kind)
    except ValueError:
        return ()
    if not isinstance(runs.engine, Decoder):
        return ("atp",)
    can_drop = len(CUTS["layer"](runs.engine.weights)) > 1
    drops = ("graddrop", "atp_star") if can_drop and kind[:6] != "resid_" else ()
    relp = ("relp",) if kind in RELP_KINDS else ()
    return ("atp", "atp_qk", *drops, "ig", *relp)
