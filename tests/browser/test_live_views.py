"""Every view against a live kernel: what is on screen is what Python computes.

One JupyterLab, one kernel, one page: every test begins by setting what it needs.
"""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
import torch
from lab import VIEWPORT, Notebook, write_copy
from live import SETUP, WAIT_MS, Live, number, on_screen
from server import THIS_PYTHON
from torch.testing import assert_close

pytestmark = pytest.mark.browser

DEFAULT_FOLDS = ["row", "neurons", "circuit"]
FRESH = {
    "selection": [],
    "shown": "estimate",
    "pair": 0,
    "method": "atp",
    "direction": "denoising",
    "kind": "",
    "names": {},
    "folds": DEFAULT_FOLDS,
    "wide": False,
}
CLIPBOARD = """() => {
  window.copied = undefined;
  navigator.clipboard.writeText = async (text) => { window.copied = text; };
  navigator.clipboard.write = async ([item]) => {
    const bitmap = await createImageBitmap(await item.getType("image/png"));
    window.copied = {width: bitmap.width, height: bitmap.height};
  };
}"""


@pytest.fixture(scope="module")
def notebook(lab_server, browser):
    write_copy([SETUP], lab_server.root / "views.ipynb", THIS_PYTHON)
    # Tall: what is under the fold need not be scrolled to.
    viewport = {**VIEWPORT, "height": 2400}
    notebook = Notebook(browser.new_context(viewport=viewport).new_page())
    notebook.open(lab_server, "views.ipynb")
    notebook.run_all()
    yield notebook
    notebook.page.context.close()
    lab_server.shut_kernels_down()


@pytest.fixture
def live(notebook, request, pictures):
    with on_screen(notebook, request, pictures) as live:
        live.set(**FRESH)
        live.grid("z")
        yield live


def strengths(colours):
    """How far colours are from that of zero: blue ones above, red ones below."""
    zero = colours[colours.std(dim=1).argmin()]
    away = (colours - zero).norm(dim=1)
    return away * (colours[:, 2] - colours[:, 0]).sign()


def assert_same_order(colours, values):
    """A larger effect has a stronger colour, and its sign has its own."""
    shown, values = strengths(colours), values.flatten()
    scale = values.abs().max()
    clear = values.abs() > 0.05 * scale  # the faintest have one colour
    assert (shown[clear].sign() == values[clear].sign()).all()
    order = values[clear].argsort()
    steps = shown[clear][order].diff()
    far = values[clear][order].diff() > 0.02 * scale
    assert (steps[far] > 0).all()


def test_the_package_is_the_one_under_test(live):
    folder = live.ask("str(__import__('patchwidget').__file__)")
    import patchwidget

    assert folder == patchwidget.__file__


def test_another_method_is_what_is_drawn(live):
    live.set(selection=["L4H0.q", "L4H0.v"])
    before = {kind: live.colours(live.grid(kind)) for kind in ("q", "v")}
    assert_same_order(before["q"], live.estimate("q"))
    live.root.locator(".pw-method").select_option("atp_qk")
    label = live.root.locator('canvas[data-kind="q"][aria-label*="QK"]')
    label.wait_for(timeout=WAIT_MS)
    estimates = live.estimate("q", "atp_qk")
    after = live.colours(live.grid("q"))
    assert (after != before["q"]).any()
    assert_same_order(after, estimates)
    assert live.estimate_of("L4H0.q") == pytest.approx(float(estimates[4, 0]), rel=1e-5)
    live.hover(live.grid("q"), 4, 1)
    words = live.root.locator(".pw-readout-live").inner_text()
    assert "L4H1.q" in words
    shown = re.search(r"estimate\s+([+−]?[\d.]+)", words)
    assert number(shown[1]) == pytest.approx(float(estimates[4, 1]), abs=6e-4)
    values = live.estimate("v", "atp_qk")
    assert live.estimate_of("L4H0.v") == pytest.approx(float(values[4, 0]), rel=1e-5)
    assert live.ask("widget.method") == "atp_qk"


def test_the_other_direction_and_back(live):
    live.set(selection=["L4H0.z"])
    first = live.exact("L4H0.z")
    before = live.colours(live.grid("z"))
    live.button("noising", ".pw-prompt [aria-label=Direction]").filter(
        has_not_text="denoising"
    )
    choices = live.root.locator(".pw-prompt [aria-label=Direction] button")
    choices.nth(1).click()
    choices.and_(live.page.locator("[aria-pressed=true]")).filter(
        has_text=re.compile("^noising$")
    ).wait_for(timeout=WAIT_MS)
    live.page.wait_for_function(
        """([root, old]) => {
          const cell = root.querySelector(".pw-pick .pw-exact");
          return cell.dataset.value && Number(cell.dataset.value) !== old;
        }""",
        arg=[live.root.element_handle(), first],
        timeout=WAIT_MS,
    )
    other = live.ask('study.reversed().exact(["L4H0.z"])["L4H0.z"].value')
    assert live.exact("L4H0.z") == pytest.approx(other, rel=1e-5)
    assert (live.colours(live.grid("z")) != before).any()
    live.notebook.run("runs = []; study.subscribe(lambda found: runs.extend(found))")
    choices.nth(0).click()
    live.root.locator(f'.pw-pick .pw-exact[data-value="{first}"]').wait_for(
        timeout=WAIT_MS
    )
    assert_close(live.colours(live.grid("z")), before)
    assert live.ask("len(runs)") == 0, "what was verified is not run again"


def test_picks_by_hand(live):
    live.click(live.grid("z"), 3, 5)
    live.wait_for_picks(["L3H5.z"])
    keys = live.grid("k")
    live.drag(keys, (0.06, 0.1), (0.2, 0.3))
    live.wait_for_picks(["L0H0.k", "L0H1.k", "L1H0.k", "L1H1.k"])
    field = live.root.locator(".pw-typed")
    field.fill("4.1 L2.resid_pre@END 9.9")
    field.press("Enter")
    assert "layers 0 to 4" in live.root.locator(".pw-pick-tools .pw-error").inner_text()
    typed = ["L0H0.k", "L0H1.k", "L1H0.k", "L1H1.k", "L4H1.z", "L2.resid_pre@14"]
    live.wait_for_picks(typed)
    for name in typed:
        live.exact(name)
    row = live.root.locator('.pw-ranking-row[data-node="L4H1.v"]')
    live.root.locator(".pw-filter").fill("L4H1.v")
    row.click()
    live.wait_for_picks(["L4H1.v"])
    live.exact("L4H1.v")
    live.root.locator(".pw-filter").fill("")
    back = live.root.get_by_label("Earlier picks")
    back.click()
    live.wait_for_picks(typed)
    back.click()
    live.wait_for_picks(typed[:4])
    live.root.get_by_label("Later picks").click()
    live.wait_for_picks(typed)
    assert live.ask("widget.selection") == typed


def test_the_scatter_and_its_brush(live):
    live.notebook.run('study.exact("k")')
    live.set(kind="k")
    cloud = live.root.locator("canvas.pw-cloud[data-dots='40'][data-rug='0']")
    cloud.wait_for(timeout=WAIT_MS)
    figures = live.ask(
        "{**widget.report['k']['all'], 'layers': len(widget.report['k']['layers'])}"
    )
    cells = live.root.locator(".pw-agreement tbody tr").first.locator("td")
    shown = cells.all_inner_texts()
    assert shown[0] == "40 of 40"
    wanted = [figures[name] for name in ("pearson", "slope", "spearman")]
    assert [number(text) for text in shown[1:4]] == pytest.approx(wanted, abs=6e-3)
    direct = live.ask(
        "__import__('torch').corrcoef(__import__('torch').stack(["
        "study.estimate('k').values.flatten(), "
        "study.exact('k').values.flatten()]).double())[0, 1].item()"
    )
    assert number(shown[1]) == pytest.approx(direct, abs=6e-3)
    live.drag(cloud, (0.01, 0.01), (0.99, 0.9))
    live.page.wait_for_function(
        "(root) => root.querySelectorAll('.pw-pick').length === 40",
        arg=live.root.element_handle(),
        timeout=WAIT_MS,
    )
    assert sorted(live.picks()) == sorted(
        live.ask("[*map(str, study.exact('k').nodes())]")
    )


def test_exact_where_known(live):
    live.set(selection=["L4H0.q"])
    exact = live.exact("L4H0.q")
    estimates = live.colours(live.grid("q"))
    live.button("exact where known").click()
    live.root.locator('canvas[data-kind="q"][data-drawn="known"]').wait_for()
    known = live.colours(live.grid("q"))
    values = live.estimate("q")
    for node, value in live.ask(
        "{str(n): e.value for n, e in study.verified.items() if n.kind == 'q' "
        "and n.by is None}"
    ).items():
        layer, head = map(int, re.findall(r"\d+", node))
        values[layer, head] = value
    assert values[4, 0] == pytest.approx(exact, rel=1e-5)
    assert (known[4 * 8] != estimates[4 * 8]).any()
    assert_same_order(known, values)
    live.button("miss").click()
    live.root.locator('canvas[data-kind="q"][data-drawn="miss"]').wait_for()


def test_a_row_by_position(live):
    live.set(selection=["L4H0.z"], folds=["neurons", "circuit"])
    strip = live.root.locator("canvas.pw-row-grid[data-drawn]")
    strip.wait_for(timeout=WAIT_MS)
    values = torch.tensor(
        live.ask("study.estimate('z', by='pos').values[4, :, 0].tolist()")
    )
    assert_same_order(live.colours(strip), values)
    live.click(strip, 0, 14)
    live.wait_for_picks(["L4H0.z@14"])
    exact = live.ask('study.exact(["L4H0.z@14"])["L4H0.z@14"].value')
    assert live.exact("L4H0.z@14") == pytest.approx(exact, rel=1e-5)


def test_the_list_of_neurons(live):
    live.set(folds=["row", "circuit"])
    rows = live.root.locator(".pw-neuron")
    rows.nth(19).wait_for(timeout=WAIT_MS)
    values = torch.tensor(live.ask("study.estimate('neuron').values.tolist()"))
    best = values.abs().flatten().topk(20).values
    shown = rows.locator(".pw-value[data-value]:not(.pw-exact)").evaluate_all(
        "(cells) => cells.map((cell) => Number(cell.dataset.value))"
    )
    assert_close(torch.tensor(shown).abs(), best, rtol=1e-4, atol=1e-6)
    first = rows.first.get_attribute("data-node")
    layer, pos, neuron = map(int, re.findall(r"\d+", first))
    assert shown[0] == pytest.approx(float(values[layer, pos, neuron]), rel=1e-4)
    rows.first.locator("button").click()
    live.wait_for_picks([first])
    exact = live.ask(f"study.exact([{first!r}])[{first!r}].value")
    assert live.exact(first) == pytest.approx(exact, rel=1e-4, abs=1e-6)


def test_the_ranking_and_its_reasons(live):
    live.notebook.run('study.exact("q")')
    live.set(kind="q")
    live.root.locator(".pw-filter").fill("L4")
    table = live.root.locator(".pw-ranking")
    table.get_by_text("8 of 40 nodes").wait_for()
    table.locator("button.pw-sort", has_text="miss").click()
    rows = table.locator(".pw-ranking-row")
    misses = [
        number(text) for text in rows.locator(".pw-ranking-miss").all_inner_texts()
    ]
    assert misses == sorted(misses, reverse=True)
    estimates, exact = live.ask(
        "[study.estimate('q').values[4].tolist(), study.exact('q').values[4].tolist()]"
    )
    wanted = sorted(
        (abs(a - b) for a, b in zip(estimates, exact, strict=True)), reverse=True
    )
    assert misses == pytest.approx(wanted, abs=6e-4)
    worst = rows.first.get_attribute("data-node")
    rows.first.locator(".pw-why").click()
    panel = table.locator(".pw-why-panel")
    panel.locator("details").first.wait_for(timeout=WAIT_MS)
    titles = panel.locator("summary").all_inner_texts()
    causes = live.ask(
        f"[[c.name, c.consistent] for c in study.diagnose({worst!r}).causes]"
    )
    for name, consistent in causes:
        assert (
            f"consistent with {name}" if consistent else f"no sign of {name}"
        ) in titles
    live.root.locator(".pw-filter").fill("")


def test_verifying_shows_its_cost_first(live):
    live.set(kind="pattern")
    live.button("verify …").click()
    top = live.root.locator('.pw-choice[data-what="top"]')
    run = top.locator("button", has_text="run")
    top.get_by_text("patches").wait_for(timeout=WAIT_MS)
    known = set(live.ask("[*map(str, study.verified)]"))
    run.click()
    live.page.wait_for_function(
        """(root) => root.querySelector('.pw-choice[data-what="top"]')
          .textContent.includes("all known")""",
        arg=live.root.element_handle(),
        timeout=WAIT_MS,
    )
    found = live.ask("[*map(str, study.verified)]")
    best = live.ask("[str(node) for node, _ in study.estimate('pattern').top(10)]")
    assert set(best) <= set(found)
    assert known <= set(found)
    live.button("verify …").click()


def test_a_verification_can_be_cancelled(live):
    live.set(kind="")
    live.button("verify …").click()
    everything = live.root.locator('.pw-choice[data-what="all"]')
    everything.get_by_text("patches").wait_for(timeout=WAIT_MS)
    everything.locator("button", has_text="run").click()
    live.root.locator(".pw-job progress").wait_for(timeout=WAIT_MS)
    live.root.locator(".pw-cancel").click()
    live.root.locator(".pw-job:not([data-state=running])").wait_for(
        timeout=WAIT_MS, state="attached"
    )
    assert live.ask("widget.job['state']") == "cancelled"
    total = live.ask("sum(r['total'] for r in widget.report.values())")
    assert live.ask("len(study.verified)") < total
    live.button("verify …").click()


def attention_words(live, row, column):
    canvas = live.root.locator('.pw-attention-panel[data-run="clean"] canvas')
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    size = live.ask("study.extent.n_pos")
    canvas.hover(
        position={
            "x": (column + 0.5) / size * box["width"],
            "y": (row + 0.5) / size * box["height"],
        }
    )
    return live.root.locator(".pw-attention-readout").inner_text()


def test_attention_is_what_the_model_computes(live):
    live.set(selection=["L4H0.q", "L2H1.z"])
    for head in ("L4H0", "L2H1"):
        live.root.locator(f'.pw-thumbnail[data-head="{head}"]').wait_for()
    live.root.locator('.pw-thumbnail[data-head="L4H0"]').click()
    live.root.locator(
        '.pw-attention-panel[data-head="L4H0"][data-run="clean"] canvas[data-drawn]'
    ).wait_for(timeout=WAIT_MS)
    live.notebook.run(
        "_, cache = study.model.run_with_cache(study.pairs.clean)\n"
        "_, corrupted_cache = study.model.run_with_cache(study.pairs.corrupted)"
    )
    pattern = "cache['blocks.4.attn.hook_pattern'][0, 0, 14]"
    values = torch.tensor(live.ask(f"{pattern}.tolist()"))
    corrupted = torch.tensor(live.ask(f"corrupted_{pattern}.tolist()"))
    norms = torch.tensor(
        live.ask(
            "(cache['blocks.4.attn.hook_v'][0, :, 0] "
            "@ study.model.W_O[4, 0]).norm(dim=-1).tolist()"
        )
    )
    source = int(values.argmax())
    words = attention_words(live, 14, source)
    numbers = [number(text) for text in re.findall(r"[+−]?\d+\.\d+", words)]
    assert numbers[:2] == pytest.approx(
        [float(values[source]), float(corrupted[source])], abs=6e-4
    )
    assert numbers[2] == pytest.approx(float(values[source] * norms[source]), abs=2e-3)
    assert "later" in attention_words(live, 2, 9)
    live.button("value-weighted").click()
    live.root.locator('.pw-toggle[aria-pressed="true"]').first.wait_for()
    live.button("value-weighted").click()
    token = live.root.locator(".pw-focus [data-pos='14'], .pw-focus button").last
    token.hover()
    assert "END" in live.root.locator(".pw-focus-title").inner_text()


def test_what_comes_later_is_blank(live):
    live.set(selection=["L4H0.q"])
    canvas = live.root.locator(
        '.pw-attention-panel[data-run="clean"] canvas[data-drawn]'
    )
    canvas.wait_for(timeout=WAIT_MS)
    corner, origin = canvas.evaluate("""(canvas) => {
      const context = canvas.getContext("2d");
      const at = (x, y) => [...context.getImageData(x * canvas.width, y * canvas.height,
        1, 1).data].slice(0, 3);
      return [at(0.95, 0.02), at(0.02, 0.02)];
    }""")
    paper = live.root.evaluate("(root) => getComputedStyle(root).backgroundColor")
    assert corner == [int(part) for part in re.findall(r"\d+", paper)[:3]]
    assert origin != corner


def test_heads_open_in_circuitsvis(live):
    live.set(selection=["L4H0.q", "L2H1.z"])
    live.button("open in CircuitsVis").click()
    frame = live.root.locator("iframe.pw-circuitsvis-frame")
    frame.wait_for(timeout=WAIT_MS)
    assert frame.get_attribute("sandbox") == "allow-scripts"
    inside = frame.content_frame.get_by_text("L4H0").first
    inside.wait_for(timeout=WAIT_MS)
    live.button("close", ".pw-circuitsvis").click()
    frame.wait_for(state="detached")


def test_a_head_gets_a_name(live):
    live.set(selection=["L4H0.q"])
    live.button("name L4H0").click()
    field = live.root.locator(".pw-name-field")
    field.fill("name mover <b>")
    field.press("Enter")
    live.root.locator(".pw-readout").get_by_text("name mover <b>").wait_for()
    assert live.ask("widget.names") == {"L4H0": "name mover <b>"}
    live.root.locator(".pw-filter").fill("name mover")
    live.root.locator('.pw-ranking-row[data-node="L4H0.z"]').wait_for()
    live.root.locator(".pw-filter").fill("")


def test_two_outputs_agree_and_a_new_widget_takes_the_view_along(live):
    cell = live.notebook.append("widget")
    live.notebook.run_cell(cell)
    other = Live(live.notebook, live.notebook.output(cell).locator(".pw-root"))
    other.grid("z")
    live.root.locator('.pw-fold[data-section="prompt"]').click()
    other.root.locator(".pw-prompt.pw-folded").wait_for()
    other.root.get_by_label("Full width").click()
    live.page.wait_for_function(
        "(root) => root.classList.contains('pw-full')", arg=live.root.element_handle()
    )
    assert live.ask("[widget.folds, widget.wide]") == [[*DEFAULT_FOLDS, "prompt"], True]
    again = live.notebook.append(
        "again = PatchWidget(study, folds=widget.folds, wide=widget.wide)\nagain"
    )
    live.notebook.run_cell(again)
    third = live.notebook.output(again).locator(".pw-root.pw-full")
    third.locator(".pw-prompt.pw-folded").wait_for(timeout=WAIT_MS)
    live.notebook.run("again.close()")


def copied(live, label):
    live.page.evaluate(CLIPBOARD)
    live.root.locator(".pw-copy button", has_text=label).click()
    live.page.wait_for_function("window.copied", timeout=WAIT_MS)
    return live.page.evaluate("window.copied")


def test_what_is_copied_is_what_is_shown(live):
    live.set(selection=["L4H0.q"], names={"L4H0": "mover"})
    exact = live.exact("L4H0.q")
    rows = {
        row["node"]: row for row in csv.DictReader(io.StringIO(copied(live, "CSV")))
    }
    estimates = live.estimate("q")
    for head in range(8):
        shown = float(rows[f"L4H{head}.q"]["estimate"])
        assert shown == pytest.approx(float(estimates[4, head]), rel=1e-5)
    assert float(rows["L4H0.q"]["exact"]) == pytest.approx(exact)
    assert rows["L4H0.q"]["name"] == "mover"
    svg = copied(live, "SVG")
    assert svg.startswith("<svg")
    assert svg.count("<image") >= 9, "a picture for each heatmap"
    assert "Query" in svg
    live.root.get_by_label("Scale of the PNG").select_option("2")
    width = live.root.locator(".pw-heatmaps").bounding_box()["width"]
    assert copied(live, "PNG")["width"] == pytest.approx(2 * (width + 16), abs=3)


def test_the_copied_code_makes_the_same_view(live):
    live.set(
        selection=["L4H0.q", "L2.resid_pre@14"],
        shown="known",
        pair=2,
        method="atp_qk",
        kind="q",
        names={"L4H0": "mover"},
        folds=["prompt"],
    )
    live.root.locator('canvas[data-kind="q"][aria-label*="QK"]').wait_for(
        timeout=WAIT_MS
    )
    code = copied(live, "code")
    names = ["selection", "shown", "pair", "method", "kind", "names", "folds", "wide"]
    cell = live.notebook.append(
        "copy = " + code[code.index("PatchWidget(") :] + "\ncopy"
    )
    live.notebook.run_cell(cell)
    copy = Live(live.notebook, live.notebook.output(cell).locator(".pw-root"))
    same = json.loads(
        live.notebook.run(
            "print(json.dumps([[getattr(w, n) for n in "
            f"{names}] for w in (widget, copy)]))"
        )
    )
    assert same[0] == same[1]
    assert_close(copy.colours(copy.grid("q")), live.colours(live.grid("q")))
    live.notebook.run("copy.close()")


LESSON = """
from patchwidget import Question, Top

mine = study.estimate("resid_pre").values.clone()
mine[2] *= 0.5
widget.compare(mine, "resid_pre")
mine[:] = 9
widget.ask(Question(
    "Which two <b>heads</b> matter for their values?", Top(2, "v"),
    hints=["Look at the map of values."], solution="They carry the name.",
))
"""


@pytest.fixture
def lesson(live):
    live.notebook.run(LESSON)
    yield live
    live.notebook.run('widget.compare(None, "resid_pre")\nwidget.ask(None)')
    live.root.locator(".pw-question").wait_for(state="hidden")


def test_values_of_ones_own_are_drawn_beside(lesson):
    live = lesson
    live.set(selection=["L2.resid_pre@14"])
    exact = live.exact("L2.resid_pre@14")
    estimates = live.estimate("resid_pre")
    mine = estimates.clone()
    mine[2] *= 0.5
    live.button("my miss").click()
    drawn = 'canvas[data-kind="resid_pre"][data-drawn="{}"]'
    live.root.locator(drawn.format("mine_miss")).wait_for()
    live.root.get_by_text("mine − exact where known").first.wait_for()
    known = torch.tensor(
        live.ask("study.known('resid_pre').values.nan_to_num(9).tolist()")
    )
    best = torch.where(known == 9, estimates, known)
    assert_same_order(live.colours(live.grid("resid_pre")), mine - best)
    live.hover(live.grid("resid_pre"), 2, 14)
    words = live.root.locator(".pw-readout-live").inner_text()
    shown = re.search(r"mine\s+(\S+?)\s*my miss\s+(\S+) from exact", words)
    wanted = [float(mine[2, 14]), float(mine[2, 14]) - exact]
    assert [number(text) for text in shown.groups()] == pytest.approx(wanted, abs=6e-4)
    live.root.locator('button[data-shown="mine"]').click()
    live.root.locator(drawn.format("mine")).wait_for()
    assert_same_order(live.colours(live.grid("resid_pre")), mine)
    rows = csv.DictReader(io.StringIO(copied(live, "CSV")))
    row = next(row for row in rows if row["node"] == "L2.resid_pre@14")
    assert float(row["mine"]) == pytest.approx(float(mine[2, 14]), rel=1e-5)
    assert float(row["mine_miss"]) == pytest.approx(wanted[1], rel=1e-4)


def test_a_question_is_answered_by_exact_patches(lesson, lab_server):
    live = lesson
    asked = live.root.locator(".pw-question")
    assert "<b>heads</b>" in asked.inner_text(), "text of an author is text"
    live.click(live.grid("v"), 0, 0)
    live.wait_for_picks(["L0H0.v"])
    asked.get_by_role("button", name="check").click()
    reply = asked.get_by_role("status")
    reply.get_by_text("2 are to be found.").wait_for(timeout=WAIT_MS)
    assert reply.inner_text().startswith("✗ Not yet. L0H0.v has an exact effect of")
    known = live.ask(
        "[str(n) for n in study.verified if n.kind == 'v' and n.by is None]"
    )
    assert len(known) == 40, "all that it takes was run"
    best = live.ask("[str(n) for n, _ in study.exact('v').top(2)]")
    live.set(selection=best)
    reply.get_by_text("before:").wait_for()
    asked.get_by_role("button", name="check").press("Enter")
    reply.get_by_text("✓ Right.").wait_for(timeout=WAIT_MS)
    assert asked.locator("summary:visible").all_inner_texts() == ["hint"]
    asked.locator("summary", has_text="hint").press("Enter")
    asked.locator("summary", has_text="answer").press("Enter")
    asked.get_by_text("They carry the name.").wait_for(timeout=WAIT_MS)
    cell = live.notebook.append("widget")
    live.notebook.run_cell(cell)
    other = live.notebook.output(cell).locator(".pw-question")
    other.get_by_text("✓ Right.").wait_for(timeout=WAIT_MS)
    live.notebook.run("widget.ask(Question('Again?', 'L0H0', hints=['Look.']))")
    asked.get_by_text("Again?").wait_for()
    live.notebook.run("widget.to_html('lesson.html')")
    page = live.page.context.new_page()
    page.goto((lab_server.root / "lesson.html").as_uri())
    page.locator(".pw-question summary", has_text="hint").click()
    page.locator(".pw-question").get_by_text("Look.").wait_for()
    page.locator(".pw-question").get_by_text("open the notebook").wait_for()
    page.close()


def row_of(live, path):
    return live.root.locator(f'.pw-inputs .pw-path[data-path="{path}"]')


def exact_of(live, path):
    run = row_of(live, path).locator(".pw-path-run[data-exact]")
    run.wait_for(timeout=WAIT_MS)
    return float(run.get_attribute("data-exact"))


def start(live, what):
    """See what it costs, then start it, and wait for its end."""
    live.root.locator(f'[data-cost="{what}"]').click()
    run = live.root.locator(f'[data-run="{what}"]:enabled')
    run.wait_for(timeout=WAIT_MS)
    cost = live.root.locator(".pw-cost:visible").inner_text()
    assert "patch" in cost, cost
    run.click()
    live.notebook.run("await widget.settled()")
    live.root.locator(f'[data-cost="{what}"]').click()


def test_from_a_head_to_the_exact_value_of_a_path(live):
    live.set(selection=["L4H0.z", "L3H1.z"])
    handle = live.root.locator('.pw-fold[data-section="circuit"]')
    assert handle.get_attribute("aria-expanded") == "false"
    handle.click()
    live.root.locator(".pw-chooser button", has_text="L4H0").click(timeout=WAIT_MS)
    first = live.root.locator('[data-list="q"] .pw-path[data-path$="L4H0.q"]').first
    first.wait_for(timeout=WAIT_MS)
    path = first.get_attribute("data-path")
    estimates = live.ask("study.paths().sel(reader='L4H0.q').nan_to_num().tolist()")
    estimate = max(estimates, key=abs)
    shown = first.locator(".pw-path-run").get_attribute("data-estimate")
    assert float(shown) == pytest.approx(estimate, rel=1e-4)
    assert live.ask("widget.circuit.get('paths', {})") == {}, "nothing was run yet"
    first.locator(".pw-path-run").press("Enter")
    exact = exact_of(live, path)
    # Apart from the question: it prints a bar where the machine is slow.
    live.notebook.run(f"found = study.exact_paths({path.split()[0]!r}, 'q')")
    wanted = live.ask("found.sel(layer=4, head=0).item()")
    assert exact == pytest.approx(wanted, rel=1e-4, abs=1e-7)
    words = first.locator(".pw-path-exact").inner_text()
    assert number(words.removeprefix("✓ ")) == pytest.approx(wanted, abs=6e-4)
    line = live.root.locator(f'.pw-sketch svg [data-path="{path}"]')
    assert line.get_attribute("data-sign") == ("pw-below" if wanted < 0 else "pw-above")


@pytest.mark.long
def test_the_picks_together(live):
    live.set(folds=[], selection=["L4H0.z", "L3H1.z", "L2H0.z"])
    start(live, "paths")
    paths = live.ask(
        "{name: one['exact'] for name, one in widget.circuit['paths'].items()}"
    )
    assert len(paths) >= 10
    lines = live.root.locator(".pw-sketch svg [data-path]")
    drawn = lines.evaluate_all("(lines) => lines.map((line) => line.dataset.path)")
    assert sorted(drawn) == sorted(paths)
    for what in ("interactions", "repair", "story", "path_story"):
        start(live, what)
    picks = "['L4H0.z', 'L3H1.z', 'L2H0.z']"
    live.notebook.run(f"pairs = study.interactions({picks})")
    live.notebook.run(f"repair = study.self_repair({picks})")
    live.notebook.run(f"story = study.whole_story({picks})")
    live.notebook.run(f"of_paths = study.whole_story({list(paths)})")
    found = live.ask(
        "[pairs['noising'].values[0, 1].item(), pairs.reading('L4H0.z', 'L3H1.z')]"
    )
    cell = live.root.locator(
        '.pw-matrix[data-side="noising"] td[data-row="0"][data-column="1"]'
    )
    assert float(cell.get_attribute("data-value")) == pytest.approx(found[0], rel=1e-4)
    cell.hover()
    assert (
        found[1] in live.root.locator(".pw-interactions .pw-circuit-words").inner_text()
    )
    heads = live.root.locator(".pw-repair-strip [data-layer]")
    later = live.ask("int(repair.heads.values.isfinite().sum())")
    assert heads.count() == later
    for part, name in ((".pw-story", "story"), (".pw-path-story", "of_paths")):
        complement = live.ask(f"{name}.complement")
        shown = live.root.locator(f'{part} [data-figure="complement"]').text_content()
        assert number(shown.split()[0]) == pytest.approx(complement, abs=6e-4)
    words = live.ask("repr(of_paths)").splitlines()[0]
    assert words in live.root.locator(".pw-path-story").inner_text()


def test_a_circuit_is_taken_along_and_loads_again(live, lab_server):
    live.set(folds=[], selection=["L3H1.z"])
    start(live, "paths")
    live.page.evaluate(CLIPBOARD)
    tools = live.root.locator(".pw-sketch-tools")
    tools.get_by_role("button", name="copy SVG").click()
    live.page.wait_for_function("window.copied")
    assert live.page.evaluate("window.copied").startswith("<svg")
    live.page.evaluate(CLIPBOARD)
    tools.get_by_role("button", name="copy JSON").click()
    live.page.wait_for_function("window.copied")
    text = live.page.evaluate("window.copied")
    assert json.loads(text)["paths"] == live.ask("widget.circuit['paths']")
    # In a new widget of the same study nothing was run, and all is there.
    cell = live.notebook.append("other = PatchWidget(study, folds=['grids'])\nother")
    live.notebook.run_cell(cell)
    root = live.notebook.output(cell).locator(".pw-root")
    root.get_by_role("button", name="load JSON …").click(timeout=WAIT_MS)
    root.get_by_label("Circuit as JSON").fill(text)
    root.get_by_role("button", name="load", exact=True).click()
    root.get_by_text(" loaded").wait_for(timeout=WAIT_MS)
    paths = live.ask("other.circuit['paths']")
    assert {one["source"] for one in paths.values()} == {"file"}
    assert root.locator(".pw-sketch svg [data-path]").count() == len(paths)
    root.get_by_role("button", name="load JSON …").click()
    root.get_by_label("Circuit as JSON").fill(text.replace('"denoising"', '"noising"'))
    root.get_by_role("button", name="load", exact=True).click()
    root.get_by_text("not loaded:").wait_for(timeout=WAIT_MS)
    live.notebook.run("other.to_html('circuit.html', ['L3H1'])")
    page = live.page.context.new_page()
    page.goto((lab_server.root / "circuit.html").as_uri())
    page.locator(".pw-sketch svg [data-path]").first.wait_for()
    assert page.locator(".pw-sketch svg [data-path]").count() == len(paths)
    assert page.locator(".pw-costed:visible").count() == 0
    page.close()


THEME = """(theme) => window.jupyterapp.commands.execute(
  "apputils:change-theme", {theme})"""


def test_the_look_follows_jupyterlab(live, pictures):
    live.set(selection=["L4H0.q", "L2H1.z", "L4.resid_pre@14"], folds=["circuit"])
    live.root.locator("canvas.pw-row-grid[data-drawn]").wait_for(timeout=WAIT_MS)
    live.root.locator(".pw-neuron").nth(19).wait_for(timeout=WAIT_MS)
    live.root.locator(".pw-attention canvas[data-drawn]").first.wait_for()
    light = live.colours(live.grid("q"))
    try:
        for theme, name in (("JupyterLab Dark", "dark"), ("JupyterLab Light", "light")):
            live.page.evaluate(THEME, theme)
            live.page.wait_for_function(
                "([root, name]) => root.dataset.theme === name",
                arg=[live.root.element_handle(), name],
                timeout=WAIT_MS,
            )
            colours = live.colours(live.grid("q"))
            assert (colours.mean() < light.mean() - 50) == (name == "dark")
            for width in (1800, 1000):  # what the widget gets is some 400 less
                live.page.set_viewport_size({"width": width, "height": 3600})
                live.page.wait_for_timeout(300)
                pictures.mkdir(parents=True, exist_ok=True)
                live.root.screenshot(path=pictures / f"{name}-{width}.png")
    finally:
        live.page.set_viewport_size({"width": 1400, "height": 2400})
    assert_close(live.colours(live.grid("q")), light)
