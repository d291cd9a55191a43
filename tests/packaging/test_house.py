"""Lock files, version numbers, and what an import costs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON_LOCKS = ["requirements.lock", "requirements-tl2.lock"]
# Over the second of them.
OLDER_LOCK = "tests/tl211.lock"
# A local suffix such as +cpu exists in no public index.
PINNED = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+")
HEAVY = ["transformer_lens", "pandas", "matplotlib", "IPython", "ipywidgets"]


@pytest.mark.parametrize("name", [*PYTHON_LOCKS, OLDER_LOCK])
def test_a_python_lock_is_names_and_versions(name):
    lines = (ROOT / name).read_text("utf-8").splitlines()
    assert [line for line in lines if not PINNED.fullmatch(line)] == []
    assert [line for line in lines if re.match("nvidia|cuda|triton", line)] == []
    assert "torch==2.13.0" in lines or name == OLDER_LOCK


def test_the_two_python_locks_differ_in_transformer_lens():
    pins = [
        line
        for name in PYTHON_LOCKS
        for line in (ROOT / name).read_text("utf-8").splitlines()
        if line.startswith("transformer-lens==")
    ]
    assert pins == ["transformer-lens==4.3.0", "transformer-lens==2.18.0"]


def test_the_npm_lock_holds_no_addresses():
    text = (ROOT / "package-lock.json").read_text("utf-8")
    assert "://" not in text, "`make lock` takes addresses out"
    assert '"resolved"' not in text


def test_python_and_javascript_agree_on_the_version():
    package, lock = (
        json.loads((ROOT / name).read_text("utf-8"))["version"]
        for name in ("package.json", "package-lock.json")
    )
    assert package == lock == version("patchwidget")


def test_importing_the_package_loads_nothing_that_it_may_not_need():
    code = f"import sys, patchwidget; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
