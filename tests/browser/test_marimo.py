"""marimo, as a notebook and as an application: in a shadow root, without ipywidgets."""

from __future__ import annotations

import time

import psutil
import pytest
from lab import VIEWPORT
from live import CANCEL, MANY_PAIRS, WAIT_MS, Live
from marimo_server import OVERLAY, running_marimo
from playwright.sync_api import Error

from patchwidget import PatchStudy, demo

pytestmark = [pytest.mark.browser, pytest.mark.long]

OPEN_SECONDS = 120
# One click, on a machine that may be busy.
CANCEL_MS = 2000


@pytest.fixture(scope="module", params=["edit", "run"])
def opened(request, browser, tmp_path_factory):
    if not OVERLAY.exists():
        pytest.fail("marimo is missing: `make test-hosts` installs it", pytrace=False)
    with running_marimo(tmp_path_factory.mktemp("marimo"), request.param) as marimo:
        page = browser.new_context(viewport=VIEWPORT).new_page()
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        show(page, marimo.url)
        page.locator("canvas.pw-grid[data-drawn]").first.wait_for(
            timeout=OPEN_SECONDS * 1000
        )
        yield page, marimo, request.param
        page.context.close()


def show(page, url):
    deadline = time.monotonic() + OPEN_SECONDS
    while True:
        try:
            page.goto(url)
        except Error:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


@pytest.fixture
def live(opened, request, pictures):
    page, _, _ = opened
    live = Live(None, page.locator(".pw-root"))
    yield live
    if getattr(request.node, "has_failed", False):
        pictures.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=pictures / "failed.png")
    assert page.errors == []


@pytest.fixture(scope="module")
def study():
    """The notebook's own, without any host."""
    return PatchStudy(demo.load_model(), demo.ioi_pairs(MANY_PAIRS, order="ABBA"))


def test_it_has_its_looks_in_a_shadow_root(live):
    assert live.root.evaluate("(root) => root.getRootNode() instanceof ShadowRoot")
    assert live.root.get_attribute("data-theme") == "light", "as the page around it"
    bare = "(root) => getComputedStyle(root).backgroundColor"
    assert live.root.evaluate(bare) != "rgba(0, 0, 0, 0)", "the style sheet is there"
    assert len(live.colours(live.grid("z")).unique(dim=0)) > 3


def test_a_click_gets_the_truth(live, study):
    live.click(live.grid("z"), 3, 5)
    live.wait_for_picks(["L3H5.z"])
    assert live.exact("L3H5.z") == pytest.approx(
        study.exact(["L3H5.z"])["L3H5.z"].value, rel=1e-5
    )


def test_the_keyboard_reaches_a_map_in_a_shadow_root(live, study):
    live.root.locator(".pw-pick button").first.click()
    live.wait_for_picks([])
    live.grid("z").focus()
    for key in ("Home", "ArrowRight", "ArrowLeft", "ArrowRight", "Enter"):
        live.page.keyboard.press(key)
    live.root.locator(".pw-pick").wait_for(timeout=WAIT_MS)
    [picked] = live.picks()
    assert picked.endswith(".z")
    wanted = study.exact([picked])[picked].value
    assert live.exact(picked) == pytest.approx(wanted, rel=1e-5)


def start_job(live):
    live.page.get_by_role("button", name="start a job").click()
    live.wait_for_job()


def test_a_job_is_cancelled_from_the_page(live, opened):
    start_job(live)
    ended = live.root.evaluate(CANCEL)
    print(f"\nmarimo {opened[2]}: cancelled {ended['ms']:.0f} ms after the click")  # noqa: T201 - a figure for the reader of the run
    assert ended["state"] == "cancelled"
    assert ended["ms"] < CANCEL_MS
    assert not live.root.locator(".pw-job progress").count()


def test_a_kernel_that_is_killed_in_the_middle_of_a_job_is_missed(live, opened):
    """marimo does not tell a widget; the page notices that it hears nothing."""
    _, marimo, mode = opened
    if mode == "run":
        pytest.skip("an application has its kernel in the server's own process")
    start_job(live)
    for child in psutil.Process(marimo.process.pid).children(recursive=True):
        child.kill()
    said = live.root.locator(".pw-job", has_text="the kernel is busy, or gone")
    said.wait_for(timeout=WAIT_MS)
