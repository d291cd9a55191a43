"""Finds the Chromium that the browser tests drive, or installs one.

``python tests/browser/chromium.py --install`` is what ``make chromium`` runs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

VARIABLE = "PATCHWIDGET_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """Path of a usable browser: the named one, one on PATH, or Playwright's own."""
    if named := os.environ.get(VARIABLE):
        return named
    on_path = filter(None, map(shutil.which, NAMES))
    return next(on_path, None) or _playwrights_own()


def _playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install() -> None:
    """From the system's packages where that is allowed, else from Playwright."""
    apt = shutil.which("apt-get")
    if apt and os.geteuid() == 0:
        _run(apt, "update", "-qq")
        _run(apt, "install", "-y", "-qq", "chromium")
    if find() is None:
        _run(sys.executable, "-m", "playwright", "install", "chromium")


def _run(*command: str) -> None:
    # Whether it worked is read off the machine afterwards; errors go to the screen.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(command, stdout=subprocess.DEVNULL, check=False, env=environment)


if __name__ == "__main__":
    if "--install" in sys.argv and find() is None:
        print("installing Chromium (once)", flush=True)
        install()
    print(find() or sys.exit(f"No Chromium found: set {VARIABLE} to one."))
