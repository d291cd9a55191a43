"""Where no page looks on: nbconvert, and a plain script."""

from __future__ import annotations

import base64
import os
import subprocess
import sys

import nbformat
import pytest
from lab import write_copy
from live import SETUP
from server import (
    CHECKOUT,
    JUPYTERLAB,
    LAB_IPYWIDGETS_7,
    THIS_PYTHON,
    write_kernels,
)

from patchwidget import PatchStudy, demo

pytestmark = [pytest.mark.browser, pytest.mark.long]

HEAD = "L3H5.z"
CELLS = [
    SETUP,
    f"widget.selection = [{HEAD!r}]; await widget.settled()",
    f"print(widget.verified[{HEAD!r}]['exact'])",
    "widget.run('exact', 'q'); print(widget.job['state'])",
    "widget.snapshot()",
]


@pytest.fixture(scope="module")
def truth():
    study = PatchStudy(demo.load_model(), demo.ioi_pairs(order="ABBA"))
    return study.exact([HEAD])[HEAD].value


@pytest.fixture
def executed(tmp_path):
    """A notebook as `nbconvert --execute` leaves it; its path."""
    write_kernels(tmp_path, JUPYTERLAB)
    path = tmp_path / "notebook.ipynb"
    write_copy(CELLS, path, THIS_PYTHON)
    nbconvert(tmp_path, "notebook", "--execute", "--inplace", str(path))
    return path


def nbconvert(folder, target, *args):
    environment = {
        **os.environ,
        "JUPYTER_PATH": str(folder / "data"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    command = [sys.executable, "-m", "nbconvert", "--to", target, *args]
    done = subprocess.run(
        command,
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_nbconvert_leaves_a_picture_and_a_snapshot(executed, truth, browser):
    cells = nbformat.read(executed, as_version=4).cells
    outputs = [output for cell in cells for output in cell.outputs]
    assert "error" not in [output["output_type"] for output in outputs]
    shown = cells[0].outputs[-1]["data"]
    assert base64.b64decode(shown["image/png"]).startswith(b"\x89PNG\r\n")
    assert "application/vnd.jupyter.widget-view+json" in shown
    assert float(cells[2].outputs[0]["text"]) == pytest.approx(truth, rel=1e-5)
    assert cells[3].outputs[-1]["text"].strip() == "done"

    nbconvert(executed.parent, "html", str(executed))
    page = browser.new_context(offline=True).new_page()
    page.goto(executed.with_suffix(".html").as_uri())
    snapshot = page.frame_locator("iframe").last
    snapshot.locator('canvas.pw-grid[data-kind="z"][data-drawn]').wait_for()
    exact = snapshot.locator(f'.pw-pick[data-node="{HEAD}"] .pw-exact')
    assert float(exact.get_attribute("data-value")) == pytest.approx(truth, rel=1e-5)
    page.context.close()


SCRIPT = f"""
import ipywidgets
from patchwidget import PatchStudy, PatchWidget, demo

study = PatchStudy(demo.load_model(), demo.ioi_pairs(order="ABBA"))
widget = PatchWidget(study)
widget.selection = [{HEAD!r}]
print(widget.verified[{HEAD!r}]["exact"])
widget.start("exact", "q")
print(widget.job["state"], ipywidgets.__version__)
widget.close()
"""


@pytest.mark.parametrize(
    ("overlay", "version"), [(None, "8.1.9"), (LAB_IPYWIDGETS_7.overlay, "7.7.5")]
)
def test_a_script_without_a_loop_runs_things_at_once(overlay, version, truth):
    paths = [*([str(overlay)] if overlay else []), str(CHECKOUT)]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    exact, state, ipywidgets = done.stdout.split()
    assert float(exact) == pytest.approx(truth, rel=1e-5)
    assert (state, ipywidgets) == ("done", version)
