"""Fixtures: one JupyterLab and one Chromium for all browser tests."""

from __future__ import annotations

from pathlib import Path

import chromium
import pytest
from lab import CHROMIUM_FLAGS, VIEWPORT, Notebook, write_copy
from playwright.sync_api import sync_playwright
from server import THIS_PYTHON, running_server

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory):
    """A JupyterLab with this Python as a kernel, and the older kernels installed."""
    with running_server(tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture(scope="session")
def browser():
    path = chromium.find()
    if path is None:
        pytest.fail("no Chromium: `make chromium` installs one", pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call":
        item.has_failed = report.failed  # a fixture's end cannot see it otherwise
    return report


@pytest.fixture
def open_notebook(lab_server, browser, request, pictures):
    """Open a copy of a notebook (a path, or a list of cells) on a kernel of its own."""
    opened = []

    def open_copy(source, kernel=THIS_PYTHON):
        name = f"{request.node.originalname}-{len(opened)}.ipynb"
        write_copy(source, lab_server.root / name, kernel)
        notebook = Notebook(browser.new_context(viewport=VIEWPORT).new_page())
        opened.append(notebook)
        notebook.open(lab_server, name)
        return notebook

    yield open_copy
    for number, notebook in enumerate(opened):
        if getattr(request.node, "has_failed", False):
            notebook.screenshot(pictures / f"failed-{number}.png")
        notebook.page.context.close()
    lab_server.shut_kernels_down()


@pytest.fixture
def pictures(request):
    """An ignored folder for the pictures of one test."""
    return ROOT / ".artifacts" / request.node.name
