"""How long a cell may have to wait for the step of a job that is under way."""

from __future__ import annotations

import gc
import statistics
import time

import gpt2_small
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


@pytest.fixture(scope="module")
def steps_table():
    """The table of this file, made with one thread: the process's time is the step's."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    table = Table(
        "steps",
        "The steps of a job, in milliseconds of processor time",
        "make bench BENCH=test_steps.py",
    )
    yield table
    table.save()
    torch.set_num_threads(before)


def test_milliseconds_a_step(steps_table):
    table, model, pairs = steps_table, demo.load_model(), demo.ioi_pairs()
    PatchStudy(model, pairs).exact("L0H0.z")  # what only a process's first call does
    table.add(
        "## The bundled model",
        "",
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
        "",
    )


def layer_of(study, copies=1):
    """Milliseconds of the forward and the backward of one layer: the median of them."""
    runs = study._runs
    stream = runs.base.values["resid_pre", 0].repeat(copies, 1, 1).requires_grad_(True)
    found = []
    for _ in range(9):
        steps, before = runs.engine.steps(stream, 0, "resid_pre"), time.process_time()
        next(steps)
        torch.autograd.grad(next(steps).sum(), stream)
        found.append(1000 * (time.process_time() - before))
    return statistics.median(found)


def estimating(model, pairs):
    """Each job, and how many copies of the pairs its largest batch has."""
    for method in METHODS:
        copies = 5 if method == "ig" else 1  # its five points are one batch
        study = PatchStudy(model, *pairs)
        yield f"`{method}` of `{KIND}`", study.estimating(KIND, method), copies
    yield "estimates of all paths", PatchStudy(model, *pairs).paths_stepwise(), 1
    study, node = PatchStudy(model, *pairs), "L0H0.q"
    study.exact(node)
    study.estimate("q")
    yield f"diagnosis of {node}", study.diagnosing(node), 1


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # theirs, about tqdm widgets
def test_steps_beside_a_layer(steps_table):
    """GPT-2 small's shape: the longest step beside one layer's forward and backward."""
    model, pairs = gpt2_small.gpt2_small(), gpt2_small.pairs()
    study = PatchStudy(model, *pairs)
    layers = {copies: layer_of(study, copies) for copies in (1, 5)}
    steps_table.add(
        "## GPT-2 small's shape, 8 pairs of 15 tokens",
        "",
        "A layer: the forward and the backward of one layer of one batch, which is all "
        "pairs once, and for `ig` five times.",
        "",
        "| job | steps | median | longest | a layer | longest beside it |",
        "|---|---|---|---|---|---|",
    )
    for name, steps, copies in estimating(model, pairs):
        found, layer = lengths(steps), layers[copies]
        longest = max(found)
        steps_table.add(
            f"| {name} | {len(found)} | {statistics.median(found):.0f} | {longest:.0f} | "
            f"{layer:.0f} | {longest / layer:.1f} |"
        )
    steps_table.add("")
