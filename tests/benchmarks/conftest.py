"""Benchmarks of the page run in the browser tests' own JupyterLab."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))

from fixture_page import open_page, page_address  # noqa: F401 - as below
from lab_fixtures import (  # noqa: F401 - found beside the browser tests, by name
    browser,
    lab_server,
    open_notebook,
    pictures,
    pytest_runtest_makereport,
)
