"""Builds the site: the guide's pages, and the reference from the docstrings.

    python examples/guide/build_site.py build/site

Pages are what `PAGES` names, modules what `MODULES` names. What a page links to beside
these is copied, and a link to nothing stops the build. The result is plain files, which
load nothing from elsewhere.
"""

from __future__ import annotations

import re
import shutil
import sys
import warnings
from dataclasses import dataclass
from inspect import getattr_static
from pathlib import Path

import pdoc.doc
import pdoc.render
import traitlets
from markupsafe import Markup
from pdoc.render_helpers import to_html
from pygments.formatters import HtmlFormatter

import patchwidget
from patchwidget import PatchStudy, PatchWidget, demo

GUIDE = Path(__file__).parent
ROOT = GUIDE.parents[1]

# Where a page of the repository stands in the site, and its name there.
GUIDE_PAGES = {
    "examples/guide/README.md": ("index.html", "Overview"),
    "examples/guide/from-your-notebook.md": (
        "from-your-notebook.html",
        "From your notebook",
    ),
    "examples/guide/reading-the-views.md": (
        "reading-the-views.html",
        "How to read each view",
    ),
    "examples/guide/circuits.md": ("circuits.html", "Paths and circuits"),
    "examples/guide/jobs-and-files.md": ("jobs-and-files.html", "Jobs, files, pages"),
    "examples/guide/limits.md": ("limits.html", "Limits"),
    "examples/guide/checkers.md": ("checkers.html", "Checker catalogue"),
}
PROJECT_PAGES = {
    "README.md": ("readme.html", "README"),
    "patchwidget/demo/card.md": ("card.html", "The bundled model"),
    "tests/benchmarks/results/estimates.md": ("estimates.html", "Estimates, measured"),
    "tests/benchmarks/results/sweeps.md": ("sweeps.html", "Exact sweeps, measured"),
    "CHANGELOG.md": ("changelog.html", "Changelog"),
}
PAGES = {**GUIDE_PAGES, **PROJECT_PAGES}
# What a user meets, by module: all of it, or the names that are not told elsewhere.
MODULES: dict[str, tuple[str, ...]] = {
    "patchwidget": (),
    "patchwidget.attention": ("Attention",),
    "patchwidget.demo": (),
    "patchwidget.effects": (),
    "patchwidget.estimate": (
        *("atp", "atp_qk", "graddrop", "atp_star", "ig", "relp", "hvp"),
        "Curvature",
    ),
    "patchwidget.exact": ("PatchCost", "Progress"),
    "patchwidget.exercises": (),
    "patchwidget.grids": ("Labelled", "Scale", "Cost"),
    "patchwidget.patching": (),
    "patchwidget.paths": ("Path", "PathGrid", "ExactPaths"),
    "patchwidget.rank": (
        *("subsampling", "blocks", "hierarchical", "random_order"),
        "Ranking",
    ),
    "patchwidget.saving": ("SavedStudy", "SavedFileError", "NeedsModelError"),
    "patchwidget.sources": (
        *("Zero", "Mean", "Resample", "Gaussian"),
        *("Source", "Capturing"),
    ),
    "patchwidget.verify": (
        *("Verification", "VerifyProgress", "Check", "Agreement", "Figures", "Bound"),
        *("Settling", "Diagnosis", "Cause", "SelfRepair"),
        *("cost_of_verified_recall", "irwrgm"),
    ),
}
_LINK = re.compile(r'\b(href|src)="(?!#|[a-z]+:)([^"#]+)(#[^"]*)?"')
_SECTIONS = re.compile(r"(?<=.)<ul>.*</ul>(?=.*</ul>)", re.DOTALL)


@dataclass(frozen=True)
class Page:
    """A Markdown file of the repository, and where it stands in the site.

    Attributes:
        source: the file.
        file: its page in the site.
        title: what it is called there.
        html: its text, with the links of the repository.
        contents: a list of its sections.
    """

    source: Path
    file: str
    title: str
    html: str
    contents: str

    @classmethod
    def of(cls, source: Path, file: str, title: str) -> Page:
        """Read a page."""
        html = to_html(source.read_text("utf-8"))
        # Within the one heading of a page are those of its sections.
        sections = _SECTIONS.search(getattr(html, "toc_html", None) or "")
        return cls(source, file, title, html, sections[0] if sections else "")


def build(out: Path) -> None:
    """Write the whole site into a folder, in place of what is there.

    Raises:
        FileNotFoundError: if a page links to a file that is not there.
    """
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    pages = [Page.of(ROOT / source, *place) for source, place in PAGES.items()]
    _configure(pages)
    modules = _modules()
    for page in pages:
        html = _LINK.sub(lambda link, page=page: _relinked(link, page, out), page.html)
        template = pdoc.render.env.get_template("page.html.jinja2")
        text = template.render(page=page, html=Markup(html), all_modules=modules)  # noqa: S704 - our own pages
        (out / page.file).write_text(text, "utf-8")
    for name, html in _reference_pages(modules).items():
        file = out / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(html, "utf-8")
    _save_widget(out / "widget.html")


def _modules() -> dict[str, pdoc.doc.Module]:
    # A name that is loaded when it is first used is not in the module before.
    for name in patchwidget.__all__:
        setattr(patchwidget, name, getattr(patchwidget, name))
    return {name: pdoc.doc.Module.from_name(name) for name in MODULES}


def _reference_pages(modules: dict[str, pdoc.doc.Module]) -> dict[str, str]:
    """Pages by file, with the index that is searched."""
    with warnings.catch_warnings():
        # A dataclass has its base's fields, whose types its own module need not import.
        warnings.filterwarnings("ignore", "Error parsing type annotation")
        pages = {
            _file_of(name): pdoc.render.html_module(module, modules)
            for name, module in modules.items()
        }
        return {**pages, "search.js": pdoc.render.search_index(modules)}


def _save_widget(path: Path) -> None:
    """A widget to try the guide on, without a kernel."""
    study = PatchStudy(demo.load_model(), demo.ioi_pairs())
    picks = ["L0H0.q", "L2H0.v", "L2H1.v"]
    study.exact([*picks, *(node for node, _ in study.estimate("z").top(10))])
    widget = PatchWidget(study, selection=picks, shown="known")
    widget.to_html(path)
    widget.close()


def _configure(pages: list[Page]) -> None:
    pdoc.render.configure(
        docformat="google",
        include_undocumented=False,
        template_directory=GUIDE / "templates",
    )
    styles = {"light": "default", "dark": "github-dark"}
    pdoc.render.env.globals.update(
        site_pages={
            "Guide": pages[: len(GUIDE_PAGES)],
            "Project": pages[len(GUIDE_PAGES) :],
        },
        site_modules={name: _file_of(name) for name in MODULES},
        site_names=MODULES,
        is_trait=_is_trait,
        code_styles={
            look: HtmlFormatter(style=style).get_style_defs(".pdoc-code")
            for look, style in styles.items()
        },
    )


def _is_trait(cls: pdoc.doc.Class, member: pdoc.doc.Doc) -> bool:
    """Whether a member is one whose docstring is traitlets' own: the class tells of it."""
    return isinstance(getattr_static(cls.obj, member.name, None), traitlets.TraitType)


def _file_of(module: str) -> str:
    return f"{module.replace('.', '/')}.html"


def _relinked(link: re.Match[str], page: Page, out: Path) -> str:
    """A link of the repository as one of the site."""
    attribute, target, fragment = link.groups()
    path = (page.source.parent / target).resolve()
    if not path.is_file():
        raise FileNotFoundError(f"{page.source} links to {target}, which is no file")
    inside = path.relative_to(ROOT.resolve())
    page_there, _ = PAGES.get(inside.as_posix(), (None, None))
    file = page_there or _reference(inside) or _copied(path, inside, out)
    return f'{attribute}="{file}{fragment or ""}"'


def _reference(inside: Path) -> str | None:
    """The page of a module, for a link to its source."""
    if inside.suffix != ".py":
        return None
    module = ".".join(inside.with_suffix("").parts).removesuffix(".__init__")
    return _file_of(module) if module in MODULES else None


def _copied(path: Path, inside: Path, out: Path) -> str:
    copy = out / "files" / inside
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, copy)
    return f"files/{inside}"


if __name__ == "__main__":
    build(Path(sys.argv[1]))
