"""Exact sweeps beside TransformerLens' own, on a random model of GPT-2 small's shape."""

from __future__ import annotations

import json
import math
import statistics
import time

import torch
from gpt2_small import MARKS, gpt2_small, logit_diff, pairs
from machine import Peak, run_alone, seconds_of

from patchwidget import Head, PatchStudy
from patchwidget.exact import Swap, work_of

pytestmark = MARKS
WORDS = (
    "Useful operations: 2 x the multiplications of every product that has to be made: "
    "weight matrices at the positions from the first change on (in the last layer keys "
    "and values of these, the rest of the position that is read), scores and mixes of "
    "what attention sees, two logits a pair (`exact/cost.py`). Peak: the best rate of "
    "`torch` products of 1024x768x3072, 1024x3072x768, 1024x768x768 and 2048^3, all "
    "work over all time, measured between the steps of the same sweep. On a processor: "
    "the CUDA path is tried for shapes, devices and dtypes only, and was not timed."
)
TABLE = (
    "sweeps",
    "Exact sweeps, GPT-2 small's shape, 8 pairs of 15 tokens that differ at 3 and 10",
    WORDS,
    "",
)

HEAD_KINDS = ("z", "q", "k", "v", "pattern")
ALL_POS = {
    kind: f"get_act_patch_attn_head_{name}_all_pos"
    for kind, name in zip(HEAD_KINDS, ("out", "q", "k", "v", "pattern"), strict=True)
}
BY_POS = {kind: name.replace("all_pos", "by_pos") for kind, name in ALL_POS.items()}
EVERY = 9  # of their cells, where only a sample is timed


class Timed:
    """One sweep of ours: seconds, share of the peak, the largest growth in memory."""

    def __init__(self, model, kinds, by=None, **settings):
        self.seconds = self.operations = 0.0
        peak, steps_done = Peak(), 0
        for kind in kinds:
            study = PatchStudy(model, *pairs(), **settings)
            patches = [(node,) for node in study.extent.nodes(kind, by)]
            self.operations += 2 * sum(work_of(Swap.of(study._runs), patches))
            steps = study.steps("exact", kind, by=by)
            peak.measure()
            while True:
                started = time.perf_counter()
                step = next(steps, None)
                self.seconds += time.perf_counter() - started
                if step is None:
                    break
                steps_done += 1
                if steps_done % 25 == 0:
                    peak.measure()
        peak.measure()
        self.rate, self.peak = self.operations / self.seconds, peak.rate

    @property
    def share(self):
        return self.rate / self.peak


def theirs(model, names, sample=None):
    """Seconds that TransformerLens' functions take, or would, from a sample of cells."""
    from transformer_lens import patching

    clean, corrupted, answers = pairs()
    metric = logit_diff(answers)
    with torch.no_grad():
        cache = model.run_with_cache(clean)[1]
        total = 0.0
        for name in names:
            function, scale = getattr(patching, name), 1.0
            if sample is not None:
                function, scale = _sampled(patching, name, sample)
            total += scale * seconds_of(
                lambda function=function: function(model, corrupted, cache, metric)
            )
    return total


def _sampled(patching, name, sample):
    """Their function on every `EVERY`-th cell, and what its time is multiplied by."""
    import pandas as pd

    function = getattr(patching, name)
    settings = dict(function.keywords)
    axes = settings.pop("index_axis_names")
    sizes = {"layer": 12, "head": 12, "head_index": 12, "pos": 15, "dest_pos": 15}
    cells = pd.DataFrame(
        torch.cartesian_prod(*[torch.arange(sizes[axis]) for axis in axes]).tolist(),
        columns=list(axes),
    )
    some = cells.iloc[::sample].reset_index(drop=True)

    def run(model, corrupted, cache, metric):
        return patching.generic_activation_patch(
            model, corrupted, cache, metric, index_df=some, **settings
        )

    return run, len(cells) / len(some)


def test_against_transformer_lens(model, table):
    rows = {
        "resid_pre by position (180)": (
            ["resid_pre"],
            None,
            ["get_act_patch_resid_pre"],
            None,
        ),
        "z, all positions (144)": (["z"], None, [ALL_POS["z"]], None),
        "five components, all positions (720)": (
            HEAD_KINDS,
            None,
            ALL_POS.values(),
            EVERY,
        ),
        "z by position (2,160)": (["z"], "pos", [BY_POS["z"]], 8 * EVERY),
        "five components by position (10,800)": (
            HEAD_KINDS,
            "pos",
            BY_POS.values(),
            8 * EVERY,
        ),
    }
    table.add(
        f"## Beside TransformerLens' own functions (sampled rows: one in {EVERY} of their "
        f"cells, by position one in {8 * EVERY})",
        "",
        "| sweep (patches) | ours, s | TransformerLens, s | ratio | GFLOP/s | peak | share |",
        "|---|---|---|---|---|---|---|",
    )
    Timed(model, ["z"])
    # Theirs right after ours, so that a busy minute meets both.
    for name, (kinds, by, functions, sample) in rows.items():
        ours, seconds = Timed(model, kinds, by), theirs(model, functions, sample)
        table.add(
            f"| {name} | {ours.seconds:.1f} | {seconds:.1f}"
            f"{' (sampled)' if sample else ''} | {seconds / ours.seconds:.1f} | "
            f"{ours.rate / 1e9:.0f} | {ours.peak / 1e9:.0f} | {ours.share:.2f} |"
        )
    table.add("")


def test_one_head(model, table):
    study = PatchStudy(model, *pairs())
    nodes = [Head(layer, head) for layer in range(12) for head in range(12)]
    work = work_of(Swap.of(study._runs), [(node,) for node in nodes])
    study.exact([Head(0, 0, kind="v")])
    peak, times = Peak(), []
    for number, node in enumerate(nodes):
        if number % 24 == 0:
            peak.measure()
        times.append(seconds_of(lambda node=node: study.exact([node])))
    shares = [2 * w / t / peak.rate for w, t in zip(work, times, strict=True)]
    table.add(
        "## One head, 8 pairs, from call to value (all 144, the checks of the model included)",
        "",
        f"median {1000 * statistics.median(times):.0f} ms (least {1000 * min(times):.0f}, "
        f"most {1000 * max(times):.0f}); share of the peak {statistics.median(shares):.2f}",
        "",
    )


def test_a_function_as_metric(model, table):
    answers = pairs()[2]
    function = logit_diff(answers)
    built_in, own = [], []
    for _ in range(3):
        built_in.append(Timed(model, ["z"]).seconds)
        own.append(Timed(model, ["z"], metric=function).seconds)
    ratio = statistics.median(own) / statistics.median(built_in)
    table.add(
        "## A function `logits -> value` that reads the last position, beside the built-in",
        "",
        f"z, all positions: {statistics.median(own):.1f} s against "
        f"{statistics.median(built_in):.1f} s, ratio {ratio:.2f} (medians of 3)",
        "",
    )


def test_memory_stays_in_the_budget(table):
    table.add(
        "## Memory: z, all positions, each in a process of its own",
        "",
        "By how much the process grows while it sweeps; small blocks are given back to "
        "the system as large ones are.",
        "",
        "| budget, MiB | patches at once, at most | grew by, MiB |",
        "|---|---|---|",
    )
    grown = {}
    for mib in (10, 20, 1000):
        found = json.loads(run_alone("sweep_memory.py", str(mib)))
        grown[mib] = found["grown"] / 2**20
        table.add(f"| {mib} | {found['patches']} | {grown[mib]:.1f} |")
    table.add("")
    assert grown[10] < 10
    assert grown[20] < 20 < grown[1000], "which did bind"


def test_as_the_work_grows(table, threads):
    table.add(
        "## As the work grows: the 12 heads of layer 0, seconds (medians of 3), everything else fixed",
        "",
        "| what grows | | | | exponent |",
        "|---|---|---|---|---|",
    )
    small = gpt2_small(n_layers=6)
    cases = {
        "layers (8 pairs, 15 tokens)": {
            n: (gpt2_small(n_layers=n), pairs()) for n in (3, 6, 12)
        },
        "tokens (8 pairs, 6 layers)": {
            n: (small, pairs(n_pos=n)) for n in (15, 100, 400)
        },
        "pairs (15 tokens, 6 layers)": {
            n: (small, pairs(n_pairs=n)) for n in (1, 8, 64)
        },
    }
    heads = [Head(0, head) for head in range(12)]
    for name, sizes in cases.items():
        cells, points = [], []
        for size, (model, tokens) in sizes.items():
            studies = [PatchStudy(model, *tokens) for _ in range(3)]
            seconds = statistics.median(
                seconds_of(lambda s=study: s.exact(heads)) for study in studies
            )
            cells.append(f"{size}: {seconds:.2f}")
            points.append((math.log(size), math.log(seconds)))
        (x0, y0), *_, (x1, y1) = points
        table.add(f"| {name} | {' | '.join(cells)} | {(y1 - y0) / (x1 - x0):.2f} |")
    table.add("")
