"""Runs a notebook's cells in this process: no kernel, so under every TransformerLens."""

from __future__ import annotations

import ast
import json
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def cells_of(path):
    return json.loads(path.read_text("utf-8"))["cells"]


def run(path, *, after=lambda _cell, _names: None):
    """All cells, top to bottom; what they leave behind, by name.

    Args:
        path: of the notebook.
        after: called when a cell has run, with its id and the names so far.
    """
    names = {"__name__": "__main__"}
    for cell in cells_of(path):
        if cell["cell_type"] == "code":
            run_cell("".join(cell["source"]), f"{path.name}:{cell['id']}", names)
            after(cell["id"], names)
    return names


def run_cell(source, name, names):
    """As a kernel does, the value of a last expression is shown."""
    tree = ast.parse(source, name)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), names)  # noqa: S102 - it is our own notebook
    if last is not None:
        shown = ast.Expression(last.value)
        repr(eval(compile(shown, name, "eval"), names))  # noqa: S307 - see above
