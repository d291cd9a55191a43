"""Build hook: makes the front-end bundle where it is missing.

A checkout lacks the bundle, an sdist carries it, so a wheel can be built from
an sdist on a machine without Node.js. ``PATCHWIDGET_SKIP_BUNDLE=1`` leaves the
bundle out, for jobs that only look at the Python code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUNDLE = ("widget.js", "widget.css", "export.js", "circuit.js", "circuit.css")
SKIP_VARIABLE = "PATCHWIDGET_SKIP_BUNDLE"


class BundleHook(BuildHookInterface):  # type: ignore[misc]  # hatchling is untyped here
    """Runs npm before an sdist or a wheel is packed, if there is need."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Build the bundle unless it is there, unwanted, or built by ``make``."""
        if version == "editable" or os.environ.get(SKIP_VARIABLE) == "1":
            return
        root = Path(self.root)
        if not all((root / "patchwidget/static" / name).is_file() for name in BUNDLE):
            build_bundle(root)


def build_bundle(root: Path) -> None:
    """Install the locked front-end tools and bundle ``js/`` with them."""
    npm = shutil.which("npm")
    if npm is None:
        message = (
            "The front-end bundle (patchwidget/static) is missing and npm is not on "
            f"PATH. Install Node.js 20 or newer, or set {SKIP_VARIABLE}=1 to build "
            "without the widget's front end."
        )
        raise RuntimeError(message)
    for arguments in (["ci", "--silent", "--ignore-scripts"], ["run", "-s", "build"]):
        subprocess.run([npm, *arguments], cwd=root, check=True)  # noqa: S603
