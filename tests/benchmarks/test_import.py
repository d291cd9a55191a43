"""How long a user waits for `import patchwidget` once torch is there."""

from __future__ import annotations

import statistics
import subprocess
import sys

import pytest

pytestmark = pytest.mark.bench

RUNS = 5
TIMED = """
import time, torch
start = time.perf_counter()
import patchwidget
print(time.perf_counter() - start)
"""


def import_seconds():
    command = [sys.executable, "-c", TIMED]
    return float(subprocess.run(command, capture_output=True, check=True).stdout)


def test_seconds_to_import():
    seconds = statistics.median(import_seconds() for _ in range(RUNS))
    print(f"\nimport patchwidget after torch: {seconds:.3f} s (median of {RUNS})")
