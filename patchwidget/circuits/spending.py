"""The patched runs that a question needs, in one direction or in both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from patchwidget.effects import Effect
from patchwidget.exact import Patch, PatchCost, Progress, Runner
from patchwidget.runs import Direction

Need = Mapping[Direction, Sequence[Patch]]
Found = Mapping[Direction, Mapping[Patch, Effect]]
Runners = Callable[[Direction], Runner]


def spend(need: Need, runners: Runners, own: Direction) -> Iterator[Progress]:
    """Run what a question needs; what is known is not run again.

    Args:
        need: patches by direction.
        runners: who runs them.
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


def price(need: Need, runners: Runners) -> PatchCost:
    """What is to be run of it, and what that would cost."""
    costs = [runners(way).cost(list(patches)) for way, patches in need.items()]
    return PatchCost(
        sum(one.patches for one in costs),
        sum(one.multiplications for one in costs),
        sum(one.seconds for one in costs),
    )
