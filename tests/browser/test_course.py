"""The course in JupyterLab: it runs through, its checks answer, its widgets are used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_quickstart import click_cell

# Each runs a whole notebook.
pytestmark = [pytest.mark.browser, pytest.mark.long]

COURSE = sorted((Path(__file__).parents[2] / "examples/arena").glob("*.ipynb"))

SHOW = """async (index) => {
  const content = window.jupyterapp.shell.currentWidget.content;
  content.activeCellIndex = index;
  await content.scrollToItem(index, "start");
}"""
WRITE = """([index, source]) => {
  const panel = window.jupyterapp.shell.currentWidget;
  panel.content.widgets[index].model.sharedModel.setSource(source);
}"""
FOLDED = """(index) => window.jupyterapp.shell.currentWidget
  .content.widgets[index].inputHidden"""

MISTAKEN = """def ioi_metric(logits, answer_tokens, corrupted_logit_diff, clean_logit_diff):
    return logit_difference(logits, answer_tokens)"""
RIGHT = MISTAKEN.replace(
    "return logit_difference(logits, answer_tokens)",
    "value = logit_difference(logits, answer_tokens) - corrupted_logit_diff\n"
    "    return value / (clean_logit_diff - corrupted_logit_diff)",
)


def places_of(path):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return {cell["id"]: number for number, cell in enumerate(cells)}


@pytest.mark.parametrize("path", COURSE, ids=lambda path: path.stem)
def test_it_runs_through_and_its_widgets_are_used(path, open_notebook, pictures):
    places = places_of(path)
    notebook = open_notebook(path)
    notebook.run_all(timeout=400)
    for name in (name for name in places if name.endswith("picture")):
        notebook.page.evaluate(SHOW, places[name])
        root = notebook.output(places[name]).locator(".pw-root")
        root.wait_for()
        kind = "resid_pre" if path.name.startswith("1") else "z"
        root.locator(f'canvas.pw-grid[data-kind="{kind}"][data-drawn]').wait_for()
        click_cell(root, kind, 2, 3)
        node = "L2.resid_pre@3" if kind == "resid_pre" else "L2H3.z"
        exact = root.locator(f'.pw-pick[data-node="{node}"] .pw-exact[data-raw]')
        exact.wait_for(timeout=30_000)
        notebook.page.evaluate(SHOW, places[name])
        notebook.screenshot(pictures / f"{name}.png")
    assert notebook.errors == []


def test_what_a_newcomer_writes_is_answered(open_notebook, pictures):
    places = places_of(COURSE[0])
    notebook = open_notebook(COURSE[0])
    assert notebook.page.evaluate(FOLDED, places["metric-solution"])
    for name in ("setup", "prompts", "baselines"):
        notebook.run_cell(places[name])
    for source, said in (
        (None, "It is still a stub"),
        (MISTAKEN, "The metric is not normalised"),
        (RIGHT, "ioi_metric, right: It is 0 on the corrupted run"),
    ):
        if source is not None:
            notebook.page.evaluate(WRITE, [places["metric-stub"], source])
        notebook.run_cell(places["metric-stub"])
        assert said in notebook.run_cell(places["metric-check"])
        notebook.page.evaluate(SHOW, places["metric-goal"])
        notebook.screenshot(pictures / f"{said[:12]}.png")
    notebook.run_cell(places["metric-solution"])
    assert notebook.run("print(ioi_metric is ioi_metric_solution)") == "False"
    assert notebook.errors == []
