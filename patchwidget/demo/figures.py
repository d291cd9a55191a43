"""The figures of the card about circuits: which heads and MLPs do what, and how much."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from patchwidget.demo.accuracy import Encode
from patchwidget.demo.cases import fact_cases, induction_cases, ioi_cases, year_cases
from patchwidget.demo.circuit import HEAD_KINDS, Bench, at, copy_heads, pearson, ranked
from patchwidget.demo.net import Net

IOI_PROMPTS = 64
FACT_PROMPTS = 12
OTHER_PROMPTS = 32
ATTENDS = 0.3
"""A head belongs to a group if it attends where the group does at least this much."""

GROUPS = {
    "duplicate-token": ("S2", "S1", "q"),
    "S-inhibition": ("END", "S2", "v"),
    "name mover": ("END", "IO", "q"),
}
"""Where a group attends, and the kind whose effect shows it at work."""


@dataclass(frozen=True)
class HeadFigure:
    """One head: where it attends, what its patch does, what AtP says it does."""

    layer: int
    head: int
    attention: float
    exact: float
    estimate: float

    @property
    def name(self) -> str:
        """Layer and head, as in ``4.1``."""
        return f"{self.layer}.{self.head}"


@dataclass(frozen=True)
class TakeOver:
    """A head that writes more of the answer when an earlier one is ablated."""

    ablated: str
    head: str
    before: float
    after: float


@dataclass(frozen=True)
class IoiFigures:
    """What was measured on indirect objects (means over prompts)."""

    clean: float
    corrupted: float
    groups: dict[str, list[HeadFigure]]
    written_by_name_movers: float
    correlation: dict[str, float]
    true_five: list[str]
    estimated_ten: list[str]
    hidden_query: HeadFigure
    take_over: TakeOver


@dataclass(frozen=True)
class TaskFigures:
    """What was measured on another task: logit differences, heads, MLPs by place."""

    clean: float
    corrupted: float
    heads: list[HeadFigure]
    together: float
    mlps: dict[str, float]
    movers: list[HeadFigure]


def ioi_figures(net: Net, encode: Encode) -> IoiFigures:
    """Measure the indirect-object circuit on people who never meet in training."""
    bench = Bench(net, ioi_cases(IOI_PROMPTS, 1, "both"), encode)
    exact = {kind: bench.exact(kind) for kind in HEAD_KINDS}
    estimate = {kind: bench.estimate(kind) for kind in HEAD_KINDS}
    groups = {
        name: _attending(bench.attention(dest, src), exact[kind], estimate[kind])
        for name, (dest, src, kind) in GROUPS.items()
    }
    written = bench.written(bench.clean_values)
    movers = [written[h.layer, h.head].item() for h in groups["name mover"]]
    clean = bench.clean_difference.mean().item()
    return IoiFigures(
        clean=clean,
        corrupted=bench.corrupted_difference.mean().item(),
        groups=groups,
        written_by_name_movers=sum(movers) / clean,
        correlation={k: pearson(exact[k], estimate[k]) for k in HEAD_KINDS},
        true_five=_names(ranked(exact["z"], 5)),
        estimated_ten=_names(ranked(estimate["z"], 10)),
        hidden_query=_hidden_query(bench, groups["duplicate-token"]),
        take_over=_take_over(bench, groups),
    )


def fact_figures(net: Net, encode: Encode) -> TaskFigures:
    """Measure facts in carrier 0, where training shows none of them."""
    bench = Bench(net, fact_cases(FACT_PROMPTS, 0, 0), encode)
    return _task_figures(bench, dest="END", src="NOUN", mover=("NOUN", "FIRST"))


def year_figures(net: Net, encode: Encode) -> TaskFigures:
    """Measure years: a late clean year against 01."""
    bench = Bench(net, year_cases(OTHER_PROMPTS, 1), encode)
    return _task_figures(bench, dest="END", src="YY")


def induction_figures(net: Net, encode: Encode) -> TaskFigures:
    """Measure induction: another word at the place to copy from."""
    bench = Bench(net, induction_cases(OTHER_PROMPTS, 1, 8), encode)
    return _task_figures(bench, dest="END", src="NEXT", mover=("NEXT", "SEEN"))


def _task_figures(
    bench: Bench, dest: str, src: str, mover: tuple[str, str] | None = None
) -> TaskFigures:
    exact, estimate = bench.exact("z"), bench.estimate("z")
    attention = bench.attention(dest, src)
    heads = [_figure(cell, attention, exact, estimate) for cell in ranked(exact, 4)]
    movers = _attending(bench.attention(*mover), exact, estimate) if mover else []
    mlps = {}
    for name in (src, dest):
        position = bench.mark(name)
        for layer in range(bench.layers):
            edit = {f"{layer}.mlp_out": at(position)}
            mlps[f"layer {layer} at {name}"] = bench.effect(edit)
        every = {f"{layer}.mlp_out": at(position) for layer in range(bench.layers)}
        mlps[f"all layers at {name}"] = bench.effect(every)
    return TaskFigures(
        clean=bench.clean_difference.mean().item(),
        corrupted=bench.corrupted_difference.mean().item(),
        heads=heads,
        together=_together(bench, attention),
        mlps=mlps,
        movers=movers,
    )


def _together(bench: Bench, attention: Tensor) -> float:
    """Effect of the z of all heads that attend, patched in one run."""
    edits = {}
    for layer, row in enumerate(attention):
        chosen = (row >= ATTENDS).nonzero().flatten()
        edits[f"{layer}.z"] = copy_heads(chosen)
    return bench.effect(edits)


def _figure(
    cell: tuple[int, int], attention: Tensor, exact: Tensor, estimate: Tensor
) -> HeadFigure:
    values = (grid[cell].item() for grid in (attention, exact, estimate))
    return HeadFigure(*cell, *values)


def _attending(attention: Tensor, exact: Tensor, estimate: Tensor) -> list[HeadFigure]:
    cells = [tuple(cell) for cell in (attention >= ATTENDS).nonzero().tolist()]
    return [_figure(cell, attention, exact, estimate) for cell in cells]


def _names(cells: list[tuple[int, int]]) -> list[str]:
    return [f"{layer}.{head}" for layer, head in cells]


def _hidden_query(bench: Bench, group: list[HeadFigure]) -> HeadFigure:
    """The query at S2 of the strongest head of the group, alone."""
    best = max(group, key=lambda figure: figure.exact)
    name, position = f"{best.layer}.q", bench.mark("S2")
    rows = torch.arange(len(position))
    return HeadFigure(
        best.layer,
        best.head,
        best.attention,
        exact=bench.effect({name: at(position, best.head)}),
        estimate=bench.products[name][rows, position, best.head].sum().item(),
    )


def _take_over(bench: Bench, groups: dict[str, list[HeadFigure]]) -> TakeOver:
    """The largest rise of one head's write when an earlier one is ablated."""
    before, found = bench.written(bench.clean_values), []
    for head in {h.name: h for group in groups.values() for h in group}.values():
        after = bench.written_without(head.layer, head.head)
        rise = (after - before)[head.layer + 1 :]
        if rise.numel():
            cell = divmod(int(rise.argmax()), bench.heads)
            cell = (cell[0] + head.layer + 1, cell[1])
            values = (before[cell].item(), after[cell].item())
            found.append(TakeOver(head.name, _names([cell])[0], *values))
    return max(found, key=lambda each: each.after - each.before)
