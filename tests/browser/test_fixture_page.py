"""Every case of the page without a kernel, in a real browser."""

from __future__ import annotations

import re

import pytest
from fixture_page import ROOT

pytestmark = pytest.mark.browser

CASES = re.findall(
    r"^  ([a-z]\w*)(?:,|:)",
    (ROOT / "tests/js/page/cases.ts")
    .read_text("utf-8")
    .partition("export const CASES")[2],
    re.MULTILINE,
)
# Every cell of every grid once with the pointer, then a pick, over and over. Hovering
# is told by pointer events alone, as the browser does.
HOVERS = """([rounds, picks]) => {
  const canvases = [...document.querySelectorAll("canvas")];
  const fire = (canvas, type, init) => canvas.dispatchEvent(
    new PointerEvent(type, {bubbles: true, pointerId: 1, isPrimary: true, ...init}));
  for (let round = 0; round < rounds; round++) {
    const canvas = canvases[round % canvases.length];
    const box = canvas.getBoundingClientRect();
    const place = {
      clientX: box.left + ((round * 37) % 101) / 101 * box.width,
      clientY: box.top + ((round * 53) % 89) / 89 * box.height,
    };
    fire(canvas, "pointermove", place);
    if (round % 7 === 0) fire(canvas, "pointerleave", place);
  }
  for (const canvas of canvases) fire(canvas, "pointerleave", {});
  const { store, host } = window.fixture;
  const sent = host.sent.length;
  for (let pick = 0; pick < picks; pick++) {
    store.set("selection", [`L${pick % 5}H${pick % 8}.z`]);
  }
  store.set("selection", []);
  return sent;
}"""


def test_the_cases_are_found():
    assert "usual" in CASES
    assert len(CASES) >= 12


LOOKS = [("light", 480), ("dark", 1400), ("light", 1800)]
# Every case in one look, in turns; in the others, in the long tests.
SHOWN = [
    pytest.param(
        case, *look, marks=[] if number % len(LOOKS) == at else pytest.mark.long
    )
    for number, case in enumerate(CASES)
    for at, look in enumerate(LOOKS)
]


@pytest.mark.parametrize(("case", "theme", "width"), SHOWN)
def test_a_case(case, theme, width, open_page):
    page = open_page(case, theme, width)
    assert page.errors == []
    assert page.axe() == []
    wider = page.page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert wider == 0


def counters(page):
    session = page.page.context.new_cdp_session(page.page)
    session.send("HeapProfiler.collectGarbage")
    found = session.send("Memory.getDOMCounters")
    session.detach()
    return {
        "listeners": found["jsEventListeners"],
        "nodes": found["nodes"],
        "host": page.page.evaluate("window.fixture.host.listenerCount()"),
        "canvases": page.page.evaluate("document.querySelectorAll('canvas').length"),
    }


@pytest.mark.parametrize(
    ("hovers", "picks"), [(250, 150), pytest.param(2500, 250, marks=pytest.mark.long)]
)
def test_nothing_grows(hovers, picks, open_page):
    """Collections leave a few views behind; what leaks grows with every pick."""
    page = open_page()
    page.page.evaluate("window.fixture.store.set('selection', [])")
    sent = page.page.evaluate("window.fixture.host.sent.length")
    found = []
    for _ in range(6):  # the first makes what is made when it is first wanted
        sent_after_hovers = page.page.evaluate(HOVERS, [hovers, picks])
        assert sent_after_hovers == sent  # hovering says nothing to the kernel
        page.settle()
        page.page.wait_for_timeout(500)  # the last played patches and answers
        found.append(counters(page))
        sent = page.page.evaluate("window.fixture.host.sent.length")
    early, late = found[:2], found[-2:]
    some = 2 * picks  # fewer than the picks of the three rounds between
    for name, more in {
        "listeners": some,
        "nodes": some,
        "host": 0,
        "canvases": 0,
    }.items():
        least = min(one[name] for one in late)
        assert least <= max(one[name] for one in early) + more, (name, found)
    assert page.errors == []


FOCUSED = "document.activeElement.getAttribute('aria-label') || ''"
LEAKS = """() => {
  window.leaked = [];
  document.body.addEventListener("keydown", ({key}) => window.leaked.push(key));
}"""


def test_the_sketch_of_a_circuit_by_keyboard(open_page):
    page = open_page("circuit")
    tab, sketch = page.page, page.page.locator(".pw-sketch-picture")
    # On a slow machine the module, and the answers above the sketch, come late.
    tab.locator(".pw-inputs .pw-path").first.wait_for()
    sketch.locator('[tabindex="0"]').first.wait_for()
    page.settle()
    assert sketch.locator('[tabindex="0"]').count() == 1
    tab.evaluate(LEAKS)
    tab.locator(".pw-repair-strip > svg").focus()
    for _ in range(4):  # the heads that are named below the strip come before
        tab.keyboard.press("Tab")
        if tab.evaluate(FOCUSED).startswith("logits:"):
            break
    tab.keyboard.press("ArrowDown")
    top = tab.evaluate("scrollY")
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate("scrollY") == top
    assert tab.evaluate(FOCUSED).startswith("L4H3: into it L3H1 -> L4H3.q")
    assert sketch.locator(".pw-lit").get_attribute("data-key") == sketch.locator(
        ":focus-visible"
    ).get_attribute("data-key")
    ring = sketch.locator(":focus-visible > rect")
    assert ring.evaluate("(ring) => getComputedStyle(ring).strokeWidth") == "3px"
    assert page.axe() == []
    for _ in range(3):  # an MLP, a head that is picked, one that is not
        tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Enter")
    assert tab.evaluate(FOCUSED).startswith("L2H5:")
    picked = tab.evaluate("window.fixture.store.selection.peek()")
    assert picked[-1] == "L2H5.z"
    tab.keyboard.press("Shift+ArrowUp")
    assert " -> " in tab.evaluate(FOCUSED).partition(":")[0]
    assert sketch.locator("[data-path].pw-lit").count() == 1
    tab.keyboard.press("Tab")
    assert sketch.locator(":focus").count() == 0
    assert tab.evaluate("window.leaked") == []
    assert page.errors == []


def test_text_is_never_markup(open_page):
    page = open_page("tokens")
    assert (
        page.page.evaluate("document.querySelectorAll('.pw-root script').length") == 0
    )
    assert "<script>alert(1)</script>" in page.page.inner_text(".pw-root")


@pytest.mark.parametrize(("label", "beginning"), [("SVG", "<svg"), ("code", "from")])
def test_copies_reach_the_clipboard(label, beginning, open_page):
    page = open_page()
    page.page.evaluate(
        "() => { navigator.clipboard.writeText = async (text) => { window.copied = text; } }"
    )
    page.page.locator(".pw-copy button", has_text=label).click()
    page.page.wait_for_function("window.copied")
    assert page.page.evaluate("window.copied").startswith(beginning)


def test_a_png_has_the_pixels_asked_for(open_page):
    page = open_page()
    page.page.evaluate("""() => { navigator.clipboard.write = async ([item]) => {
      const bitmap = await createImageBitmap(await item.getType("image/png"));
      window.copied = bitmap.width;
    } }""")
    width = page.page.evaluate(
        "document.querySelector('.pw-heatmaps').getBoundingClientRect().width"
    )
    page.page.select_option("[aria-label='Scale of the PNG']", "4")
    page.page.locator(".pw-copy button", has_text="PNG").click()
    page.page.wait_for_function("window.copied")
    margins = 2 * 8
    assert page.page.evaluate("window.copied") == pytest.approx(
        4 * (width + margins), 2
    )
