"""How much of a model's work is left when the rest is patched: runs of a circuit.

All of it runs in the noising direction: the clean run is the base, and what lies outside a
circuit gets the source's values (the corrupted prompts', a resample's, a mean's), each in
the run that was changed already. With m(C) the metric when all but C is patched, M all
parts and 0 none of them, the *faithfulness* of C is

    f(C) = (m(C) - m(0)) / (m(M) - m(0)),

of means over the pairs, as MIB defines it (Mueller et al., arXiv 2504.13151). 1 is the
whole model's work, and 0 what is left with all parts patched: what the parts are does
matter, since what is no part (MLPs, if heads are asked about; the embedding) still works.
Of paths nothing is left over: all of them are parts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

import torch
from torch import Tensor

from patchwidget.circuits.parts import Part
from patchwidget.circuits.spending import Need, Run
from patchwidget.effects import Effect
from patchwidget.grids import Scale
from patchwidget.paths import Path

Each = TypeVar("Each", bound=Part | Path)


class Whole(ABC, Generic[Each, Run]):
    """All parts that circuits are cut out of, and the run of a circuit."""

    @abstractmethod
    def __len__(self) -> int:
        """How many parts there are."""

    @abstractmethod
    def without(self, parts: Iterable[Each]) -> Run:
        """The run in which some parts are patched; what is empty where none are."""

    @abstractmethod
    def only(self, circuit: Iterable[Each]) -> Run:
        """The run in which all parts but some are patched."""

    def need(self, runs: Iterable[Run]) -> Need[Run]:
        """Some runs, and that of none of the parts."""
        return {"noising": [run for run in (self.only(()), *runs) if run]}


class Kept(Generic[Each, Run]):
    """Faithfulness of circuits, from the effects of patching what lies outside them.

    Args:
        whole: all parts.
        effects: what is known in the noising direction, with the patch of all parts.

    Raises:
        ValueError: if all parts together change nothing: there is no work of which a
            share could be kept.
    """

    def __init__(self, whole: Whole[Each, Run], effects: Mapping[Run, Effect]) -> None:
        self._whole, self._effects = whole, effects
        self.all: Effect = effects[whole.only(())]
        self._gap = _gap(self.all)

    def by(self, circuit: Iterable[Each]) -> Tensor:
        """Faithfulness of a circuit on each pair `[B]`; their mean is f(C)."""
        return self.of(self._whole.only(circuit))

    def without(self, parts: Iterable[Each]) -> Tensor:
        """Faithfulness of the whole model without some parts, `[B]`."""
        return self.of(self._whole.without(parts))

    def of(self, run: Run) -> Tensor:
        """Faithfulness in a run, `[B]`; what is empty is the model as it is."""
        raw = self._effects[run].raw if run else torch.zeros_like(self.all.raw)
        return (raw - self.all.raw) / self._gap


def _gap(every: Effect) -> float:
    """m(M) - m(0), the mean over the pairs."""
    gap = -float(every.raw.mean())
    still = every.scale is not None and (
        Scale(every.scale.base, every.scale.base + every.raw, every.scale.dtype).value
        is None
    )
    if gap == 0 or still:
        raise ValueError(
            "patching all parts together changes the metric by no more than rounding: "
            "there is nothing that a circuit could keep. Take other prompts, or, of "
            "nodes, add kinds to among"
        )
    return gap
