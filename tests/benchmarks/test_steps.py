"""How long a cell may have to wait for the step of a job that is under way."""

from __future__ import annotations

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


def in_one(study, method):
    """An estimate is one step."""
    study.estimate(KIND, method)
    yield


def jobs(model, pairs):
    for kind, by in SWEEPS:
        steps = PatchStudy(model, pairs).steps("exact", kind, by=by)
        yield f"exact `{kind}`" + (f" by {by}" if by else ""), steps
    for method in METHODS:
        yield f"`{method}` of `{KIND}`", in_one(PatchStudy(model, pairs), method)


def test_milliseconds_a_step():
    torch.set_num_threads(1)  # so that the process's time is the step's
    model, pairs = demo.load_model(), demo.ioi_pairs()
    PatchStudy(model, pairs).exact("L0H0.z")  # what only a process's first call does
    table = Table(
        "steps",
        "The steps of a job on the bundled model, in milliseconds of processor time",
        "make bench BENCH=test_steps.py",
    )
    table.add("| job | steps | median | longest |", "|---|---|---|---|")
    for name, steps in jobs(model, pairs):
        found = lengths(steps)
        middle = statistics.median(found)
        table.add(f"| {name} | {len(found)} | {middle:.0f} | {max(found):.0f} |")
    table.add("", "A garbage collection of Python's own may fall into a step.")
    table.save()
