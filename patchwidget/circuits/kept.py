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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from patchwidget.circuits.parts import Part
from patchwidget.circuits.spending import Need, Run
from patchwidget.effects import Effect
from patchwidget.grids import Scale
from patchwidget.paths import Path

Key = TypeVar("Key")


class Whole(ABC, Generic[Key, Run]):
    """All parts that circuits are cut out of, and the run of a circuit.

    A part is known by a key: a `Part` itself, or a path's number.
    """

    @abstractmethod
    def __len__(self) -> int:
        """How many parts there are."""

    @abstractmethod
    def without(self, parts: Iterable[Key]) -> Run:
        """The run in which some parts are patched; what is empty where none are."""

    @abstractmethod
    def only(self, circuit: Iterable[Key]) -> Run:
        """The run in which all parts but some are patched."""

    @abstractmethod
    def also(self, run: Run, parts: Iterable[Key]) -> Run:
        """The run in which some more parts are patched than in another."""

    def need(self, runs: Iterable[Run]) -> Need[Run]:
        """Some runs, and that of none of the parts."""
        return {"noising": [run for run in (self.only(()), *runs) if run]}


@dataclass(frozen=True)
class Chosen(Generic[Key, Run]):
    """Some of all parts: a circuit, or parts in the order in which they join one.

    Attributes:
        members: the parts, or paths.
        keys: theirs.
        whole: all that there are.
    """

    members: Sequence[Part | Path]
    keys: Sequence[Key]
    whole: Whole[Key, Run]

    @cached_property
    def circuit(self) -> Run:
        """The run of the circuit that all members make."""
        return self.whole.only(self.keys)

    def less(self, removed: Iterable[int]) -> Run:
        """The run of a circuit without some members, which are told by their places."""
        return self.whole.also(self.circuit, (self.keys[place] for place in removed))

    def without(self, removed: Iterable[int]) -> Run:
        """The run of the whole model without some members."""
        return self.whole.without(self.keys[place] for place in removed)


class Kept(Generic[Run]):
    """Faithfulness of circuits, from the effects of patching what lies outside them.

    Args:
        whole: all parts.
        effects: what is known in the noising direction, with the patch of all parts.

    Raises:
        ValueError: if all parts together change nothing: there is no work of which a
            share could be kept.
    """

    def __init__(self, whole: Whole[Any, Run], effects: Mapping[Run, Effect]) -> None:
        self._effects = effects
        self.all: Effect = effects[whole.only(())]
        self._gap = _gap(self.all)

    def of(self, run: Run) -> Tensor:
        """Faithfulness in a run on each pair `[B]`; their mean is f(C).

        Args:
            run: of a circuit; what is empty is the model as it is.
        """
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
