"""How quickly the page answers a hand: linked hovers, first drawings, brushes.

Measured in headless Chromium on the page without a kernel, with a grid of 48 layers and
64 heads in five facets and one head's attention over 512 tokens.
"""

from __future__ import annotations

import gzip
import statistics
from pathlib import Path

import pytest
from machine import Table

pytestmark = pytest.mark.bench

ROOT = Path(__file__).parents[2]
COMMAND = "make bench BENCH=test_views.py"
HOVERS = 200

# From the pointer's event to the end of all drawing that it causes: signals run at once,
# so what is left after the event is layout, which reading a box forces.
HOVER = """([selector, times]) => {
  const canvases = [...document.querySelectorAll(selector)];
  const took = [];
  for (let at = 0; at < times; at++) {
    const canvas = canvases[at % canvases.length];
    const box = canvas.getBoundingClientRect();
    const init = {
      clientX: box.left + ((at * 37) % 101) / 101 * box.width,
      clientY: box.top + ((at * 53) % 89) / 89 * box.height,
      bubbles: true, pointerId: 1, isPrimary: true,
    };
    const started = performance.now();
    canvas.dispatchEvent(new PointerEvent("pointermove", init));
    document.body.getBoundingClientRect();
    took.push(performance.now() - started);
  }
  return took;
}"""
# New data in the traits, as a kernel sends them, until a frame shows them.
REDRAW = """() => new Promise((done) => {
  const { host } = window.fixture;
  const grids = host.get("grids");
  host.receive("grids", {});
  requestAnimationFrame(() => {
    const started = performance.now();
    host.receive("grids", grids);
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => done(performance.now() - started);
      channel.port2.postMessage(null);
    });
  });
})"""
DRAG = """async ([selector, steps]) => {
  const canvas = document.querySelector(selector);
  canvas.scrollIntoView({block: "center"});
  const box = canvas.getBoundingClientRect();
  const fire = (type, share, buttons) => canvas.dispatchEvent(new PointerEvent(type, {
    clientX: box.left + (0.1 + 0.8 * share) * box.width,
    clientY: box.top + (0.1 + 0.8 * share) * box.height,
    bubbles: true, pointerId: 1, isPrimary: true, button: 0, buttons,
  }));
  const frame = () => new Promise(requestAnimationFrame);
  const frames = [];
  fire("pointerdown", 0, 1);
  let last = await frame();
  for (let step = 1; step <= steps; step++) {
    fire("pointermove", step / steps, 1);
    const now = await frame();
    frames.push(now - last);
    last = now;
  }
  fire("pointerup", 1, 0);
  return frames;
}"""
# The least that a frame takes here, with nothing to do.
REST = """async (count) => {
  const frame = () => new Promise(requestAnimationFrame);
  const frames = [];
  let last = await frame();
  for (let step = 0; step < count; step++) {
    const now = await frame();
    frames.push(now - last);
    last = now;
  }
  return frames;
}"""
PICK = """(times) => {
  const { store } = window.fixture;
  const took = [];
  for (let at = 0; at < times; at++) {
    const started = performance.now();
    store.set("selection", ["L20H3.z", `L${at % 48}H${(at * 7) % 64}.z`]);
    document.body.getBoundingClientRect();
    took.push(performance.now() - started);
  }
  return took;
}"""


def figures(milliseconds):
    ordered = sorted(milliseconds)
    least, most = ordered[0], ordered[-1]
    return f"{statistics.median(ordered):.1f} | {least:.1f} | {most:.1f}"


def weight(name):
    data = (ROOT / "patchwidget/static" / name).read_bytes()
    return f"{len(data) / 1000:.1f} kB, {len(gzip.compress(data)) / 1000:.1f} kB packed"


def test_how_quick_the_page_is(open_page):
    page = open_page("bench")
    evaluate = page.page.evaluate
    page.page.wait_for_selector(".pw-attention canvas[data-drawn]")
    rows = [
        ("hover over a grid to drawn links", evaluate(HOVER, [".pw-grid", HOVERS])),
        (
            "hover over 512 tokens' attention",
            evaluate(HOVER, [".pw-attention-panel canvas", HOVERS]),
        ),
        ("first drawing after data arrive", [evaluate(REDRAW) for _ in range(20)]),
        ("frames at rest", evaluate(REST, 100)),
        ("frames of a brush over a grid", evaluate(DRAG, [".pw-grid", 100])),
        (
            "frames of a brush over the scatter",
            evaluate(DRAG, [".pw-cloud", 100]),
        ),
        ("a pick to drawn marks", evaluate(PICK, 50)),
    ]
    assert page.errors == []
    table = Table(
        "views",
        "How quick the page is: 48 layers, 64 heads, five facets, 512 tokens",
        COMMAND,
    )
    table.add(
        f"Headless Chromium {page.page.context.browser.version}, without a GPU.", ""
    )
    table.add("| what | median, ms | least | most |", "|---|---|---|---|")
    table.add(*(f"| {name} | {figures(times)} |" for name, times in rows))
    table.add("", *(f"{name}: {weight(name)}" for name in ("widget.js", "widget.css")))
    table.save()
