"""Scores as rows of Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from estimators import CORRECTED, ESTIMATES, TOP, NodeList, Score, Scores

from patchwidget.rank import RANKINGS

METHODS = (*ESTIMATES, CORRECTED, *RANKINGS)
NONE = "–"
RECALLED = (5, 10, 20)


def number(value: float | None) -> str:
    """Two places, or a dash."""
    return NONE if value is None else f"{value:.2f}"


def runs(value: float | None) -> str:
    """A count of runs; means and halves of passes have one place."""
    return NONE if value is None else f"{round(value, 1):,g}"


def _recall(score: Score) -> str:
    if score.figures is None:
        return NONE
    found = [score.figures.recall[k] for k in RECALLED]
    return ", ".join(number(value) for value in found)


FIGURES: dict[str, Callable[[Score], str]] = {
    "Pearson": lambda score: number(score.figures and score.figures.pearson),
    "slope": lambda score: number(score.figures and score.figures.slope),
    f"recall@{', '.join(map(str, RECALLED))}": _recall,
    f"cost of the top {TOP}": lambda score: runs(score.cost),
}


def header(*first: str, methods=METHODS) -> list[str]:
    """The head of a table with a column for every method."""
    cells = [*first, *methods]
    return [row(*cells), row(*["---"] * len(cells))]


def row(*cells: str) -> str:
    """One row."""
    return f"| {' | '.join(cells)} |"


def across(scores: Scores, figure: str, methods=METHODS) -> list[str]:
    """One figure of every method; a dash where a method or the figure is not defined."""
    found = (scores.by_method.get(method) for method in methods)
    return [NONE if score is None else FIGURES[figure](score) for score in found]


def of_case(scored: Mapping[NodeList, Scores]) -> list[str]:
    """Everything about a case: four rows for each list of nodes."""
    lines = header("nodes", "of them can matter", "")
    for nodes, scores in scored.items():
        for figure in FIGURES:
            sizes = f"{len(scores.effects):,} of {scores.total:,}"
            lines.append(row(str(nodes), sizes, figure, *across(scores, figure)))
    return lines


def of_cases(scored: Mapping[str, Scores], figure: str, methods=METHODS) -> list[str]:
    """One figure of one list in every case."""
    lines = header("model", "nodes that can matter", methods=methods)
    for name, scores in scored.items():
        cells = across(scores, figure, methods)
        lines.append(row(name, f"{len(scores.effects):,}", *cells))
    return lines
