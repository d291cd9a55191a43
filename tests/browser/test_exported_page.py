"""A saved widget in a real browser, without a kernel and without a network."""

from __future__ import annotations

import pytest
from fixture_page import AXE, TWO_FRAMES
from playwright.sync_api import Error

from patchwidget import Pairs, PatchStudy, PatchWidget, demo

pytestmark = pytest.mark.browser

EVIL = '</script><script>window.evil = 1</script><img src=x onerror="window.evil = 1">'
SCREEN = {"width": 1300, "height": 900}
SAVED_HEAD, OTHER_HEAD = "L0H0", "L1H3"
PICKS = [f"{SAVED_HEAD}.q", "L2H0.v"]
GRIDS = "canvas.pw-grid[data-drawn]"
# A canvas that is empty, or all of one colour, shows nothing.
IS_PAINTED = """(canvas) => {
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size > 3;
}"""


@pytest.fixture(scope="module")
def widget():
    pairs = demo.ioi_pairs()
    study = PatchStudy(demo.load_model(), Pairs(
        pairs.clean, pairs.corrupted, answers=pairs.answers, labels={EVIL: 10}
    ))  # fmt: skip
    # Beforehand, since Playwright's event loop puts off what a pick would run.
    study.exact(PICKS)
    widget = PatchWidget(study, selection=PICKS, names={SAVED_HEAD: EVIL})
    yield widget
    widget.close()


class SavedPage:
    """A page from a file in a browser that is offline; `frame` holds the widget."""

    def __init__(self, page, path, *, is_snapshot):
        self.page, self.errors, self.requests = page, [], []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(path.as_uri())
        self.frame = page.frames[-1] if is_snapshot else page.main_frame
        self.frame.wait_for_selector(".pw-root")
        self.settle()

    def settle(self):
        """Until all is drawn: without a kernel there is no answer to wait for."""
        self.frame.evaluate(TWO_FRAMES)

    def at(self, selector, **keys):
        return self.frame.locator(selector, **keys)

    def text(self, selector):
        return " ".join(self.at(selector).all_inner_texts())

    def point(self, kind, row, column, act="hover", **keys):
        """Put the pointer on a cell of a map, or click it."""
        canvas = self.at(f"{GRIDS}[data-kind='{kind}']")
        rows, columns = (
            int(canvas.get_attribute(f"data-{of}")) for of in ("rows", "cols")
        )
        box = canvas.bounding_box()
        place = {
            "x": (column + 0.5) / columns * box["width"],
            "y": (row + 0.5) / rows * box["height"],
        }
        getattr(canvas, act)(position=place, **keys)
        self.settle()

    def painted(self, selector):
        canvases = self.at(selector).element_handles()
        return [
            canvas.evaluate(IS_PAINTED) for canvas in canvases if canvas.is_visible()
        ]


@pytest.fixture(params=["file", "snapshot"])
def saved(request, widget, browser, tmp_path, pictures):
    is_snapshot = request.param == "snapshot"
    path = tmp_path / "page.html"
    if is_snapshot:
        output = widget.snapshot()._repr_html_()
        head = (
            "<!doctype html><html lang=en><meta charset=utf-8><title>notebook</title>"
        )
        path.write_text(f"{head}<main>{output}</main>", "utf-8")
    else:
        widget.to_html(path)
    context = browser.new_context(viewport=SCREEN, offline=True)
    page = SavedPage(context.new_page(), path, is_snapshot=is_snapshot)
    yield page
    if getattr(request.node, "has_failed", False):
        pictures.mkdir(parents=True, exist_ok=True)
        page.page.screenshot(path=pictures / "failed.png", full_page=True)
    context.close()


def test_everything_is_drawn_and_nothing_is_asked_of_the_network(saved, widget):
    assert "There is no kernel behind this page" in saved.text("#pw-notes")
    grids = saved.at(GRIDS)
    assert grids.count() == len(widget.grids)
    for selector in (GRIDS, ".pw-attention canvas", ".pw-scatter canvas"):
        drawn = saved.painted(selector)
        assert drawn, selector
        assert all(drawn), selector
    assert saved.at(".pw-pick").count() == len(PICKS)
    assert saved.at(".pw-ranking [data-node], .pw-ranking tr").count() > 3
    assert [
        one for one in saved.requests if not one.startswith(("file:", "blob:"))
    ] == [one for one in saved.requests if one == "about:srcdoc"]
    assert saved.errors == []


def test_text_of_the_study_is_never_markup(saved):
    assert EVIL in saved.text(".pw-root")
    assert saved.frame.evaluate("window.evil") is None
    assert saved.at(".pw-root script, .pw-root img").count() == 0


def test_the_network_cannot_be_reached_even_if_asked(saved):
    """The page's own policy, not only a browser that is offline."""
    saved.page.context.set_offline(False)
    with pytest.raises(Error, match="Failed to fetch"):
        saved.frame.evaluate("fetch('http://127.0.0.1:9/')")
    assert any("Content Security Policy" in one for one in saved.errors)


def test_hovering_links_the_views(saved, widget):
    saved.point("z", 3, 1)
    assert "L3H1.z" in saved.text(".pw-readout")
    saved.point("resid_pre", 2, 10)
    assert "L2.resid_pre@10" in saved.text(".pw-readout")
    assert saved.errors == []


def test_a_pick_that_was_not_run_says_so(saved):
    saved.point("z", 3, 1, "click")
    row = saved.at(".pw-pick")
    assert row.get_attribute("data-node") == "L3H1.z"
    assert row.locator(".pw-exact").inner_text() == "not run"
    assert saved.at("progress").count() == 0, "nothing is on its way"
    saved.point("q", 0, 0, "click", modifiers=["Shift"])
    exact = saved.at(f".pw-pick[data-node='{PICKS[0]}'] .pw-exact")
    assert float(exact.get_attribute("data-value")) != 0


def test_attention_of_saved_heads_is_drawn_and_of_others_is_missing(saved):
    saved.point("q", 1, 3, "click", modifiers=["Shift"])
    saved.at(".pw-thumbnail").last.click()
    saved.settle()
    assert OTHER_HEAD in saved.text(".pw-head-title")
    status = saved.text(".pw-head-status")
    assert "not in this saved page, and there is no kernel to ask" in status
    saved.at(".pw-thumbnail").first.click()
    saved.settle()
    assert SAVED_HEAD in saved.text(".pw-head-title")
    assert saved.text(".pw-head-status").strip() == ""
    assert all(saved.painted(".pw-panels canvas"))
    for pair in ("3", "-1"):
        saved.at(".pw-prompt select").select_option(pair)
        saved.settle()
        assert saved.text(".pw-head-status").strip() == ""
    assert saved.errors == []


def test_positions_of_saved_heads_are_drawn(saved):
    saved.at(".pw-fold[data-section=row]").click()
    saved.settle()
    assert saved.painted("canvas.pw-row-grid") == [True]
    assert saved.text(".pw-row-status").strip() == ""
    saved.point("q", 1, 3, "click")
    assert "no kernel to ask" in saved.text(".pw-row-status")


def test_what_needs_a_kernel_says_so_and_changes_nothing(saved):
    saved.at(".pw-method").select_option("relp")
    assert "method relp failed: no kernel" in saved.text(".pw-job")
    assert saved.at(".pw-method").input_value() == "atp"
    saved.at(".pw-shown[data-shown=known]").click()
    assert saved.text(".pw-job").strip() == "", "no news any more"
    saved.at(".pw-prompt button", has_text="noising").last.click()
    assert "direction noising failed: no kernel" in saved.text(".pw-job")
    assert saved.at(".pw-verify").is_hidden()
    saved.at(".pw-fold[data-section=neurons]").click()
    saved.settle()
    assert "No neurons: this is a saved page" in saved.text(".pw-neurons")
    assert saved.at("button", has_text="open in CircuitsVis").is_hidden()
    for words in ("try again", "run again"):
        again = saved.at("button", has_text=words).all()
        assert not any(one.is_visible() for one in again)
    assert saved.errors == []


def test_nothing_serious_bars_anybody(saved):
    # The page's policy lets no script in: this one comes by the debugger.
    saved.frame.evaluate(AXE.read_text("utf-8"))
    found = saved.frame.evaluate("axe.run()")["violations"]
    assert [
        f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:160]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ] == []
