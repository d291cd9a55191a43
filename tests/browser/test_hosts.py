"""Every host with every kernel: the widget is drawn, is right, stops, and says what is.

A host and a kernel have one notebook for all tests, each of which starts from a widget
on an open page.
"""

from __future__ import annotations

import pytest
from lab import VIEWPORT, Notebook, write_copy
from live import BUSY_SETUP, CANCEL, CANCEL_MS, MANY_PAIRS, WAIT_MS, on_screen
from server import (
    JUPYTERLAB,
    LAB_IPYWIDGETS_7,
    NOTEBOOK_7,
    THIS_PYTHON,
    running_server,
)

from patchwidget import PatchStudy, demo

pytestmark = [pytest.mark.browser, pytest.mark.long]

IPYWIDGETS = {JUPYTERLAB: "8.1.9", LAB_IPYWIDGETS_7: "7.7.5", NOTEBOOK_7: "8.1.9"}
KERNELS = {
    THIS_PYTHON: "7.4.0",
    "ipykernel-7.3.0": "7.3.0",
    "ipykernel-6.31.0": "6.31.0",
}
HEADS = ["L0H0.q", "L3H5.z"]
KERNEL = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
INTERRUPT = f"() => {KERNEL}.interrupt()"
RESTART = f"() => {KERNEL}.restart()"


@pytest.fixture(scope="module")
def truth():
    """Exact effects, found without any host."""
    study = PatchStudy(demo.load_model(), demo.ioi_pairs(MANY_PAIRS, order="ABBA"))
    found = study.exact(HEADS)
    return {name: found[name].value for name in HEADS}


@pytest.fixture(scope="session", params=list(IPYWIDGETS), ids=lambda host: host.name)
def server(request, tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("host"), request.param) as server:
        yield server


@pytest.fixture(scope="module", params=list(KERNELS), ids=lambda name: KERNELS[name])
def opened(server, browser, request):
    name = f"{request.param}.ipynb"
    write_copy([BUSY_SETUP], server.root / name, request.param)
    notebook = Notebook(browser.new_context(viewport=VIEWPORT).new_page())
    notebook.open(server, name)
    # What Notebook 7 finds wrong with its own settings is there before any widget.
    notebook.errors.clear()
    notebook.run_all()
    yield notebook, KERNELS[request.param]
    notebook.page.context.close()
    server.shut_kernels_down()


@pytest.fixture
def live(opened, request, pictures):
    notebook, _ = opened
    with on_screen(notebook, request, pictures) as live:
        live.grid("z")
        yield live


def check_a_click(live, head, truth):
    """Click a head, and read what the page says of it."""
    layer, number, kind = int(head[1]), int(head[3]), head[-1]
    live.click(live.grid(kind), layer, number)
    live.wait_for_picks([head])
    assert live.exact(head) == pytest.approx(truth[head], rel=1e-5)


def test_the_versions_are_those_that_are_meant(live, opened, server):
    versions = "[__import__(name).__version__ for name in ('ipywidgets', 'ipykernel')]"
    assert live.ask(versions) == [IPYWIDGETS[server.host], opened[1]]


def test_it_is_drawn_and_a_click_gets_the_truth(live, truth):
    for kind in "zqkv":
        assert len(live.colours(live.grid(kind)).unique(dim=0)) > 3
    for head in HEADS:
        check_a_click(live, head, truth)


def test_a_job_is_cancelled_from_the_page(live, opened, server):
    waits = []
    for _ in range(3):
        live.start_job()
        ended = live.root.evaluate(CANCEL)
        assert ended["state"] == "cancelled"
        waits.append(ended["ms"])
        assert live.ask("widget.job['state']") == "cancelled"
        assert not live.root.locator(".pw-job progress").count()
    print(  # noqa: T201 - a figure for the reader of the run
        f"\n{server.host.name}, ipykernel {opened[1]}: cancelled "
        f"{', '.join(f'{ms:.0f}' for ms in waits)} ms after the click"
    )
    assert min(waits) < CANCEL_MS, "the others may have come at a busy moment"
    known = live.ask("len(study.verified)")
    assert 0 < known < 9000, "what was finished is kept, and the rest was not run"
    assert (
        live.ask("__import__('patchwidget.hooks').hooks.user_hooks(study.model)") == {}
    )


def test_the_stop_button_stops_a_job(live):
    live.start_job()
    live.page.evaluate(INTERRUPT)
    live.wait_for_its_end()
    assert live.ask("[widget.job['state'], len(study.verified) < 9000]") == [
        "cancelled",
        True,
    ]


def test_a_restart_in_the_middle_of_a_job_is_said(live, truth):
    live.start_job()
    live.page.evaluate(RESTART)
    said = live.root.locator(".pw-job[data-state=lost] [role=alert]")
    said.wait_for(timeout=WAIT_MS)
    assert "run the cell again" in said.inner_text()
    assert live.root.locator("progress, .pw-cancel").count() == 0, "nothing spins"
    live.click(live.grid("k"), 1, 2)
    assert live.root.locator(".pw-pick .pw-exact").inner_text() == "not run"
    live.notebook.run_cell(0)
    live.root.locator(".pw-job:not([data-state=lost])").wait_for(
        timeout=WAIT_MS, state="attached"
    )
    check_a_click(live, HEADS[0], truth)
