"""The harness itself: a tiny widget goes both ways between a kernel and a page."""

from __future__ import annotations

import pytest
from lab import CellError

pytestmark = pytest.mark.browser

COUNTER = '''
import anywidget, traitlets

class Counter(anywidget.AnyWidget):
    _esm = """
    function render({ model, el }) {
      const button = document.createElement("button");
      button.className = "counter";
      const draw = () => { button.textContent = `count ${model.get("count")}`; };
      button.onclick = () => {
        model.set("count", model.get("count") + 1);
        model.save_changes();
      };
      model.on("change:count", draw);
      draw();
      el.append(button);
    }
    export default { render };
    """
    count = traitlets.Int(3).tag(sync=True)

counter = Counter()
counter
'''


def check_both_ways(notebook):
    notebook.run_all()
    button = notebook.output(0).locator(".counter")
    button.click()
    notebook.page.get_by_text("count 4").wait_for()
    assert notebook.run("print(counter.count)") == "4"
    notebook.run("counter.count = 11")
    notebook.page.get_by_text("count 11").wait_for()
    assert notebook.errors == []


def test_a_widget_goes_both_ways(open_notebook, pictures):
    notebook = open_notebook([COUNTER])
    check_both_ways(notebook)
    notebook.screenshot(pictures / "counter.png")
    assert (pictures / "counter.png").stat().st_size > 0


def test_an_error_in_a_cell_is_raised_with_its_traceback(open_notebook):
    notebook = open_notebook(["x = 1", "1 / 0"])
    with pytest.raises(CellError, match=r"cell 1 raised:(.|\n)*ZeroDivisionError"):
        notebook.run_all()
    assert notebook.run("x") == "1"


@pytest.mark.long
@pytest.mark.parametrize("version", ["7.3.0", "6.31.0"])
def test_older_kernels_work_too(open_notebook, version):
    notebook = open_notebook([COUNTER], kernel=f"ipykernel-{version}")
    check_both_ways(notebook)
    installed = notebook.run("import ipykernel; print(ipykernel.__version__)")
    assert installed == version
