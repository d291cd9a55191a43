"""The built site: every link in it leads somewhere, and nothing is loaded from elsewhere."""

from __future__ import annotations

import re
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("pdoc", reason="the site is built under TransformerLens 4 only")

GUIDE = Path(__file__).parents[2] / "examples" / "guide"
LOADED = re.compile(r"""@import|url\(\s*['"]?(?:https?:)?//""")


@pytest.fixture(scope="module")
def builder():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(GUIDE)
        import build_site

        yield build_site


@pytest.fixture(scope="module")
def site(builder, tmp_path_factory):
    out = tmp_path_factory.mktemp("docs") / "site"
    builder.build(out)
    return out


class Read(HTMLParser):
    """Where a page's elements can be reached, what it links to, and what it loads."""

    def __init__(self, page):
        super().__init__()
        self.ids, self.links, self.loads = set(), [], []
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids.add(found.get("id"))
        if "href" in found:
            (self.loads if tag == "link" else self.links).append(found["href"])
        if "src" in found:
            self.loads.append(found["src"])


@pytest.fixture(scope="module")
def pages(site):
    return {page: Read(page) for page in sorted(site.rglob("*.html"))}


@pytest.mark.long
def test_every_link_within_the_site_leads_to_its_place(pages):
    lost = defaultdict(set)
    for page, read in pages.items():
        for link in [*read.links, *read.loads]:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            to = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            there = pages.get(to)
            if not to.is_file() or (
                parts.fragment and unquote(parts.fragment) not in (there or read).ids
            ):
                lost[page.name].add(link)
    assert not lost
    assert sum(len(read.links) for read in pages.values()) > 300


@pytest.mark.long
def test_nothing_is_loaded_from_elsewhere(pages):
    for page, read in pages.items():
        schemes = {urlsplit(load).scheme for load in read.loads}
        assert schemes <= {"", "data"}, page
        assert not any(load.startswith("//") for load in read.loads), page
        assert not LOADED.search(page.read_text("utf-8")), page


@pytest.mark.long
def test_what_is_public_is_in_the_reference(builder, site, pages):
    import patchwidget

    for module, names in builder.MODULES.items():
        ids = pages[site / builder._file_of(module)].ids
        assert ids >= set(names), module
    ids = pages[site / "patchwidget.html"].ids
    modules = {name.rpartition(".")[2] for name in builder.MODULES}
    assert ids >= set(patchwidget.__all__) - modules
    inherited = {"PatchStudy.estimate", "PatchStudy.verify", "PatchWidget.to_html"}
    assert ids >= inherited
    text = (site / "patchwidget.html").read_text("utf-8")
    assert "An instance of a Python dict" not in text, "traitlets' own words"


def test_a_link_to_nothing_stops_the_build(builder, tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n[nothing](nowhere.md)\n", "utf-8")
    monkeypatch.setattr(builder, "PAGES", {str(page): ("page.html", "Page")})
    with pytest.raises(FileNotFoundError, match=r"nowhere\.md"):
        builder.build(tmp_path / "site")
