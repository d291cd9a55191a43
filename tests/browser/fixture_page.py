"""The front end without a kernel: the page of fixed data, built and served."""

from __future__ import annotations

import subprocess
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = "tests/js/page/"
AXE = ROOT / "node_modules/axe-core/axe.min.js"
# Two frames: effects run at once, but a canvas is on the screen only after a frame.
TWO_FRAMES = """() => new Promise((done) =>
  requestAnimationFrame(() => requestAnimationFrame(done)))"""

# Only what is asked for comes back: of long prompts all findings are many megabytes.
SERIOUS = """async () => {
  const { violations } = await axe.run(".pw-root", {resultTypes: ["violations"]});
  const serious = violations.filter(({impact}) => /serious|critical/.test(impact));
  return serious.map(({id, help, nodes: [{html}]}) =>
    `${id}: ${help} (${html.slice(0, 160)})`);
}"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing: pytest shows what failed."""


@contextmanager
def serving():
    handler = partial(_Quiet, directory=ROOT)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/{PAGE}"
        finally:
            server.shutdown()


@pytest.fixture(scope="session")
def page_address():
    subprocess.run(["node", "js/build.mjs", "--page"], cwd=ROOT, check=True)
    with serving() as address:
        yield address


class FixturePage:
    """One case of the page in a browser tab, and what went wrong in it."""

    def __init__(self, page, address, case, theme):
        self.page, self.errors = page, []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._note)
        page.goto(f"{address}?case={case}")
        if theme == "dark":
            page.evaluate("document.body.dataset.jpThemeLight = 'false'")
        self.settle()

    def _note(self, message):
        # A favicon is nobody's concern; what was malformed is meant to be reported.
        expected = "favicon" in message.location.get("url", "")
        if message.type == "error" and not expected:
            self.errors.append(message.text)

    def settle(self):
        """Until the page has answered, drawn, and been laid out."""
        self.page.wait_for_timeout(400)
        self.page.evaluate(TWO_FRAMES)

    def axe(self):
        """Serious violations of accessibility rules in the widget's own subtree."""
        if not self.page.evaluate("window.axe"):
            self.page.add_script_tag(path=str(AXE))
        return self.page.evaluate(SERIOUS)


@pytest.fixture
def open_page(browser, page_address, request, pictures):
    opened = []

    def open_case(case="usual", theme="light", width=1400, height=900):
        viewport = {"width": width, "height": height}
        context = browser.new_context(viewport=viewport)
        page = FixturePage(context.new_page(), page_address, case, theme)
        opened.append(page)
        return page

    yield open_case
    for number, page in enumerate(opened):
        if getattr(request.node, "has_failed", False):
            pictures.mkdir(parents=True, exist_ok=True)
            page.page.screenshot(path=pictures / f"failed-{number}.png", full_page=True)
        page.page.context.close()
