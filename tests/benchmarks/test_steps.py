"""How long a cell may have to wait for the step of a job that is under way."""

from __future__ import annotations

import gc
import statistics
import time

import pytest
import torch
from machine import Table

from patchwidget import PatchStudy, demo

pytestmark = pytest.mark.bench

SWEEPS = (
    *(("resid_pre", None), ("attn_out", None), ("mlp_out", None)),
    *(("z", None), ("z", "pos"), ("q", "pos"), ("k", "pos"), ("v", "pos")),
    *(("pattern", None), ("pattern", "dest"), ("pattern", "dest_src")),
)
METHODS = ("atp", "atp_qk", "graddrop", "atp_star", "ig", "relp")
KIND = "z"


def lengths(steps):
    """Milliseconds of work that each step takes, without what other processes take."""
    found, before = [], time.process_time()
    for _ in steps:
        now = time.process_time()
        found.append(1000 * (now - before))
        before = now
    return [*found, 1000 * (time.process_time() - before)]


class Collections:
    """Milliseconds that Python's own collections of everything take."""

    def __init__(self):
        self.found, self._started = [], 0.0

    def __call__(self, phase, info):
        if info["generation"] < 2:
            return
        if phase == "start":
            self._started = time.process_time()
        else:
            self.found.append(1000 * (time.process_time() - self._started))

    def __enter__(self):
        gc.callbacks.append(self)
        return self

    def __exit__(self, *_):
        gc.callbacks.remove(self)


def jobs(model, pairs):
    for kind, by in SWEEPS:
        steps = PatchStudy(model, pairs).steps("exact", kind, by=by)
        yield f"exact `{kind}`" + (f" by {by}" if by else ""), steps
    for method in METHODS:
        yield (
            f"`{method}` of `{KIND}`",
            PatchStudy(model, pairs).estimating(KIND, method),
        )


def test_milliseconds_a_step():
    torch.set_num_threads(1)  # so that the process's time is the step's
    model, pairs = demo.load_model(), demo.ioi_pairs()
    PatchStudy(model, pairs).exact("L0H0.z")  # what only a process's first call does
    table = Table(
        "steps",
        "The steps of a job on the bundled model, in milliseconds of processor time",
        "make bench BENCH=test_steps.py",
    )
    table.add(
        "| job | steps | median | longest | a garbage collection in it |",
        "|---|---|---|---|---|",
    )
    for name, steps in jobs(model, pairs):
        with Collections() as collections:
            found = lengths(steps)
        figures = [f"{ms:.0f}" for ms in (statistics.median(found), max(found))]
        collected = ", ".join(f"{ms:.0f}" for ms in collections.found) or "-"
        table.add(f"| {name} | {len(found)} | {' | '.join(figures)} | {collected} |")
    table.add(
        "",
        "A collection goes through every object of the process, most of them its libraries', "
        "and comes when there are a quarter more than at the one before.",
    )
    table.save()
