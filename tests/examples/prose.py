"""Python blocks of a Markdown page, run one after the other, as a reader would."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re

_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page):
    return _BLOCK.findall(page.read_text("utf-8"))


def run(page):
    """All blocks; what they leave behind, by name."""
    names = {}
    for block in blocks(page):
        _run(block, page.name, names)
    return names


def _run(source, name, names):
    """As a notebook does: a cell may await."""
    code = compile(source, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    found = eval(code, names)  # noqa: S307 - our own pages
    if inspect.iscoroutine(found):
        asyncio.run(found)
