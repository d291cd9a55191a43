"""Paths beside TransformerLens' own, on a random model of GPT-2 small's shape."""

from __future__ import annotations

import statistics
import time

import pytest
import torch
from gpt2_small import MARKS, logit_diff, pairs
from machine import grown_by, seconds_of

from patchwidget import Head, PatchStudy
from patchwidget.paths import METHODS
from patchwidget.runs import capture
from patchwidget.slices import whole

pytestmark = MARKS
TABLE = "paths", "Paths, GPT-2 small's shape, 15 tokens that differ at 3 and 10"
WRITER = Head(1, 2)
BUDGET = 200 * 2**20


def fresh(study):
    """The same runs, with nothing kept of what was asked of them."""
    runs = study._runs
    return type(runs)(
        runs.engine,
        runs.pairs,
        runs.clean,
        runs.corrupted,
        runs.direction,
        runs.metric_likes,
    )


def both_runs(study):
    for tokens in (study.pairs.clean, study.pairs.corrupted):
        capture(study._runs.engine, tokens)


def test_all_paths_beside_one_backward(model, table):
    study = PatchStudy(model, *pairs())
    study.estimate("z"), study.paths()
    runs, node, path = [], [], []
    for _ in range(5):
        runs.append(seconds_of(lambda: both_runs(study)))
        once = fresh(study)
        node.append(seconds_of(lambda once=once: whole(once.differentiating())))
        # The backward is kept: what is timed now comes on top of it.
        path.append(seconds_of(lambda once=once: METHODS["atp"](once)))
    forwards, backward, extra = map(statistics.median, (runs, node, path))
    by_pos = seconds_of(lambda: METHODS["atp"](fresh(study), "pos"))
    steps = seconds_of(lambda: METHODS["ig"](fresh(study), steps=5))
    n_paths = int((~study.paths().values.isnan()).sum())
    both = forwards + backward
    table.add(
        f"## All {n_paths:,} paths of 8 pairs, seconds (medians of 5)",
        "",
        f"node AtP, two runs and one backward: {both:.2f}; path attribution: "
        f"{both + extra:.2f}, ratio {(both + extra) / both:.2f}. Without the two "
        f"captured runs {backward:.2f} and {backward + extra:.2f}, ratio "
        f"{(backward + extra) / backward:.2f}. By position {by_pos:.2f} and integrated "
        f"gradients of 5 steps {steps:.2f}, without the two runs (once each).",
        "",
    )
    assert both + extra <= 3 * both


def test_all_paths_beside_theirs(model, table):
    from transformer_lens.tools.analysis.attribution_patching import (
        EdgeAttributionConfig,
        attribution_patch,
    )

    clean, corrupted, answers = pairs()

    def metric(logits):
        right, wrong = logits[0, -1, answers[0]]
        return right - wrong

    config = EdgeAttributionConfig("edge")
    theirs = seconds_of(
        lambda: attribution_patch(model, clean[:1], corrupted[:1], metric, config), 3
    )
    one, eight = (
        seconds_of(
            lambda n=n: PatchStudy(model, *(x[:n] for x in pairs())).paths(
                "atp", by="pos"
            ),
            3,
        )
        for n in (1, 8)
    )
    table.add(
        "## Beside TransformerLens' edge `attribution_patch`, by position, from model to "
        "scores",
        "",
        f"one pair: {theirs:.2f} s against {one:.2f} s, ratio {theirs / one:.1f}; 8 pairs "
        f"together take us {eight:.2f} s: ratio a pair {8 * theirs / eight:.1f}",
        "",
    )
    assert theirs > 5 * eight / 8


def test_one_head_to_all_later_queries(model, table):
    from transformer_lens.patching import get_act_patch_direct_path

    clean, corrupted, answers = pairs()
    study = PatchStudy(model, clean, corrupted, answers)
    study.exact_paths(Head(9, 0), "q")
    ours = seconds_of(lambda: study.exact_paths(WRITER, "q"))
    with torch.no_grad():
        caches = [model.run_with_cache(tokens)[1] for tokens in (clean, corrupted)]
        started = time.perf_counter()
        # From a late head there are fewer ends, which are timed instead of all.
        get_act_patch_direct_path(
            model, corrupted, *caches, logit_diff(answers), 9, 0, verbose=False
        )
        a_path = (time.perf_counter() - started) / 24
    theirs = 120 * a_path
    table.add(
        f"## From L{WRITER.layer}H{WRITER.head} to the queries of all 120 later heads, exact, 8 pairs",
        "",
        f"{ours:.1f} s; TransformerLens' `get_act_patch_direct_path` {theirs:.0f} s, from "
        f"24 of its runs (each {a_path:.2f} s, as many as there are ends): ratio "
        f"{theirs / ours:.1f}",
        "",
    )
    assert theirs > 5 * ours


def test_many_writers_to_one_set_of_readers(model, table):
    study = PatchStudy(model, *pairs())
    readers = {"L7H3.v", "L7H9.v", "L8H6.v", "L8H10.v"}
    seconds = seconds_of(lambda: study.exact_paths("head", readers))
    ends = seconds_of(lambda: study.exact_paths("head", "final"))
    table.add(
        "## Many writers, exact, 8 pairs",
        "",
        f"96 heads to a set of four values in layers 7 and 8: {seconds:.1f} s; 144 heads "
        f"to the logits: {ends:.2f} s",
        "",
    )


@pytest.mark.parametrize(
    ("what", "call"),
    [
        ("paths", lambda study: study.paths()),
        ("paths by position", lambda study: study.paths(by="pos")),
        ("exact paths", lambda study: study.exact_paths(Head(6, 0), "q")),
    ],
)
def test_memory_stays_in_the_budget(model, table, what, call):
    study = PatchStudy(model, *pairs(), budget=BUDGET)
    study.estimate("z")
    grown = grown_by(lambda: call(study))
    table.add(
        f"{what}, 8 pairs, budget {BUDGET / 2**20:.0f} MiB: the process grew by at most "
        f"{grown / 2**20:.0f} MiB",
        "",
    )
    assert grown < BUDGET
