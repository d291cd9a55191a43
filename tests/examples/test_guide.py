"""What the guide's pages show runs, and what their tables name is there."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from prose import run

from patchwidget import patching
from patchwidget.nodes import axes_of

GUIDE = Path(__file__).parents[2] / "examples" / "guide"
PAGES = {page.stem: page for page in sorted(GUIDE.glob("*.md"))}


@pytest.fixture
def pictures(monkeypatch):
    """A stand-in for plotly, which is not among what is installed; it keeps the shapes."""
    shapes = []
    express = ModuleType("plotly.express")
    express.imshow = lambda image, **_look: shapes.append(tuple(image.shape))
    monkeypatch.setitem(sys.modules, "plotly", ModuleType("plotly"))
    monkeypatch.setitem(sys.modules, "plotly.express", express)
    return shapes


# What a notebook becomes has a test of its own.
@pytest.mark.parametrize(
    "page", sorted(PAGES.keys() - {"from-your-notebook", "circuits"})
)
def test_every_block_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some of them write files
    run(PAGES[page])


def test_circuits_are_as_the_page_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reading = run(PAGES["circuits"])["both"].reading("L0H0", "L1H0")
    assert reading == "OR-like (denoising -0.26, noising +0.22)"


def test_a_notebook_gives_the_same_before_and_after(pictures):
    names = run(PAGES["from-your-notebook"])
    assert pictures == [(5, 8), (5, 8)]
    assert names["estimate"].method == "atp"


def test_what_becomes_of_each_patching_function_is_there():
    table = re.findall(
        r"^\| `(get_act_patch_\w+)`.* \| `(study\.exact\(.*?\))`.* \| ([\w, ]+) \|$",
        PAGES["from-your-notebook"].read_text("utf-8"),
        re.MULTILINE,
    )
    assert len(table) == 6
    for function, call, axes in table:
        assert hasattr(patching, function)
        found = re.fullmatch(r'study\.exact\("(\w+)"(?:, by="(\w+)")?\)', call)
        assert ", ".join(axes_of(found[1], found[2])) == axes


def test_every_page_is_on_the_first_one():
    index = PAGES["README"].read_text("utf-8")
    assert all(f"({page}.md)" in index for page in PAGES if page != "README")


@pytest.mark.parametrize(
    ("constant", "words"),
    [
        ("MAX_DRAGGED = 256;", "256 cells in one rectangle"),
        ("MAX_HEADS = 24;", "24 heads drawn"),
        ("MAX_BYTES = 128 * 2 ** 20;", "128 MB of patterns"),
        ("MOST = 320;", "320 neurons"),
    ],
)
def test_the_limits_of_the_widget_are_those_of_its_code(constant, words):
    views = [
        path.read_text("utf-8") for path in (GUIDE.parents[1] / "js").rglob("*.ts")
    ]
    assert any(constant in view for view in views)
    assert words in PAGES["limits"].read_text("utf-8")
