"""How quickly the page answers a hand: linked hovers, first drawings, brushes.

Measured in headless Chromium on the page without a kernel, with a grid of 48 layers and
64 heads in five facets and one head's attention over 512 tokens; zoom and pan, with the
attention of two heads over 2,000 tokens.
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


# Frames, and those that the browser itself counts as long, while a hand is at work.
RECORD = """() => {
  window.frames_seen = [];
  window.long_frames = [];
  new PerformanceObserver((list) => {
    window.long_frames.push(...list.getEntries().map((entry) => entry.duration));
  }).observe({type: "long-animation-frame"});
  let last = performance.now();
  const next = (now) => {
    window.frames_seen.push(now - last);
    last = now;
    requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
}"""
RECORDED = """() => {
  const frames = window.frames_seen.splice(0);
  return [frames.slice(1), window.long_frames.splice(0)];
}"""
TURNS = 40


def figures(milliseconds):
    ordered = sorted(milliseconds)
    least, most = ordered[0], ordered[-1]
    return f"{statistics.median(ordered):.1f} | {least:.1f} | {most:.1f}"


def weight(name):
    data = (ROOT / "patchwidget/static" / name).read_bytes()
    return f"{len(data) / 1000:.1f} kB, {len(gzip.compress(data)) / 1000:.1f} kB packed"


def zoom_and_pan(page):
    """Real turns of a wheel and a real drag over the large head, which is in view."""
    handle, page = page, page.page
    canvas = page.locator('.pw-attention-panel[data-run="clean"] canvas[data-drawn]')
    canvas.wait_for()
    page.wait_for_timeout(3000)  # what is built in the background, is
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    middle = [box["x"] + 0.3 * box["width"], box["y"] + 0.7 * box["height"]]
    mouse = page.mouse
    mouse.move(*middle)
    page.evaluate(RECORD)
    page.wait_for_timeout(500)
    page.evaluate(RECORDED)
    found = []

    def recorded(name):
        page.evaluate("() => new Promise((done) => requestAnimationFrame(done))")
        frames, long = page.evaluate(RECORDED)
        print(f"{name}: {len(frames)} frames, over 50 ms: {len(long)} {long}")
        found.append((f"frames of {name}, 2,000 tokens", frames))

    page.keyboard.down("Control")
    for way, name in ((-60, "zooming in"), (60, "zooming out")):
        for _ in range(TURNS):
            mouse.wheel(0, way)
        recorded(name)
    for _ in range(4):
        mouse.wheel(0, -60)
    page.keyboard.up("Control")
    recorded("a few turns")
    found.pop()
    mouse.down()
    for at in range(TURNS):
        mouse.move(middle[0] + 4 * at, middle[1] - 5 * at)
    recorded("panning")
    mouse.up()
    for at in range(TURNS):
        mouse.move(middle[0] + 2 * at, middle[1] - 5 * at)
    recorded("hovering")
    assert handle.errors == []
    return found


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
    page.page.context.close()
    rows += zoom_and_pan(open_page("veryLong", height=1600))
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
