"""What a person sees of a notebook that is opened where no kernel knows its widget.

It was saved in the middle of a job, as JupyterLab does by itself and with the state of
widgets, which it does if it is asked to.
"""

from __future__ import annotations

import nbformat
import pytest
from lab import IS_READY, READY_SECONDS, VIEWPORT, Notebook, write_copy
from live import BUSY_SETUP, WAIT_MS, Live
from server import THIS_PYTHON

pytestmark = [pytest.mark.browser, pytest.mark.long]

HEAD = "L3H5.z"
PICK = f"widget.selection = [{HEAD!r}]\nawait widget.settled()"
NAME = "saved.ipynb"
SAVE_STATE = """window.jupyterapp.commands.execute(
  "@jupyter-widgets/jupyterlab-manager:saveWidgetState")"""


@pytest.fixture(scope="module")
def saved(lab_server, browser):
    """The notebook without and with the state of widgets, and what was verified."""
    path = lab_server.root / NAME
    write_copy([BUSY_SETUP, PICK], path, THIS_PYTHON)
    notebook = Notebook(browser.new_context(viewport=VIEWPORT).new_page())
    notebook.open(lab_server, NAME)
    notebook.run_all()
    live = Live(notebook, notebook.output(0).locator(".pw-root"))
    exact = live.exact(HEAD)
    live.start_job()
    found = []
    for _ in range(2):
        notebook.save()
        found.append(nbformat.read(path, as_version=4))
        notebook.page.evaluate(SAVE_STATE)  # on, and off again
    assert live.ask("widget.job['state']") == "running"
    notebook.page.context.close()
    lab_server.shut_kernels_down()
    return {"without": found[0], "with": found[1]}, exact


@pytest.fixture
def reopened(lab_server, browser):
    """Opens one of the saved notebooks, with a fresh kernel or with none."""
    opened = []

    def reopen(document, *, kernel=True):
        document = nbformat.from_dict(document)
        if not kernel:
            del document.metadata["kernelspec"]
        nbformat.write(document, lab_server.root / NAME)
        notebook = Notebook(browser.new_context(viewport=VIEWPORT).new_page())
        opened.append(notebook)
        notebook.page.goto(lab_server.address_of(NAME))
        if kernel:
            timeout = READY_SECONDS * 1000
            notebook.page.wait_for_function(IS_READY, timeout=timeout)
        else:  # JupyterLab asks for one
            asked = notebook.page.get_by_role("dialog")
            asked.get_by_role("button", name="No Kernel", exact=True).click()
        return notebook

    yield reopen
    for notebook in opened:
        notebook.page.context.close()
    lab_server.shut_kernels_down()


def test_without_its_state_jupyterlab_says_that_there_is_no_widget(saved, reopened):
    notebook = reopened(saved[0]["without"])
    output = notebook.output(0)
    said = output.get_by_text("Error displaying widget: model not found")
    said.wait_for(timeout=WAIT_MS)
    assert not output.locator(".pw-root, progress").count()


def test_with_its_state_it_shows_what_was_found_and_that_nobody_computes(
    saved, reopened
):
    documents, exact = saved
    notebook = reopened(documents["with"])
    live = Live(notebook, notebook.output(0).locator(".pw-root"))
    said = live.root.locator(".pw-job[data-state=lost] [role=alert]")
    said.wait_for(timeout=WAIT_MS)
    assert "run the cell again" in said.inner_text()
    assert live.exact(HEAD) == exact
    live.click(live.grid("k"), 1, 2)
    live.wait_for_picks(["L1H2.k"])
    assert live.root.locator(".pw-pick .pw-exact").inner_text() == "not run"
    assert not live.root.locator("progress, .pw-cancel, [aria-busy=true]").count()
    assert notebook.errors == []
    notebook.run_cell(0)
    live.root.locator(".pw-job:not([data-state=lost])").wait_for(
        timeout=WAIT_MS, state="attached"
    )
    live.click(live.grid("z"), 3, 5)
    live.wait_for_picks([HEAD])
    assert live.exact(HEAD) == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("state", ["without", "with"])
def test_without_any_kernel_its_picture_is_shown(saved, reopened, state):
    notebook = reopened(saved[0][state], kernel=False)
    output = notebook.output(0)
    picture = output.locator("img[src^='data:image/png']")
    picture.wait_for(timeout=WAIT_MS)
    assert picture.evaluate("(image) => image.naturalWidth") > 100
    assert not output.locator(".pw-root, progress").count()
