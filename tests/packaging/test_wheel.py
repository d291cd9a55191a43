"""What is shipped: the wheel holds everything that a notebook needs."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

SHIPPED = [
    "patchwidget/py.typed",
    "patchwidget/static/widget.js",
    "patchwidget/static/widget.css",
    "patchwidget/static/export.js",
    "patchwidget/static/circuit.js",
    "patchwidget/static/circuit.css",
    "patchwidget/demo/model/config.json",
    "patchwidget/demo/model/model.safetensors",
    "patchwidget/demo/model/tokenizer.json",
]
REQUIRED = {
    "torch",
    "transformer-lens",
    "anywidget",
    "ipywidgets",
    "circuitsvis",
    "numpy",
}

# Runs against the installed wheel, in a place from which the checkout cannot be seen.
FIRST_USE = """
import patchwidget
from patchwidget import PatchWidget, demo
print(patchwidget.__file__)
print(len(PatchWidget._esm), len(PatchWidget._css))
print(demo.load_model().cfg.n_layers)
"""


def test_the_wheel_built_without_node_holds_bundle_and_model(wheel):
    with zipfile.ZipFile(wheel) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    missing = [name for name in SHIPPED if name not in sizes]
    assert missing == []
    assert sizes["patchwidget/static/widget.js"] > 0
    strangers = [name for name in sizes if not name.startswith("patchwidget")]
    assert strangers == []


def test_the_wheel_asks_for_the_six_required_packages(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    requirements = {
        requirement.split(">")[0].replace("_", "-").lower()
        for requirement in metadata.get_all("Requires-Dist")
    }
    assert requirements == REQUIRED


def test_the_sdist_can_rebuild_the_front_end(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {"package.json", "package-lock.json", "js/build.mjs", "js/index.ts"}
    assert needed <= names
    assert not {name for name in names if "node_modules" in name}


@pytest.mark.long
def test_the_installed_wheel_works_on_its_own(wheel, tmp_path):
    python = new_environment(tmp_path / "venv")
    pip = [python, "-m", "pip", "install", "--no-deps", "--no-index", "-qq", wheel]
    subprocess.run(pip, check=True)
    done = subprocess.run(
        [python, "-c", FIRST_USE],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    place, *_ = done.stdout.splitlines()
    assert Path(place).is_relative_to(tmp_path)


def new_environment(folder):
    """A virtual environment that borrows the heavy packages of this one."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    # A path added by a .pth file comes after the environment's own packages, and its
    # own .pth files are not read: the editable install of this checkout stays out.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + os.linesep)
    return folder / "bin/python"
