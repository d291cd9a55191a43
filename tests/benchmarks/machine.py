"""What this machine can do at best, and the table in which results are kept."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

RESULTS = Path(__file__).parent / "results"
# Rows x inner x columns of products, as in the sweeps and square.
SHAPES = ((1024, 768, 3072), (1024, 3072, 768), (1024, 768, 768), (2048, 2048, 2048))
REPEATS = 6


class Peak:
    """The rate of fp32 products, measured now and then while something else is timed.

    The rate of a shape is all its work over all its time, so that a neighbour on the
    machine slows it as much as what it is compared with; the peak is the best shape's.
    """

    def __init__(self):
        self._factors = [(torch.randn(n, k), torch.randn(k, m)) for n, k, m in SHAPES]
        self._seconds = [0.0] * len(SHAPES)
        self._work = [0.0] * len(SHAPES)

    def measure(self):
        """Some products of every shape."""
        with torch.inference_mode():
            for i, (left, right) in enumerate(self._factors):
                left @ right
                started = time.perf_counter()
                for _ in range(REPEATS):
                    left @ right
                self._seconds[i] += time.perf_counter() - started
                self._work[i] += 2 * REPEATS * left.shape[0] * right.numel()

    @property
    def rate(self):
        """Floating-point operations a second, of the best shape."""
        return max(w / s for w, s in zip(self._work, self._seconds, strict=True))


def seconds_of(call, repeats=1):
    """Median time of a call."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def run_alone(script, *arguments):
    """What a script beside this file prints, in a process that held nothing before."""
    here = Path(__file__).parent
    paths = [here.parents[1], here.parent, here, os.environ.get("PYTHONPATH", "")]
    settings = {
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        # What is freed goes back to the system at once, whatever its size.
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "MALLOC_TRIM_THRESHOLD_": "65536",
    }
    ran = subprocess.run(
        [sys.executable, here / script, *arguments],
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return ran.stdout.splitlines()[-1]


def grown_by(call):
    """By how many bytes the process grows at most while something runs."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _resident("VmRSS")
    call()
    return _resident("VmHWM") - before


def _resident(field):
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (line,) = [line for line in lines if line.startswith(field)]
    return 1024 * int(line.split()[1])


class Table:
    """Rows of text that are printed, and kept in a file with the command that made them."""

    def __init__(self, name, title, command):
        self._path = RESULTS / f"{name}.md"
        self._lines = [f"# {title}", "", f"`{command}`", "", _machine(), ""]

    def add(self, *lines):
        """Write lines."""
        for line in lines:
            print(line, flush=True)
            self._lines.append(line)

    def save(self):
        """Keep the file."""
        RESULTS.mkdir(exist_ok=True)
        self._path.write_text("\n".join(self._lines) + "\n", encoding="utf-8")


def _machine():
    from importlib.metadata import version

    import transformer_lens  # noqa: F401 - its version is what is compared with

    threads = torch.get_num_threads()
    return (
        f"{threads} thread{'s' * (threads > 1)} on {platform.machine()}, "
        f"torch {torch.__version__.split('+')[0]}, "
        f"TransformerLens {version('transformer_lens')}, float32."
    )
