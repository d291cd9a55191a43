"""A room imports only from rooms that stand above it, and no file has grown too long."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "patchwidget"
# From the words down to what people touch.
ROOMS = (
    "slices",
    "once",
    "interrupts",
    "nodes",
    "windows",
    "padding",
    "pairs",
    "sources",
    "grids",
    "spread",
    "effects",
    "logits",
    "metrics",
    "decoder",
    "hooks",
    "differentiate",
    "runs",
    "finite",
    "engines",
    "watch",
    "attention",
    "changes",
    "exact",
    "estimate",
    "rank",
    "verify",
    "paths",
    "circuits",
    "generality",
    "saving",
    "study",
    "questions",
    "patching",
    "widget",
    "demo",
    "exercises",
)
FILES = sorted(PACKAGE.rglob("*.py"))


def room(parts):
    return parts[1] if len(parts) > 1 else parts[0]


def imported_rooms(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "patchwidget":
                yield from (name.name for name in node.names)
            elif node.module.startswith("patchwidget."):
                yield room(node.module.split("."))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_upwards(path):
    here = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if here == "__init__":
        return
    for other in imported_rooms(path):
        assert ROOMS.index(other) <= ROOMS.index(here), f"{here} imports {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_are_short(path):
    assert len(path.read_text("utf-8").splitlines()) <= 400
