"""Fixtures: the sdist, and the wheel that a machine without Node.js makes of it."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def build(source: Path, target: Path, kind: str, path: str) -> Path:
    """Build with the backend that is installed here: nothing is fetched."""
    command = [sys.executable, "-m", "build", "--no-isolation", f"--{kind}"]
    done = subprocess.run(
        [*command, "--outdir", target, source],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = target.glob("*.tar.gz" if kind == "sdist" else "*.whl")
    return built


@pytest.fixture(scope="session")
def sdist(tmp_path_factory):
    target = tmp_path_factory.mktemp("sdist")
    return build(ROOT, target, "sdist", os.environ["PATH"])


@pytest.fixture(scope="session")
def wheel(sdist, tmp_path_factory):
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    (source,) = unpacked.iterdir()
    nowhere = tmp_path_factory.mktemp("no-node")
    return build(source, tmp_path_factory.mktemp("wheel"), "wheel", str(nowhere))
