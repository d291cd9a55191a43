"""How long a person waits in JupyterLab: for the map, and for the truth about a head.

Both clocks are this machine's: the kernel notes when it starts, the page when it drew.
"""

from __future__ import annotations

import statistics

import pytest

pytestmark = pytest.mark.bench

SETUP = """
import time
from patchwidget import PatchWidget, demo
model, pairs = demo.load_model(), demo.ioi_pairs()
"""
SHOW = """
started = time.time()
widget = PatchWidget(model, pairs)
display(widget)
"""
# The last facet that is painted decides; the map before it is taken from the page.
DRAWN = """() => new Promise((done) => {
  const look = () => {
    const drawn = document.querySelectorAll("canvas.pw-grid[data-drawn]").length;
    if (drawn === 9) done(Date.now());
    else requestAnimationFrame(look);
  };
  look();
})"""
# A real pointer event at the cell, then every frame a look whether the number is there.
CLICK_TO_EXACT = """([row, column]) => new Promise((done) => {
  const canvas = document.querySelector('canvas.pw-grid[data-kind="z"]');
  const box = canvas.getBoundingClientRect();
  const place = {
    clientX: box.left + ((column + 0.5) / canvas.dataset.cols) * box.width,
    clientY: box.top + ((row + 0.5) / canvas.dataset.rows) * box.height,
    bubbles: true, button: 0, isPrimary: true, pointerId: 1,
  };
  const wanted = `.pw-pick[data-node="L${row}H${column}.z"] .pw-exact[data-raw]`;
  const started = performance.now();
  for (const type of ["pointerdown", "pointerup"])
    canvas.dispatchEvent(new PointerEvent(type, place));
  canvas.dispatchEvent(new MouseEvent("click", place));
  const look = () => {
    if (document.querySelector(wanted)) done(performance.now() - started);
    else requestAnimationFrame(look);
  };
  look();
})"""
MAPS = 5


def spread(seconds):
    ordered = sorted(seconds)
    return (
        f"median {statistics.median(ordered):.3f} s "
        f"(least {ordered[0]:.3f}, most {ordered[-1]:.3f}, {len(ordered)} times)"
    )


def test_times_a_person_waits(open_notebook):
    notebook = open_notebook([SETUP])
    notebook.run_all()
    maps = [_seconds_to_map(notebook) for _ in range(MAPS)]
    notebook.run(SHOW)
    notebook.page.evaluate(DRAWN)
    heads = [(row, column) for row in range(5) for column in range(8)]
    clicks = [
        notebook.page.evaluate(CLICK_TO_EXACT, list(head)) / 1000 for head in heads
    ]
    print(f"\nPatchWidget(...) to the drawn map, first of a kernel: {maps[0]:.3f} s")
    print(f"PatchWidget(...) to the drawn map: {spread(maps[1:])}")
    print(f"click to the exact value in the page: {spread(clicks)}")
    assert notebook.errors == []


def _seconds_to_map(notebook):
    index = notebook.append(SHOW)
    notebook.run_cell(index)
    drawn = notebook.page.evaluate(DRAWN)
    started = float(notebook.run("print(started)"))
    notebook.clear_outputs()
    return drawn / 1000 - started
