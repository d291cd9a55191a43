"""Which of its arguments a student's function never reads."""

from __future__ import annotations

import dis
import inspect
from functools import partial
from types import CodeType
from typing import Any

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def unread(function: Any) -> list[str]:
    """Names of parameters that its code never loads; none where the code is not seen.

    Who writes a function in a notebook easily reads a variable of the notebook instead,
    which is right there and nowhere else.
    """
    function = innermost(function)
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return []
    parameters = inspect.signature(function).parameters.values()
    read = _read(code)
    return [p.name for p in parameters if p.kind in _NAMED and p.name not in read]


def innermost(function: Any) -> Any:
    """What is wrapped by `functools.partial` and by decorators."""
    while isinstance(function, partial):
        function = function.func
    return inspect.unwrap(function)


def _read(code: CodeType) -> set[str]:
    """Names that are loaded, or handed to a function inside."""
    read = set(code.co_cellvars)
    for instruction in dis.get_instructions(code):
        if instruction.opname.startswith("LOAD_"):
            # One instruction may load two names.
            value = instruction.argval
            read.update(value if isinstance(value, tuple) else [value])
    return read
