"""One direction of a study, with everything that was made of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isnan

from torch import Tensor

from patchwidget.exact import Progress
from patchwidget.nodes import Node, kind_name
from patchwidget.study import PatchStudy
from patchwidget.widget.circuit import Circuit
from patchwidget.widget.estimates import Cut, Estimates
from patchwidget.widget.reports import Reports


class Side:
    """A study in one direction.

    Args:
        study: the study.

    Attributes:
        estimates: its estimates.
        reports: its figures.
        circuit: its paths, and what was asked about them and picked nodes.
        mine: by kind what somebody computed by hand, float32 `[*axes]`.
    """

    def __init__(self, study: PatchStudy) -> None:
        self.study = study
        self.estimates = Estimates(study)
        self.reports = Reports(study, self.estimates)
        self.circuit = Circuit(study)
        self.mine: dict[str, Tensor] = {}

    def shown_kind(self, kind: str) -> str:
        """The name of a kind that has a map; empty for all of them.

        Raises:
            ValueError: if there is no such kind, or the model has no map of it.
        """
        name = kind_name(kind) if kind else ""
        if name and name not in self.estimates.kinds:
            raise ValueError(
                f"there is no map of {name} in this widget: choose one of "
                f"{', '.join(self.estimates.kinds)}"
            )
        return name

    def kinds(self, kind: str) -> list[str]:
        """One kind, or all that have a map."""
        return [self.shown_kind(kind)] if kind else self.estimates.kinds

    def estimating(self, cuts: Sequence[Cut], method: str) -> Iterator[Progress]:
        """Make estimates of some kinds, a slice of one a step."""
        for done, (kind, by) in enumerate(cuts):
            so_far = Progress(done, len(cuts), work=done / len(cuts))
            yield so_far
            for _ in self.estimates.making(kind, method, by):
                yield so_far
        yield Progress(len(cuts), len(cuts), work=1.0)

    def largest(self, kind: str, method: str, top: int) -> list[Node]:
        """The nodes of largest estimates, means over pairs, largest first."""
        ranked = [
            (-abs(value), node)
            for one in self.kinds(kind)
            for node, value in zip(
                self.study.extent.nodes(one),
                self.estimates.get(one, method).mean.flatten().tolist(),
                strict=True,
            )
            if not isnan(value)
        ]
        ranked.sort(key=lambda pair: pair[0])
        return [node for _, node in ranked[:top]]
