"""Every Python block of the README runs, one after the other, as a reader would run them."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(
    r"^```python\n(.*?)^```", README.read_text("utf-8"), re.MULTILINE | re.DOTALL
)


def run(source, namespace):
    """As a notebook does: a cell may await."""
    code = compile(source, "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    found = eval(code, namespace)  # noqa: S307 - our own README
    if inspect.iscoroutine(found):
        asyncio.run(found)


def test_it_has_blocks():
    assert len(BLOCKS) >= 5


def test_every_block_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some of them write files
    namespace = {}
    for block in BLOCKS:
        run(block, namespace)
    assert namespace["exact"]["L2H0.v"].value != 0
    assert namespace["found"].settled
    assert namespace["widget"].method == "relp"
    namespace["widget"].close()
