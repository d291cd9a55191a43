"""The second example in JupyterLab: it runs through, and its widget shows what it found."""

from __future__ import annotations

from pathlib import Path

import pytest

# `tests/examples` runs the whole story without a page; what a page shows of picks and
# attention, `test_quickstart.py` and `test_live_views.py` have in the short run.
pytestmark = [pytest.mark.browser, pytest.mark.long]

NOTEBOOK = Path(__file__).parents[2] / "examples/when_estimates_lie.ipynb"


def test_the_story_ends_in_the_widget(open_notebook, pictures):
    notebook = open_notebook(NOTEBOOK)
    notebook.run_all()
    root = notebook.page.locator(".pw-root").first
    root.wait_for()
    for node in ("L1H0.q", "L1H0.z", "L2H1.v"):
        pick = root.locator(f'.pw-pick[data-node="{node}"] .pw-exact[data-value]')
        pick.wait_for(timeout=10_000)
        known = float(notebook.run(f"print(study.verified[{node!r}].value)"))
        assert float(pick.get_attribute("data-value")) == pytest.approx(known, rel=1e-5)
    for head in ("L1H0", "L2H1"):
        root.locator(f'.pw-thumbnail[data-head="{head}"]').wait_for(timeout=10_000)
    root.locator('.pw-attention-panel[data-run="clean"]').wait_for(timeout=10_000)
    root.scroll_into_view_if_needed()
    notebook.screenshot(pictures / "story.png")
    assert notebook.errors == []
