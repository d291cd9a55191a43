"""Walks through a notebook of the course as a reader does, exercise by exercise."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from notebooks import EXAMPLES, cells_of, run, run_cell

from patchwidget import PatchWidget
from patchwidget.questions import Reply

COURSE = sorted((EXAMPLES / "arena").glob("*.ipynb"))
PARTS = ("goal", "stub", "check", "solution")


def source_of(cell):
    return "".join(cell["source"])


def notebook(number):
    (path,) = (path for path in COURSE if path.name.startswith(f"{number}_"))
    return path


def exercises_of(path):
    """Their short names, in order: `metric` of `metric-goal`, `metric-stub`, ..."""
    ids = [cell["id"] for cell in cells_of(path)]
    return [one.removesuffix("-stub") for one in ids if one.endswith("-stub")]


def is_question(cells, name):
    """Whether it is answered by picks in a widget, not by a function."""
    return "question.judge" in source_of(cells[f"{name}-check"])


def close_widgets(names):
    for value in names.values():
        if isinstance(value, PatchWidget):
            value.close()


@dataclass
class Walk:
    """What a walk met: names left behind, and the verdicts on stubs and on solutions."""

    names: dict = field(default_factory=dict)
    stubs: dict = field(default_factory=dict)
    solutions: dict = field(default_factory=dict)
    replaced: list = field(default_factory=list)
    grad_was_off: bool = False


PICKED = "picked"  # what a question's solution leaves behind


def answer_of(verdict):
    """The name of what is judged: a function, or picks."""
    return PICKED if isinstance(verdict, Reply) else verdict.exercise


# Its check takes longer than all other cells together: a long test runs it.
LONG = "bonus"


def walk(number):
    """Runs all cells; where a solution stands, the check is run again, on it."""
    path, found = notebook(number), Walk()
    sources = {cell["id"]: source_of(cell) for cell in cells_of(path)}

    def after(cell, names):
        name, _, part = cell.rpartition("-")
        if part == "check":
            found.stubs[name] = names["verdict"]
        if part == "solution" and name != LONG:
            asked = answer_of(found.stubs[name])
            mine = names[asked]
            if asked == PICKED:
                names["quiz"].selection = mine
            run_cell(sources[f"{name}-check"], f"{cell}:again", names)
            found.solutions[name] = names["verdict"]
            # Who was right keeps what is theirs when the solution's cell is run.
            run_cell(sources[cell], f"{cell}:again", names)
            if names[asked] != mine:
                found.replaced.append(asked)

    try:
        found.names = run(path, after=after)
        found.grad_was_off = not torch.is_grad_enabled()
    finally:
        torch.set_grad_enabled(True)  # they switch it off for good, as chapters do
    close_widgets(found.names)
    return found
