"""How much of a model's work is left when the rest is patched: runs of a circuit.

All of it runs in the noising direction: the clean run is the base, and what lies outside a
circuit gets the source's values (the corrupted prompts', a resample's, a mean's), each in
the run that was changed already. With m(C) the metric when all but C is patched, M all
parts and 0 none of them, the *faithfulness* of C is

    f(C) = (m(C) - m(0)) / (m(M) - m(0)),

of means over the pairs, as MIB defines it (Mueller et al., arXiv 2504.13151). 1 is the
whole model's work, and 0 what is left with all parts patched: what the parts are does
matter, since what is no part (MLPs, if heads are asked about; the embedding) still works.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from patchwidget.circuits.parts import Part
from patchwidget.circuits.spending import Need
from patchwidget.effects import Effect
from patchwidget.exact import Patch, together
from patchwidget.grids import Scale


@dataclass(frozen=True)
class Whole:
    """All parts that circuits are cut out of.

    Attributes:
        parts: each once.
    """

    parts: tuple[Part, ...]

    def outside(self, circuit: Iterable[Part]) -> Patch:
        """What is patched for a circuit: all other parts; `()` if there is none."""
        inside = set(circuit)
        nodes = [
            node for part in self.parts if part not in inside for node in part.nodes
        ]
        return together(nodes) if nodes else ()

    def need(self, circuits: Iterable[Iterable[Part]]) -> Need:
        """The runs of circuits, and that of none of the parts."""
        patches = [self.outside(()), *map(self.outside, circuits)]
        return {"noising": [patch for patch in patches if patch]}


class Kept:
    """Faithfulness of circuits, from the effects of patching what lies outside them.

    Args:
        whole: all parts.
        effects: what is known in the noising direction, with the patch of all parts.

    Raises:
        ValueError: if all parts together change nothing: there is no work of which a
            share could be kept.
    """

    def __init__(self, whole: Whole, effects: Mapping[Patch, Effect]) -> None:
        self._whole, self._effects = whole, effects
        self.all: Effect = effects[whole.outside(())]
        self._gap = _gap(self.all)

    def of(self, circuit: Iterable[Part]) -> Tensor:
        """Faithfulness of a circuit on each pair `[B]`; their mean is f(C)."""
        patch = self._whole.outside(circuit)
        raw = self._effects[patch].raw if patch else torch.zeros_like(self.all.raw)
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
            "there is nothing that a circuit could keep. Take other prompts, or add kinds "
            "to among"
        )
    return gap
