"""The main job, as a person does it: the quickstart in JupyterLab, a click, the truth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from lab import VIEWPORT, CellError, Notebook, write_copy
from server import THIS_PYTHON
from torch.testing import assert_close

pytestmark = pytest.mark.browser

QUICKSTART = Path(__file__).parents[2] / "examples/quickstart.ipynb"

# TransformerLens' own function, on the kernel's own model, in logits above the base run.
THEIRS = """
import json, torch
from transformer_lens import patching

def logit_diff(logits):
    right, wrong = study.pairs.answers.T
    rows = torch.arange(len(right))
    return (logits[rows, -1, right] - logits[rows, -1, wrong]).mean()

with torch.no_grad():
    clean_cache = model.run_with_cache(study.pairs.clean)[1]
    theirs = patching.get_act_patch_attn_head_out_all_pos(
        model, study.pairs.corrupted, clean_cache, logit_diff)
    theirs = theirs - logit_diff(model(study.pairs.corrupted))
"""


@pytest.fixture(scope="module")
def opened(lab_server, browser):
    """One notebook that was run from the top, for all tests that go on from there.

    Tests with a notebook of their own come after them: at their end all kernels do.
    """
    write_copy(QUICKSTART, lab_server.root / "opened.ipynb", THIS_PYTHON)
    notebook = Notebook(browser.new_context(viewport=VIEWPORT).new_page())
    notebook.open(lab_server, "opened.ipynb")
    notebook.run_all()
    yield notebook
    notebook.page.context.close()
    lab_server.shut_kernels_down()


@pytest.fixture
def quickstart(opened, request, pictures):
    """With nothing picked, and no error in the page."""
    opened.run("widget.selection = []")
    widget_of(opened).locator(".pw-pick").first.wait_for(state="detached")
    yield opened
    if getattr(request.node, "has_failed", False):
        opened.screenshot(pictures / "failed.png")
    assert opened.errors == []


@pytest.fixture
def shown_beside(opened):
    """Runs a cell under the quickstart's; its widget. The last tests: it sets `study`."""

    def show(source):
        cell = opened.append(source)
        opened.run_cell(cell)
        root = opened.output(cell).locator(".pw-root")
        root.locator('canvas.pw-grid[data-kind="z"][data-drawn]').wait_for()
        return root

    return show


def widget_of(notebook):
    root = notebook.page.locator(".pw-root").first
    root.wait_for()
    root.locator('canvas.pw-grid[data-kind="z"][data-drawn]').wait_for()
    return root


def click_cell(root, kind, row, column, **how):
    canvas = root.locator(f'canvas.pw-grid[data-kind="{kind}"]')
    canvas.scroll_into_view_if_needed()
    rows, columns = (int(canvas.get_attribute(f"data-{n}")) for n in ("rows", "cols"))
    box = canvas.bounding_box()
    place = {
        "x": (column + 0.5) / columns * box["width"],
        "y": (row + 0.5) / rows * box["height"],
    }
    canvas.click(position=place, **how)


def exact_of(root, node):
    cell = root.locator(f'.pw-pick[data-node="{node}"] .pw-exact[data-raw]')
    cell.wait_for(timeout=10_000)
    return {
        name: float(cell.get_attribute(f"data-{name}")) for name in ("raw", "value")
    }


def test_a_clicked_head_shows_what_transformer_lens_computes(quickstart, pictures):
    check_a_clicked_head(quickstart, pictures)


def check_a_clicked_head(notebook, pictures):
    root = widget_of(notebook)
    click_cell(root, "z", 3, 5)
    shown = exact_of(root, "L3H5.z")
    notebook.run(THEIRS)
    theirs = json.loads(notebook.run("print(json.dumps(theirs.tolist()))"))
    assert_close(torch.tensor(shown["raw"]), torch.tensor(theirs[3][5]))
    scale = float(notebook.run("print(repr(study.scale))"))
    assert_close(torch.tensor(shown["value"]), torch.tensor(theirs[3][5] / scale))
    assert root.locator(".pw-pick").count() == 1, "a plain click picks this one alone"
    assert notebook.run("print(widget.selection)") == "['L3H5.z']"
    root.scroll_into_view_if_needed()
    notebook.screenshot(pictures / "quickstart.png")


def test_the_quickstart_finds_a_head_that_the_estimate_misses(quickstart):
    notebook = quickstart
    query, pattern = json.loads(
        notebook.run(
            "import json; print(json.dumps([[study.estimate(n.kind)[n], "
            "study.exact([n])[n].value] for n in (worst, pattern)]))"
        )
    )
    assert abs(query[1] - query[0]) > 0.2, "by more than a fifth of the full effect"
    # The reasons that it gives: part is lost in the softmax, the rest behind it.
    assert query[1] == pytest.approx(pattern[1], rel=0.1)
    assert abs(query[0]) < 0.9 * abs(pattern[0])
    assert abs(pattern[0]) < 0.9 * abs(pattern[1])


def test_the_page_follows_the_selection_of_a_cell(quickstart):
    notebook = quickstart
    root = widget_of(notebook)
    notebook.run('widget.selection = ["L2H0.v", "L4.resid_pre@14"]')
    values = {name: exact_of(root, name) for name in ("L2H0.v", "L4.resid_pre@14")}
    known = json.loads(
        notebook.run(
            "import json; print(json.dumps({str(n): e.raw.mean().item() "
            "for n, e in study.verified.items()}))"
        )
    )
    for name, shown in values.items():
        assert shown["raw"] == pytest.approx(known[name], rel=1e-6)
    click_cell(root, "k", 1, 7, modifiers=["Shift"])
    exact_of(root, "L1H7.k")
    selection = notebook.run("print(widget.selection)")
    assert selection == "['L2H0.v', 'L4.resid_pre@14', 'L1H7.k']"
    assert notebook.errors == []


def test_what_a_cell_computes_is_marked_on_the_page(quickstart):
    notebook = quickstart
    root = widget_of(notebook)
    notebook.run('study.exact("k"); widget.selection = ["L0H3.k"]')
    exact_of(root, "L0H3.k")
    assert notebook.run(
        "print(sum(name.endswith('.k') for name in widget.verified))"
    ) == ("40")


def test_attention_of_a_picked_head_is_drawn(quickstart, pictures):
    notebook = quickstart
    root = widget_of(notebook)
    click_cell(root, "q", 2, 1)
    for run in ("clean", "corrupted", "difference"):
        panel = f'.pw-attention-panel[data-head="L2H1"][data-run="{run}"]'
        root.locator(panel).wait_for(timeout=10_000)
    notebook.screenshot(pictures / "attention.png")
    assert notebook.errors == []


FAILING = """
import torch

calls = []
def metric(logits):
    value = logits[:, -1, 3] - logits[:, -1, 4]
    if calls:  # right while the study is made, wrong in a patched run
        raise ArithmeticError("<b>no</b> metric today")
    return value

from patchwidget import PatchStudy, PatchWidget, demo
study = PatchStudy(demo.load_model(), demo.ioi_pairs(), metric=metric)
broken = PatchWidget(study)
calls.append(1)
broken
"""


def test_an_error_is_shown_and_its_markup_is_text(opened, shown_beside):
    root = shown_beside(FAILING)
    click_cell(root, "z", 1, 2)
    error = root.locator(".pw-job .pw-error")
    error.wait_for(timeout=10_000)
    text = error.inner_text()
    assert "ArithmeticError" in text
    assert "<b>no</b> metric today" in text
    with pytest.raises(CellError, match="no layer 99"):
        opened.run('broken.selection = ["L99H0.z"]')
    root.get_by_text("there is no layer 99").wait_for()


HOSTILE = """
from patchwidget import PatchStudy, PatchWidget, Pairs, demo

model = demo.load_model()
pairs = Pairs(
    "Then Mary and John met. Mary spoke to",
    "Then Mary and John met. John spoke to",
    answers=[(" John", " Mary")],
)
study = PatchStudy(model, pairs)
# A tokenizer may have such a token; the bundled one would cut it into letters.
markup = "<img/src=x/onerror='window.hacked=1'>"
for row in study.pairs.text[0]:
    row[2] = markup
study.pairs.answer_text[0][0] = markup
PatchWidget(study)
"""
MARKUP = "<img/src=x/onerror='window.hacked=1'>"


def test_tokens_with_markup_are_text(opened, shown_beside):
    root = shown_beside(HOSTILE)
    assert root.locator("img").count() == 0
    assert opened.page.evaluate("window.hacked") is None
    assert root.inner_text().count(MARKUP) >= 3, "in both prompts and the answer"


@pytest.mark.long
@pytest.mark.parametrize("version", ["7.3.0", "6.31.0"])
def test_a_clicked_head_with_an_older_kernel(open_notebook, pictures, version):
    notebook = open_notebook(QUICKSTART, kernel=f"ipykernel-{version}")
    notebook.run_all()
    check_a_clicked_head(notebook, pictures)
    assert notebook.errors == []
