"""The browser tests' fixtures, which the benchmarks share."""

from __future__ import annotations

from fixture_page import open_page, page_address  # noqa: F401 - as below
from lab_fixtures import (  # noqa: F401 - pytest finds fixtures and hooks by name
    browser,
    lab_server,
    open_notebook,
    pictures,
    pytest_runtest_makereport,
)
