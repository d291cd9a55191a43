"""What a person sees when something breaks, in JupyterLab: `test_hosts.py` has restarts.

Each test leaves the widget on show, with its kernel.
"""

from __future__ import annotations

import pytest
from lab import VIEWPORT, CellError, Notebook, write_copy
from live import BUSY_SETUP, MANY_PAIRS, WAIT_MS, Live, on_screen
from server import THIS_PYTHON

pytestmark = [pytest.mark.browser, pytest.mark.long]

KERNEL = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
INTERRUPT_A_RUNNING_JOB = f"""(root) => {{
  const timer = setInterval(() => {{
    if (!(root.querySelector(".pw-job progress")?.value > 0)) return;
    clearInterval(timer);
    {KERNEL}.interrupt();
  }}, 50);
}}"""


def opened(server, browser, name):
    write_copy([BUSY_SETUP], server.root / name, THIS_PYTHON)
    notebook = Notebook(browser.new_context(viewport=VIEWPORT).new_page())
    notebook.open(server, name)
    notebook.run_all()
    return notebook


@pytest.fixture(scope="module")
def notebook(lab_server, browser):
    notebook = opened(lab_server, browser, "faults.ipynb")
    yield notebook
    notebook.page.context.close()
    lab_server.shut_kernels_down()


@pytest.fixture
def live(notebook, request, pictures):
    with on_screen(notebook, request, pictures) as live:
        live.grid("z")
        yield live


def check_it_works(live):
    """A click gets what another study finds for itself."""
    live.click(live.grid("q"), 4, 0)
    live.wait_for_picks(["L4H0.q"])
    pairs = f"demo.ioi_pairs({MANY_PAIRS}, order='ABBA')"
    live.notebook.run(f"other = PatchStudy(study.model, {pairs})")
    wanted = live.ask("other.exact(['L4H0.q'])['L4H0.q'].value")
    assert live.exact("L4H0.q") == pytest.approx(wanted, rel=1e-5)


def test_an_interrupt_of_a_waiting_cell_keeps_what_is_done(live):
    live.root.evaluate(INTERRUPT_A_RUNNING_JOB)
    with pytest.raises(CellError, match="KeyboardInterrupt"):
        live.notebook.run("widget.run('exact', 'pattern', by='dest_src')")
    live.wait_for_its_end()
    found = live.ask("len(study.verified)")
    assert 0 < found < 9000
    check_it_works(live)


def test_a_closed_last_view_stops_the_job_and_another_shows_what_is_known(live):
    live.start_job()
    live.notebook.clear_outputs()
    live.notebook.run("import asyncio; await asyncio.sleep(2)")
    assert live.ask("widget.job['state']") == "cancelled"
    cell = live.notebook.append("widget")
    live.notebook.run_cell(cell)
    again = Live(live.notebook, live.notebook.output(cell).locator(".pw-root"))
    check_it_works(again)
    live.notebook.clear_outputs()
    live.notebook.run_cell(0)


def test_a_cell_that_is_run_again_leaves_one_widget_that_works(live):
    live.notebook.run("old = __import__('weakref').ref(widget)")
    live.start_job()
    live.notebook.run_cell(0)
    live.notebook.run("import asyncio; await asyncio.sleep(2)")
    assert live.ask("old() is None or old().comm is None"), "the old one is closed"
    assert live.ask("widget.job['state']") == "idle"
    assert live.root.count() == 1
    check_it_works(live)


def test_two_kernels_do_not_hear_each_other(live, lab_server, browser):
    other = opened(lab_server, browser, "other.ipynb")
    theirs = Live(other, other.output(0).locator(".pw-root"))
    theirs.grid("z")
    theirs.start_job()
    check_it_works(live)
    assert theirs.ask("[widget.selection, widget.job['state']]") == [[], "running"]
    theirs.root.locator(".pw-cancel").click()
    theirs.wait_for_its_end()
    assert theirs.root.locator(".pw-pick").count() == 0
    other.page.context.close()


def test_a_page_that_is_loaded_again_shows_the_job_and_can_stop_it(live, lab_server):
    live.notebook.save()
    live.start_job()
    live.notebook.open(lab_server, "faults.ipynb")
    live.grid("z")
    live.root.locator(".pw-cancel").click()
    live.wait_for_its_end()
    assert live.ask("widget.job['state']") == "cancelled"
    check_it_works(live)


# The memory of a graphics card, of which there is enough for `most` patches at once.
SCARCE = """
import random
import torch
from patchwidget.exact import sweep
from patchwidget.hooks import user_hooks

read, most = sweep._read, None

def scarce(swap, batch, position):
    if most is not None and len(batch.patches) > most:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    return read(swap, batch, position)

sweep._read = scarce
"""
LARGEST_ERROR = f"""
def largest_error():
    names = random.Random(0).sample(list(map(str, study.verified)), 20)
    pairs = demo.ioi_pairs({MANY_PAIRS}, order="ABBA")
    found, known = PatchStudy(study.model, pairs).exact(names), study.verified
    return max(float((found[n].raw - known[n].raw).abs().max()) for n in names)
"""


def test_memory_that_runs_out_in_the_middle_of_a_job(live):
    live.notebook.run(SCARCE + LARGEST_ERROR)
    live.start_job()
    live.notebook.run("most = 8")
    before = live.ask("len(study.verified)")
    live.notebook.run("import asyncio; await asyncio.sleep(2)")
    assert live.ask("[widget.job['state'], len(study.verified) > " + f"{before}]") == [
        "running",
        True,
    ], "it goes on with less at once"
    live.notebook.run("most = 0")
    said = live.root.locator(".pw-job[data-state=failed] [role=alert]")
    said.wait_for(timeout=WAIT_MS)
    assert "failed: OutOfMemoryError" in said.inner_text()
    assert "Tried to allocate 2 GiB" in said.inner_text()
    assert live.root.locator("progress, .pw-cancel").count() == 0, "nothing spins"
    assert before < live.ask("len(study.verified)") < 9000, "what was found is kept"
    assert live.ask("user_hooks(study.model)") == {}
    live.notebook.run("most = None")
    assert live.ask("largest_error()") < 1e-4
    check_it_works(live)


FULL = """
import errno, os, pathlib

def full(_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

fsync, folder = os.fsync, pathlib.Path("kept")
folder.mkdir()
study.save(folder / "study"), widget.to_html(folder / "page.html")
contents = lambda: {one.name: one.read_bytes() for one in folder.iterdir()}
before, known = contents(), set(study.verified)
"""
SAVES = ("study.save(folder / 'study')", "widget.to_html(folder / 'page.html')")


def test_a_disk_that_is_full_leaves_the_old_files_whole_and_the_job_running(live):
    live.notebook.run(FULL)
    live.start_job()
    for save in SAVES:
        live.notebook.run("os.fsync = full")
        with pytest.raises(CellError, match="No space left on device"):
            live.notebook.run(save)
        live.notebook.run("os.fsync = fsync")
        assert live.ask("contents() == before"), "and nothing unfinished beside them"
    assert live.ask("widget.job['state']") == "running"
    loaded = "PatchStudy.load(folder / 'study')"
    assert live.ask(f"set({loaded}.verified) == known")
    live.root.locator(".pw-cancel").click()
    live.wait_for_its_end()
    live.notebook.run(SAVES[0])
    assert live.ask(f"set({loaded}.verified) == set(study.verified) > known")
    check_it_works(live)


def test_a_kernel_that_is_killed_takes_its_job_along(live):
    live.start_job()
    live.notebook.append("__import__('os')._exit(1)")
    index = len(live.notebook.cells()) - 1
    live.page.evaluate(
        """(index) => {
          const {content} = window.jupyterapp.shell.currentWidget;
          content.activeCellIndex = index;
          window.jupyterapp.commands.execute("notebook:run-cell");
        }""",
        index,
    )
    said = live.root.locator(".pw-job[data-state=lost] [role=alert]")
    said.wait_for(timeout=WAIT_MS)
    assert live.root.locator("progress, .pw-cancel").count() == 0
    live.page.get_by_role("button", name="Ok").click()
