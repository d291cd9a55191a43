"""Every example runs from top to bottom, and is committed without what it printed."""

from __future__ import annotations

import pytest
from notebooks import EXAMPLES, cells_of, run

NOTEBOOKS = sorted(
    path
    for path in EXAMPLES.rglob("*.ipynb")
    if ".ipynb_checkpoints" not in path.parts  # JupyterLab's own copies
)


def test_there_are_examples():
    names = {"quickstart", "when_estimates_lie", "from_heads_to_circuit"}
    assert names <= {path.stem for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_that_a_run_leaves_is_committed(path):
    code = [cell for cell in cells_of(path) if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] for cell in code)
    assert all(cell["execution_count"] is None for cell in code)


# The others are run by the tests of what they say.
def test_the_quickstart_runs():
    widget = run(EXAMPLES / "quickstart.ipynb")["widget"]
    assert len(widget.selection) == 2
    widget.close()
