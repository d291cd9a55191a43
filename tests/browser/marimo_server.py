"""A marimo server for the browser tests, cut off from the user's own settings."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server import CHECKOUT, OVERLAYS, free_port, stop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OVERLAY = OVERLAYS / "marimo"

NOTEBOOK = """
import marimo

app = marimo.App()


@app.cell
def _():
    import marimo
    import torch
    from patchwidget import PatchStudy, PatchWidget, demo

    torch.set_num_threads(1)
    study = PatchStudy(demo.load_model(), demo.ioi_pairs(32, order="ABBA"))
    widget = PatchWidget(study)
    return marimo, widget


@app.cell
def _(marimo, widget):
    start = marimo.ui.run_button(label="start a job")
    marimo.vstack([start, widget])
    return (start,)


@app.cell
def _(marimo, start, widget):
    marimo.stop(not start.value)
    widget.start("exact", "pattern", by="dest_src")
    return
"""

SETTINGS = """
[runtime]
auto_instantiate = true
"""


@dataclass
class Marimo:
    """A running server: where its one notebook is shown, and its process."""

    url: str
    process: subprocess.Popen


@contextmanager
def running_marimo(folder: Path, mode: str) -> Iterator[Marimo]:
    """Show the notebook to be edited ("edit") or as an application ("run")."""
    notebook, port = folder / "notebook.py", free_port()
    notebook.write_text(NOTEBOOK, "utf-8")
    settings = folder / "marimo" / "marimo.toml"
    settings.parent.mkdir()
    settings.write_text(SETTINGS, "utf-8")
    command = [
        *(sys.executable, "-m", "marimo", "--yes", mode, str(notebook)),
        *("--headless", "--no-token", "--port", str(port)),
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (OVERLAY, CHECKOUT))),
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "HF_HUB_OFFLINE": "1",
        "MARIMO_SKIP_UPDATE_CHECK": "1",
    }
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield Marimo(f"http://127.0.0.1:{port}", process)
        finally:
            stop(process)
