"""How the chosen method's estimates agree with what is verified: the `report` trait."""

from __future__ import annotations

from math import isfinite
from typing import Any

from patchwidget.effects import Effects
from patchwidget.nodes import Node
from patchwidget.rank import mean_effect
from patchwidget.study import PatchStudy
from patchwidget.verify import Agreement, Check, Verification
from patchwidget.widget.estimates import Estimates

NOTHING_SAMPLED = "none was drawn: no verification of this kind has run"


class Reports:
    """The figures of one study, kind by kind.

    They are about the nodes that a kind's map shows; finer ones are other nodes.

    Args:
        study: what is verified.
        estimates: its estimates.
    """

    def __init__(self, study: PatchStudy, estimates: Estimates) -> None:
        self._study, self._estimates = study, estimates
        self._moving: dict[str, list[Node]] = {}
        self._bounds: dict[str, Verification] = {}
        self._checks: dict[tuple[str, Node], Check] = {}

    def note(self, verification: Verification) -> None:
        """Keep the state of a verification for the bound of its kinds."""
        # One that is given up before it draws takes no earlier bound away.
        is_news = verification.bound is not None or not verification.unverified
        for kind in verification.kinds:
            last = self._bounds.get(kind)
            if is_news or last is None or last.bound is None:
                self._bounds[kind] = verification

    def of(self, method: str) -> dict[str, Any]:
        """The whole report by kind."""
        known = self._study.verified
        return {kind: self._of(kind, method, known) for kind in self._estimates.kinds}

    def _of(self, kind: str, method: str, known: Effects) -> dict[str, Any]:
        found = self._estimates.get(kind, method)
        if kind not in self._moving:
            self._moving[kind] = self._study.moving(kind)
        moving = self._moving[kind]
        checks = [self._check(node, known, method) for node in moving if node in known]
        told = [check for check in checks if isfinite(check.estimate)]
        # In rank order, as in a verification: recall breaks ties by it.
        told.sort(key=lambda check: -check.size)
        agreement = Agreement(told)
        return {
            "method": found.method,
            "total": found.mean.numel(),
            "idle": found.mean.numel() - len(moving),
            "verified": len(checks),
            "all": agreement.overall.to_dict(),
            "layers": {
                str(layer): one.to_dict() for layer, one in agreement.by_layer.items()
            },
            **self._bound(kind),
        }

    def _check(self, node: Node, known: Effects, method: str) -> Check:
        if (method, node) not in self._checks:
            found, estimate = self._estimates.of(node, method)
            cell: tuple[Any, ...] = node.cell
            self._checks[method, node] = Check(
                node,
                estimate,
                float(found.size[cell]),
                mean_effect(known[node]),
                found.signed,
            )
        return self._checks[method, node]

    def _bound(self, kind: str) -> dict[str, Any]:
        last = self._bounds.get(kind)
        if last is None:
            return {"bound": None, "without_bound": NOTHING_SAMPLED}
        bound = last.bound
        record = None if bound is None else bound.to_dict() | {"kinds": [*last.kinds]}
        return {"bound": record, "without_bound": last.without_bound}
