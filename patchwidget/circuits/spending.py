"""The patched runs that a question needs, in one direction or in both."""

from __future__ import annotations

from collections.abc import (
    Callable,
    Collection,
    Hashable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Protocol, TypeVar

from patchwidget.effects import Effect
from patchwidget.exact import Patch, PatchCost, Progress
from patchwidget.runs import Direction

Run = TypeVar("Run", bound=Hashable)
"""What stands for a patched run: the nodes that are patched, or the paths that are cut."""
Need = Mapping[Direction, Sequence[Run]]
Found = Mapping[Direction, Mapping[Patch, Effect]]


class Known(Protocol[Run]):
    """The effects that are known."""

    def of(self, metric: str | None = None) -> Mapping[Run, Effect]:
        """Those on a metric; None is the main one."""
        ...


class Running(Protocol[Run]):
    """Makes patched runs, and knows what they gave."""

    @property
    def known(self) -> Known[Run]:
        """What is known already."""
        ...

    def steps(self, patches: Collection[Run]) -> Iterator[Progress]:
        """Make those of some runs that are not known, step by step."""
        ...

    def cost(self, patches: Collection[Run]) -> PatchCost:
        """What `steps` would cost."""
        ...


Runners = Callable[[Direction], Running[Run]]


def spend(need: Need[Run], runners: Runners[Run], own: Direction) -> Iterator[Progress]:
    """Run what a question needs; what is known is not run again.

    Args:
        need: runs by direction.
        runners: who makes them.
        own: the direction of the study that is asked: what is found in the other one is
            not told in the records, whose effects are all of one direction.
    """
    each = {way: list(dict.fromkeys(patches)) for way, patches in need.items()}
    total = sum(map(len, each.values()))
    before = 0
    for number, (way, patches) in enumerate(each.items()):
        for step in runners(way).steps(patches):
            found = step.found if way == own else ()
            work = (number + step.work) / len(each)
            yield Progress(before + step.done, total, found, work)
        before += len(patches)


def price(need: Need[Run], runners: Runners[Run]) -> PatchCost:
    """What is to be run of it, and what that would cost."""
    costs = [runners(way).cost(list(patches)) for way, patches in need.items()]
    return PatchCost(
        sum(one.patches for one in costs),
        sum(one.multiplications for one in costs),
        sum(one.seconds for one in costs),
    )
