"""What benchmarks share: the large model and its threads, the table of a file's results.

Benchmarks of the page run in the browser tests' own JupyterLab.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from gpt2_small import gpt2_small
from machine import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))

from fixture_page import open_page, page_address  # noqa: F401 - as below
from lab_fixtures import (  # noqa: F401 - found beside the browser tests, by name
    browser,
    lab_server,
    open_notebook,
    pictures,
    pytest_runtest_makereport,
)


@pytest.fixture(scope="module")
def threads():
    # The tests run with one, which is best for small models; GPT-2 small's is not small.
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model(threads):
    """A random model of GPT-2 small's shape: leave it as it is."""
    return gpt2_small()


@pytest.fixture(scope="module")
def table(request, threads):
    """The table `TABLE` of a file (name, title, first lines), kept when it has run.

    It says how many threads there are, so these come first.
    """
    name, title, *lines = request.module.TABLE
    made = Table(name, title, f"make bench BENCH={request.path.name}")
    made.add(*lines)
    yield made
    made.save()
