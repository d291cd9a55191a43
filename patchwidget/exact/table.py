"""Exact effects of many patches as rows of a few tensors.

Tens of thousands of effects would be hundreds of thousands of objects, which Python's
collector goes through while somebody waits: an `Effect` is made when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from patchwidget.effects import Effect
from patchwidget.exact.swap import Patch
from patchwidget.grids import Scale
from patchwidget.nodes import Node

Key = TypeVar("Key")


@dataclass(frozen=True, eq=False)
class Block:
    """Effects that became known together.

    Attributes:
        patches: what was patched, one a row.
        raw: changes of the metric `[n, B]`.
        scale, halves: see `Effect`; halves are `[n, B]` each.
        made: effects by row that somebody holds: who asks again gets the same.
    """

    patches: Sequence[Patch]
    raw: Tensor
    scale: Scale | None
    halves: tuple[Tensor, Tensor] | None
    made: WeakValueDictionary[int, Effect] = field(default_factory=WeakValueDictionary)

    @classmethod
    def of(cls, effects: Sequence[Effect]) -> Block:
        """Effects on one metric: all of them have halves, or none."""
        patches, first = [one.patch for one in effects], effects[0]
        both = [one.halves for one in effects if one.halves is not None]
        rise, fall = ([pair[i] for pair in both] for i in (0, 1))
        halves = (torch.stack(rise), torch.stack(fall)) if both else None
        raw = torch.stack([one.raw for one in effects])
        return cls(patches, raw, first.scale, halves)

    def effect(self, row: int) -> Effect:
        """The effect in a row."""
        found = self.made.get(row)
        if found is None:
            halves = None
            if self.halves is not None:
                halves = self.halves[0][row], self.halves[1][row]
            found = Effect(self.patches[row], self.raw[row], self.scale, halves)
            self.made[row] = found
        return found


class Rows(Mapping[Key, Effect]):
    """Effects that are made when they are asked for.

    Args:
        blocks: where they lie.
        places: the block and the row of each.
    """

    def __init__(self, blocks: list[Block], places: dict[Key, tuple[int, int]]) -> None:
        self._blocks, self._places = blocks, places

    def __getitem__(self, key: Key) -> Effect:
        block, row = self._places[key]
        return self._blocks[block].effect(row)

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __iter__(self) -> Iterator[Key]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class Table(Rows[Patch]):
    """Effects by what was patched, in the order in which they were found."""

    def __init__(self) -> None:
        super().__init__([], {})

    def add(self, block: Block) -> None:
        """Know the effects of a block."""
        number = len(self._blocks)
        self._blocks.append(block)
        rows = enumerate(block.patches)
        self._places.update((patch, (number, row)) for row, patch in rows)

    def nodes(self) -> Rows[Node]:
        """The effects of single nodes that are known by now."""
        places = self._places.items()
        single = {patch[0]: place for patch, place in places if len(patch) == 1}
        return Rows(self._blocks, single)
