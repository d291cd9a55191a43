"""The widget in a notebook: what is on screen, and what the kernel says it should be."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from lab import Notebook
    from playwright.sync_api import Locator
    from torch import Tensor

SETUP = """
import json
from patchwidget import PatchStudy, PatchWidget, demo

study = PatchStudy(demo.load_model(), demo.ioi_pairs(order="ABBA"))
widget = PatchWidget(study)
widget
"""
# With so many pairs a job goes on for longer than any test looks at it.
MANY_PAIRS = 32
BUSY_SETUP = SETUP.replace("ioi_pairs(", f"ioi_pairs({MANY_PAIRS}, ")
# Threads that wait for each other make a busy machine slower still.
START = """
import torch
torch.set_num_threads(1)
widget.start("exact", "pattern", by="dest_src")
"""
WAIT_MS = 60_000
# What a person waits at the most. The machine of a test may be busy for a moment: the best
# of a few clicks is held to it.
CANCEL_MS = 300
# From the click to what a person sees of it.
CANCEL = """(root) => {
  const bar = root.querySelector(".pw-job");
  const clicked = performance.now();
  const ended = new Promise((resolve) => {
    new MutationObserver((_, observer) => {
      if (bar.dataset.state === "running") return;
      observer.disconnect();
      resolve({state: bar.dataset.state, ms: performance.now() - clicked});
    }).observe(bar, {attributes: true});
  });
  root.querySelector(".pw-cancel").click();
  return ended;
}"""

# The middle of the left half of each cell: marks stand in the other corner, and lines
# between cells.
COLOURS = """(canvas) => {
  const [rows, columns] = [canvas.dataset.rows, canvas.dataset.cols].map(Number);
  const { width, height } = canvas;
  const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  const colours = [];
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const x = Math.floor((column + 0.35) / columns * width);
      const y = Math.floor((row + 0.65) / rows * height);
      colours.push([...pixels.slice(4 * (y * width + x), 4 * (y * width + x) + 3)]);
    }
  }
  return colours;
}"""


class Live:
    """One widget on a page, with the notebook that it is in, if that is Jupyter's."""

    def __init__(self, notebook: Notebook | None, root: Locator) -> None:
        self.notebook, self.root, self.page = notebook, root, root.page

    def ask(self, expression: str) -> Any:
        """The value of an expression in the kernel."""
        return json.loads(self.notebook.run(f"print(json.dumps({expression}))"))

    def estimate(self, kind: str, method: str = "atp") -> Tensor:
        """A map of estimates as the kernel has it."""
        call = f"study.estimate({kind!r}, method={method!r}).values.tolist()"
        return torch.tensor(self.ask(call))

    def set(self, **traits: Any) -> None:
        """Set traits as a user's cell does, and wait for what that starts."""
        lines = [f"widget.{name} = {value!r}" for name, value in traits.items()]
        self.notebook.run("\n".join([*lines, "await widget.settled()"]))

    def grid(self, kind: str) -> Locator:
        """The heatmap of a kind, drawn."""
        canvas = self.root.locator(f'canvas.pw-grid[data-kind="{kind}"][data-drawn]')
        canvas.wait_for(timeout=WAIT_MS)
        return canvas

    def colours(self, canvas: Locator) -> Tensor:
        """Colours `[cells, 3]` of a plot's cells, row by row."""
        return torch.tensor(canvas.evaluate(COLOURS), dtype=torch.float)

    def place(self, canvas: Locator, row: int, column: int) -> dict[str, float]:
        """The middle of a cell, from the canvas' upper left corner."""
        size = [int(canvas.get_attribute(f"data-{name}")) for name in ("rows", "cols")]
        box = canvas.bounding_box()
        return {
            "x": (column + 0.5) / size[1] * box["width"],
            "y": (row + 0.5) / size[0] * box["height"],
        }

    def hover(self, canvas: Locator, row: int, column: int) -> None:
        """Put the pointer at a cell."""
        canvas.scroll_into_view_if_needed()
        canvas.hover(position=self.place(canvas, row, column))

    def click(self, canvas: Locator, row: int, column: int, **how: Any) -> None:
        """Click a cell."""
        canvas.scroll_into_view_if_needed()
        canvas.click(position=self.place(canvas, row, column), **how)

    def drag(self, canvas: Locator, start: Any, end: Any) -> None:
        """Drag from one point of an element to another, both as shares of its size."""
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        mouse = self.page.mouse
        points = [
            (box["x"] + x * box["width"], box["y"] + y * box["height"])
            for x, y in (start, end)
        ]
        mouse.move(*points[0])
        mouse.down()
        mouse.move(*points[1], steps=5)
        mouse.up()

    def picks(self) -> list[str]:
        """Names of the picks, as they stand in the table."""
        rows = self.root.locator(".pw-pick")
        return rows.evaluate_all("(rows) => rows.map((row) => row.dataset.node)")

    def wait_for_picks(self, names: list[str]) -> None:
        """Until these are the picks, on the page."""
        self.page.wait_for_function(
            """([root, names]) => names === JSON.stringify(
              [...root.querySelectorAll(".pw-pick")].map((row) => row.dataset.node))""",
            arg=[self.root.element_handle(), json.dumps(names, separators=(",", ":"))],
            timeout=WAIT_MS,
        )

    def exact(self, node: str) -> float:
        """The exact effect of a pick, in full, when it is there."""
        return self._value(node, "exact")

    def estimate_of(self, node: str) -> float:
        """The estimate of a pick, in full."""
        return self._value(node, "estimate")

    def _value(self, node: str, what: str) -> float:
        cell = self.root.locator(f'.pw-pick[data-node="{node}"] .pw-{what}[data-value]')
        cell.wait_for(timeout=WAIT_MS)
        return float(cell.get_attribute("data-value"))

    def start_job(self) -> None:
        """Start a long job, and wait until the page shows that it is on its way."""
        self.notebook.run(START)
        self.wait_for_job()

    def wait_for_job(self) -> None:
        """Until the page shows how far a job is."""
        self.root.locator(".pw-job progress[value]").wait_for(timeout=WAIT_MS)

    def wait_for_its_end(self) -> None:
        """Until the page shows that no job is running."""
        self.root.locator(".pw-job:not([data-state=running])").wait_for(
            timeout=WAIT_MS, state="attached"
        )

    def button(self, label: str, within: str = "") -> Locator:
        """A button by its words."""
        buttons = self.root.locator(f"{within} button".strip())
        return buttons.filter(has_text=label).first


def number(text: str) -> float:
    """A number as the page writes it."""
    return float(text.replace("−", "-").replace("+", ""))


@contextmanager
def on_screen(notebook, request, pictures):
    """A notebook's first widget: a picture if the test fails, and no error in the page."""
    yield Live(notebook, notebook.output(0).locator(".pw-root"))
    if getattr(request.node, "has_failed", False):
        notebook.screenshot(pictures / "failed.png")
    assert notebook.errors == []
