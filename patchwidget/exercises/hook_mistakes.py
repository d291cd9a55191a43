"""One call of a hook function, and the mistakes that it can have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from patchwidget.exercises.cases import Case
from patchwidget.exercises.mistakes import Mistake
from patchwidget.exercises.oracle import Cell, Index, index_of, replaced
from patchwidget.hooks import hook_name


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a hook function: where it hangs, and which cell it patches."""

    case: Case
    site: str
    cell: Cell

    @property
    def name(self) -> str:
        """The hook's name."""
        return hook_name(self.site, self.cell.layer)

    def value(self, *, clean: bool = False) -> Tensor:
        """The activation that the hook is given, or the clean one.

        Noise is on the former, so that the two differ at every position: in real runs they
        agree before the prompts do.
        """
        name = hook_name(self.site, self.cell.layer)
        value = self.case.activations["clean" if clean else "corrupted"][name]
        if clean:
            return value
        generator = torch.Generator().manual_seed(0)
        return value + torch.rand(value.shape, generator=generator)

    def put(self, index: Index, other: Tensor | None = None) -> Tensor:
        """The corrupted activation with the clean one's numbers at an index."""
        source = self.value(clean=True) if other is None else other
        return replaced(self.value(), source, index)

    @property
    def right(self) -> Tensor:
        """What should come back."""
        return self.put(index_of(self.site, self.cell))


_ALL = slice(None)


def _at(make: Callable[[Call], Index]) -> Callable[[Call], Tensor]:
    return lambda call: call.put(make(call))


def _own(call: Call) -> Index:
    return index_of(call.site, call.cell)


def _elsewhere(call: Call) -> Tensor:
    """The clean value of layer 0, whatever layer the hook is on."""
    name = hook_name(call.site, 0)
    return call.put(_own(call), call.case.activations["clean"][name])


def _of_the_stream(call: Call, layer: int) -> Tensor:
    """The clean resid_pre of a layer, whatever the hook is on."""
    name = hook_name("resid_pre", layer)
    return call.put(_own(call), call.case.activations["clean"][name])


COMMON: list[Mistake[Call]] = [
    Mistake(
        "unpatched",
        "The activation comes back as it was: assign the clean value to it, and read the "
        "values from clean_cache.",
        lambda call: call.value(),
    ),
    Mistake(
        "slice_returned",
        "You returned the patched part only: return the whole activation, with that part "
        "replaced.",
        lambda call: call.value(clean=True)[_own(call)],
    ),
    Mistake(
        "all_patched",
        "You returned the clean activation as a whole: replace one part, and keep the "
        "corrupted run's rest.",
        lambda call: call.value(clean=True),
    ),
    Mistake(
        "direction_swapped",
        "It is the wrong way round: the clean activation came back with a corrupted part "
        "in it.",
        lambda call: replaced(call.value(clean=True), call.value(), _own(call)),
    ),
    Mistake(
        "zeroed",
        "Zeros were put in: that is an ablation. Put the clean value there.",
        lambda call: call.put(_own(call), torch.zeros_like(call.value())),
    ),
    Mistake(
        "added",
        "The clean value was added to the corrupted one: a patch replaces it.",
        lambda call: call.put(_own(call), call.value() + call.value(clean=True)),
    ),
    Mistake(
        "fixed_layer",
        "The clean value is that of layer 0: read clean_cache[hook.name], which follows "
        "the hook.",
        _elsewhere,
    ),
    Mistake(
        "first_prompt_only",
        "Only the first prompt of the batch was patched: keep a `:` for the batch.",
        _at(lambda call: (0, *_own(call)[1:])),
    ),
]
STREAM: list[Mistake[Call]] = [
    Mistake(
        "fixed_place",
        "The clean value is always that of resid_pre: read clean_cache[hook.name], which "
        "follows the hook.",
        lambda call: _of_the_stream(call, call.cell.layer),
    ),
    Mistake(
        "fixed_place",
        "The clean value is always that of layer 0's resid_pre: read "
        "clean_cache[hook.name], which follows the hook.",
        lambda call: _of_the_stream(call, 0),
    ),
    Mistake(
        "pos_later",
        "Off by one position: you patched pos + 1.",
        _at(lambda call: (_ALL, call.cell.pos + 1)),
    ),
    Mistake(
        "pos_earlier",
        "Off by one position: you patched pos - 1.",
        _at(lambda call: (_ALL, call.cell.pos - 1)),
    ),
    Mistake(
        "from_pos_on",
        "You patched this position and all after it: `pos:` is a range, `pos` is one.",
        _at(lambda call: (_ALL, slice(call.cell.pos, None))),
    ),
    Mistake(
        "up_to_pos",
        "You patched this position and those before it: `:pos + 1` is a range.",
        _at(lambda call: (_ALL, slice(call.cell.pos + 1))),
    ),
    Mistake(
        "before_pos",
        "You patched the positions before this one: `:pos` is a range, `pos` is one.",
        _at(lambda call: (_ALL, slice(call.cell.pos))),
    ),
    Mistake(
        "pos_as_feature",
        "The position indexes the last axis: activations are [batch, pos, d_model].",
        _at(lambda call: (..., call.cell.pos)),
    ),
    Mistake(
        "pos_as_batch",
        "The position indexes the batch: activations are [batch, pos, d_model], so keep a "
        "`:` in front.",
        _at(lambda call: (call.cell.pos % len(call.value()),)),
    ),
]
HEAD: list[Mistake[Call]] = [
    Mistake(
        "head_on_second_axis",
        "The head indexes the positions: vectors of heads are [batch, pos, head, d_head].",
        _at(lambda call: (_ALL, call.cell.head)),
    ),
    Mistake(
        "head_on_last_axis",
        "The head indexes the last axis: vectors of heads are [batch, pos, head, d_head].",
        _at(lambda call: (..., call.cell.head)),
    ),
    Mistake(
        "last_pos_only",
        "You patched the last position only: here a head is replaced at all positions.",
        _at(lambda call: (_ALL, -1, call.cell.head)),
    ),
    Mistake(
        "head_later",
        "Off by one head: you patched head_index + 1.",
        _at(lambda call: (_ALL, _ALL, (call.cell.head + 1) % call.case.size("head"))),
    ),
    Mistake(
        "head_earlier",
        "Off by one head: you patched head_index - 1.",
        _at(lambda call: (_ALL, _ALL, call.cell.head - 1)),
    ),
]
HEAD_BY_POS: list[Mistake[Call]] = [
    Mistake(
        "all_heads_at_pos",
        "You patched position p in all heads: only head_index is meant.",
        _at(lambda call: (_ALL, call.cell.pos)),
    ),
    Mistake(
        "all_positions",
        "You patched all positions of the head instead of one.",
        _at(lambda call: (_ALL, _ALL, call.cell.head)),
    ),
    Mistake(
        "axes_swapped",
        "Position and head are swapped: vectors of heads are [batch, pos, head, d_head].",
        _at(lambda call: (_ALL, call.cell.head, call.cell.pos)),
    ),
]
PATTERN: list[Mistake[Call]] = [
    Mistake(
        "head_on_third_axis",
        "The head indexes the destinations: a pattern is [batch, head, dest, src], unlike "
        "the vectors of heads.",
        _at(lambda call: (_ALL, _ALL, call.cell.head)),
    ),
    Mistake(
        "head_on_last_axis",
        "The head indexes the sources: a pattern is [batch, head, dest, src].",
        _at(lambda call: (..., call.cell.head)),
    ),
    Mistake(
        "last_row_only",
        "You patched the last destination only: the whole pattern of the head is meant.",
        _at(lambda call: (_ALL, call.cell.head, -1)),
    ),
    Mistake(
        "transposed",
        "The pattern is transposed: it is [batch, head, dest, src], and each row [src] "
        "adds up to 1.",
        lambda call: call.put(_own(call), call.value(clean=True).mT),
    ),
    Mistake(
        "head_later",
        "Off by one head: you patched head_index + 1.",
        _at(lambda call: (_ALL, (call.cell.head + 1) % call.case.size("head"))),
    ),
    Mistake(
        "head_earlier",
        "Off by one head: you patched head_index - 1.",
        _at(lambda call: (_ALL, call.cell.head - 1)),
    ),
]
