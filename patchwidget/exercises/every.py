"""Several sweeps stacked into one result: each slice is held against its own table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations

import torch
from torch import Tensor

from patchwidget.exercises.cases import Case, chapter_case
from patchwidget.exercises.checker import Exercise
from patchwidget.exercises.mistakes import Mistake, same
from patchwidget.exercises.oracle import Turn
from patchwidget.exercises.sweep_mistakes import order_mistakes, result_mistakes
from patchwidget.exercises.sweeps import Axes, Tried, sweep_trials, turned

Slices = Mapping[str, tuple[str, Sequence[Mistake[Tried]]]]


@dataclass(frozen=True)
class Every:
    """What is stacked.

    Attributes:
        axes: of one slice.
        slices: by their names, in order: the site, and the mistakes known there.
    """

    axes: Axes
    slices: Slices

    def right(self, tried: Tried) -> Tensor:
        """The reference `[slice, *axes]`."""
        return torch.stack([self.slice(name, tried) for name in self.slices])

    def slice(self, name: str, tried: Tried) -> Tensor:
        """The reference of one slice."""
        return turned(self.slices[name][0], self.axes, Turn())(tried)

    def table(self, name: str) -> Iterator[Mistake[Tried]]:
        """All that may have happened to one slice."""
        right = partial(self.slice, name)
        yield from order_mistakes(right, self.axes)
        yield from self.slices[name][1]
        yield from result_mistakes(right, self.axes)

    def whole(self) -> list[Mistake[Tried]]:
        """Slices in another order, or stacked along another axis."""
        names = list(self.slices)
        last: Mistake[Tried] = Mistake(
            "stacked_last",
            f"The {len(names)} maps are stacked along the last axis: they come first, "
            "as in `torch.stack(maps)`.",
            lambda tried: self.right(tried).movedim(0, -1),
        )
        first: Mistake[Tried] = Mistake(
            "slice_repeated",
            f"All {len(names)} slices are those of {names[0]}: the name of the activation "
            "has to change with the loop (a function made in a loop reads the loop's "
            "variable when it is called).",
            lambda tried: self.slice(names[0], tried).expand_as(self.right(tried)),
        )
        final: Mistake[Tried] = Mistake(
            "last_slice_repeated",
            f"All {len(names)} slices are those of {names[-1]}: a function made in a "
            "loop reads the loop's variable when it is called; fix it with "
            "functools.partial.",
            lambda tried: self.slice(names[-1], tried).expand_as(self.right(tried)),
        )
        orders = [
            Mistake(
                "slices_swapped",
                f"The slices are in the order {', '.join(names[i] for i in order)}; "
                f"asked for are {', '.join(names)}.",
                partial(self._ordered, order),
            )
            for order in permutations(range(len(names)))
            if list(order) != sorted(order)
        ]
        return [last, first, final, *orders]

    def _ordered(self, order: tuple[int, ...], tried: Tried) -> Tensor:
        return self.right(tried)[list(order)]

    def narrowed(
        self, found: Sequence[Tensor], right: Sequence[Tensor]
    ) -> Iterator[Mistake[Tried]]:
        """One mistake made in every slice, or in the first slice that is wrong."""
        tables = {name: {m.name: m for m in self.table(name)} for name in self.slices}
        shared = [
            n
            for n in next(iter(tables.values()))
            if all(n in t for t in tables.values())
        ]
        for name in shared:
            yield self._everywhere(name, [table[name] for table in tables.values()])
        if any(f.shape != r.shape for f, r in zip(found, right, strict=True)):
            return
        for number, name in enumerate(self.slices):
            if not all(
                same(f[number], r[number]) for f, r in zip(found, right, strict=True)
            ):
                for mistake in self.table(name):
                    yield self._here(found, number, name, mistake)
                return

    @staticmethod
    def _everywhere(name: str, each: Sequence[Mistake[Tried]]) -> Mistake[Tried]:
        def produces(tried: Tried) -> Tensor:
            return torch.stack([mistake.produces(tried) for mistake in each])

        return Mistake(name, each[0].sentence, produces)

    def _here(
        self,
        found: Sequence[Tensor],
        number: int,
        name: str,
        mistake: Mistake[Tried],
    ) -> Mistake[Tried]:
        """A mistake in one slice, whatever is in the others."""

        def produces(tried: Tried) -> Tensor:
            given = mistake.produces(tried)
            # The others are taken as they are: only this slice is judged.
            for value in found:
                if value.shape[1:] == given.shape and same(value[number], given):
                    return value
            return torch.full_like(self.right(tried), torch.nan)

        said = f"In slice {number} ({name}): {mistake.sentence}"
        return Mistake(mistake.name, said, produces)


def every_exercise(
    name: str, every: Every, praise: str, *, last: Callable[[], Case] = chapter_case
) -> Exercise[Tried]:
    """The exercise of a stacked sweep."""
    axes = ("activation", *every.axes)
    return Exercise(
        name,
        lambda: sweep_trials(every.right, axes, last=last),
        every.whole(),
        praise,
        f"The slices are {', '.join(every.slices)}: check the first wrong one alone.",
        every.narrowed,
    )
