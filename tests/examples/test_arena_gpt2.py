"""The course's questions on GPT-2 small, as far as its printed grids tell.

Weights are not needed: the cells that find the answers run on effects and estimates that
TransformerLens' demos printed.
"""

from __future__ import annotations

import ast
from types import SimpleNamespace

import pytest
from course import cells_of, notebook, source_of
from published import grids

S2 = 10  # in the prompts of those demos, as in the course


@pytest.fixture(scope="module")
def study():
    """What was printed, in a study's place."""
    exact, atp = grids("exact"), grids("atp")
    return SimpleNamespace(
        exact=lambda kind, by=None: exact[kind, by],
        estimate=lambda kind: atp[kind, None],
    )


def answer(number, name, names):
    """What a question's own cells find right: the names that they give to numbers."""
    cells = {cell["id"]: source_of(cell) for cell in cells_of(notebook(number))}
    # The question and the widget need a model.
    shown = ("quiz", "question", "FOLDED")
    found = [
        line
        for line in ast.parse(cells[f"{name}-stub"]).body
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) not in shown
    ]
    names["verdict"] = False
    for part in (ast.Module(found, []), ast.parse(cells[f"{name}-solution"])):
        exec(compile(part, name, "exec"), names)  # noqa: S102 - our own notebook
    return names["picked"]


def test_heads_at_s2_are_the_induction_heads(study):
    names = {
        "S2": S2,
        "by_pos": study.exact("z", "pos").values,
        "strongest": study.exact("z").top(8),
    }
    assert set(answer(2, "place", names)) == {"L5H5.z", "L6H9.z"}


def test_heads_by_values_are_those_that_inhibit_the_subject(study):
    picked = answer(3, "values", {"study": study})
    assert set(picked) == {"L8H6.v", "L8H10.v", "L7H9.v"}


def test_the_worst_queries_are_an_early_and_a_negative_head(study):
    assert answer(5, "worst", {"study": study}) == ["L5H5.q", "L10H7.q"]
