"""The built front end, as anywidget takes it."""

from __future__ import annotations

import os
from pathlib import Path

_STATIC = Path(__file__).parents[1] / "static"


def bundled(name: str) -> str | Path:
    """A file of the front end.

    Raises:
        ImportError: if it was not built.
    """
    path = _STATIC / name
    if not path.exists():
        raise ImportError(
            f"the front end {path} is missing: run `npm install && npm run build` in "
            "the source tree, or install a built package"
        )
    # A path makes anywidget watch the file, and keep every widget alive: only wanted
    # while working on the front end.
    return path if os.environ.get("ANYWIDGET_HMR") == "1" else path.read_text("utf-8")
