"""The chapter and the course beside other versions of ipywidgets, without a page."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from server import CHECKOUT, JUPYTERLAB, LAB_IPYWIDGETS_7
from torch.testing import assert_close

# Loops over hooks, as a chapter writes them.
pytestmark = [pytest.mark.browser, pytest.mark.long]

EXAMPLES = CHECKOUT / "tests/examples"
IPYWIDGETS = {JUPYTERLAB: "8.1.9", LAB_IPYWIDGETS_7: "7.7.5"}

# Exits with what is wrong; it says so when all is right.
WALK = """
import ipywidgets
from course import COURSE, LONG, exercises_of, walk

for number, path in enumerate(COURSE, 1):
    found = walk(number)
    assert found.grad_was_off
    assert list(found.solutions) == [n for n in exercises_of(path) if n != LONG]
    wrong = [verdict for verdict in found.solutions.values() if not verdict]
    assert not wrong, wrong
print("all right beside", ipywidgets.__version__)
"""


def run_beside(host, *arguments):
    """What Python prints with the host's packages before its own."""
    if host.overlay and not host.overlay.exists():
        pytest.fail(f"{host.name} is missing: `make test-hosts`", pytrace=False)
    overlays = [str(host.overlay)] if host.overlay else []
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*overlays, str(CHECKOUT)])},
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("host", IPYWIDGETS, ids=lambda host: host.name)
def test_the_chapters_arrays_are_those_of_transformer_lens(host, tmp_path):
    run_beside(host, EXAMPLES / "chapter_flow.py", tmp_path / "arrays.pt")
    left = torch.load(tmp_path / "arrays.pt", weights_only=True)
    assert left["ipywidgets"] == IPYWIDGETS[host]
    assert left["ours"].keys() == left["theirs"].keys() >= {"by position", "noising"}
    for name, ours in left["ours"].items():
        assert_close(ours, left["theirs"][name])
    assert_close(left["widget"], left["theirs"]["heads"])


# Beside this ipywidgets the short tests do it.
def test_the_course_is_solved_beside_ipywidgets_7():
    said = run_beside(LAB_IPYWIDGETS_7, "-c", WALK)
    assert said.rstrip().endswith("all right beside 7.7.5")
