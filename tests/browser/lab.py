"""Drives one notebook in a real JupyterLab page.

JupyterLab is spoken to through `window.jupyterapp` rather than by clicking in its
menus: a click inside an output moves the active cell, a command does not depend on it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import nbformat
from playwright.sync_api import TimeoutError as TooLongError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from playwright.sync_api import Locator, Page
    from server import Server

READY_SECONDS = 60
CELL_SECONDS = 120
ANSI = re.compile(r"\x1b\[[0-9;]*m")
VIEWPORT = {"width": 1400, "height": 1000}

CHROMIUM_FLAGS = [
    "--no-sandbox",  # the tests may run as root
    "--enable-unsafe-swiftshader",  # WebGL without a graphics card
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # It otherwise calls its maker at every start.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

IS_READY = """() => {
  const panel = window.jupyterapp?.shell.currentWidget;
  const kernel = panel?.sessionContext?.session?.kernel;
  return panel?.context?.isReady && kernel?.status === "idle";
}"""

# The command's promise is left in the page: waiting for it there cannot time out.
START = """([command, index]) => {
  const app = window.jupyterapp;
  const notebook = app.shell.currentWidget.content;
  if (index !== null) notebook.activeCellIndex = index;
  window.running = true;
  app.commands.execute(command).finally(() => { window.running = false; });
}"""

APPEND = """(source) => {
  const panel = window.jupyterapp.shell.currentWidget;
  const cells = panel.content.model.sharedModel;
  cells.addCell({cell_type: "code", source, metadata: {}});
  return panel.content.widgets.length - 1;
}"""

WRITE = """([index, source]) => {
  const panel = window.jupyterapp.shell.currentWidget;
  panel.content.widgets[index].model.sharedModel.setSource(source);
}"""

CELL = """(index) => window.jupyterapp.shell.currentWidget.content.widgets[index]
  .model.sharedModel.toJSON()"""

CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets.map(
  (cell) => cell.model.sharedModel.toJSON())"""


class CellError(AssertionError):
    """A cell raised; the message is its traceback."""


class Notebook:
    """One notebook, open in one page, with a kernel of its own."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []  # what went wrong in the page, as it happened
        self._scratch: int | None = None
        page.on("pageerror", lambda error: self._keep(str(error)))
        page.on("console", self._keep_console_error)

    def _keep(self, error: str) -> None:
        # ipywidgets counts a view out also when the kernel has closed its widget before.
        if error != "no comm channel defined":
            self.errors.append(error)

    def _keep_console_error(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def open(self, server: Server, name: str) -> None:
        """Show the notebook and wait for its kernel."""
        self._scratch = None
        self.page.goto(server.address_of(name))
        try:
            self._await_kernel()
        except TooLongError:
            # Now and then (ipykernel 7.3: two of some twenty) a kernel never says that it
            # is idle. Nothing of ours runs in it yet: it is left for another.
            server.shut_kernels_down()
            self.page.reload()
            self.errors.clear()
            self._await_kernel()

    def _await_kernel(self) -> None:
        self.page.wait_for_function(IS_READY, timeout=READY_SECONDS * 1000)

    def run_all(self, timeout: float = CELL_SECONDS) -> None:
        """Run every cell from the top; raise the first error as CellError."""
        self._run("notebook:run-all-cells", None, timeout)

    def run_cell(self, index: int, timeout: float = CELL_SECONDS) -> str:
        """Run one cell again and give the text that it printed."""
        self._run("notebook:run-cell", index, timeout)
        return self.text(index)

    def run(self, source: str, timeout: float = CELL_SECONDS) -> str:
        """Run some code in a cell of its own, and give the text that it printed.

        It is always the same cell: a page with hundreds of them is slow.
        """
        if self._scratch is None:
            self._scratch = self.append(source)
        self.page.evaluate(WRITE, [self._scratch, source])
        return self.run_cell(self._scratch, timeout)

    def append(self, source: str) -> int:
        """Append a code cell without running it; its index."""
        return self.page.evaluate(APPEND, source)

    def clear_outputs(self) -> None:
        """Take every output off the page."""
        self._run("notebook:clear-all-cell-outputs", None, CELL_SECONDS)

    def save(self) -> None:
        """Save the notebook with its outputs: what is not saved is not there again."""
        self.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")

    def _run(self, command: str, index: int | None, timeout: float) -> None:
        self.page.evaluate(START, [command, index])
        self.page.wait_for_function(
            "() => window.running === false", timeout=timeout * 1000
        )
        cells = range(len(self.cells())) if index is None else [index]
        for cell in cells:
            self._raise_error_of(cell)

    def _raise_error_of(self, index: int) -> None:
        for output in self.outputs(index):
            if output["output_type"] == "error":
                trace = ANSI.sub("", "\n".join(output["traceback"]))
                raise CellError(f"cell {index} raised:\n{trace}")

    def cells(self) -> list[dict[str, Any]]:
        """All cells as they would be saved."""
        return self.page.evaluate(CELLS)

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """The outputs of one cell, in nbformat's form."""
        return self.page.evaluate(CELL, index).get("outputs", [])

    def text(self, index: int) -> str:
        """What one cell printed or returned, as plain text."""
        return "".join(_as_text(output) for output in self.outputs(index)).strip()

    def output(self, index: int) -> Locator:
        """The place in the page where a cell's outputs are shown."""
        return self.page.locator(".jp-Cell").nth(index).locator(".jp-Cell-outputArea")

    def screenshot(self, path: Path) -> None:
        """Leave a picture for a person; tests read the page and canvas pixels."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)


def _as_text(output: dict[str, Any]) -> str:
    text = output.get("text") or output.get("data", {}).get("text/plain", "")
    return text if isinstance(text, str) else "".join(text)


def write_copy(source: Path | Sequence[str], target: Path, kernel: str) -> None:
    """Put a notebook, or one made of these cells, where the server sees it.

    The kernel is named in it: without one, JupyterLab asks and waits for ever.
    """
    if isinstance(source, (list, tuple)):
        cells = [nbformat.v4.new_code_cell(text) for text in source]
        notebook = nbformat.v4.new_notebook(cells=cells)
    else:
        notebook = nbformat.read(source, as_version=4)
    notebook.metadata["kernelspec"] = {
        "name": kernel,
        "display_name": kernel,
        "language": "python",
    }
    nbformat.write(notebook, target)
