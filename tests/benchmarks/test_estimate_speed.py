"""Estimates beside the bare passes they are made of, and beside TransformerLens' own."""

from __future__ import annotations

import statistics

import torch
from gpt2_small import MARKS, pairs
from machine import seconds_of

from patchwidget import PatchStudy
from patchwidget.estimate import METHODS
from patchwidget.estimate.relp import KINDS as RELP_KINDS
from patchwidget.nodes import KINDS, cuts_of
from patchwidget.runs import Runs, capture, computing

pytestmark = MARKS
TABLE = "estimate_speed", "Estimates, GPT-2 small's shape, 8 pairs of 15 tokens"

REPEATS = 5
UNCUT = [(kind, None) for kind in KINDS]
EVERY_CUT = [(kind, by) for kind in KINDS for by in cuts_of(kind)]


class Passes:
    """A study's passes, with its captures and estimates and without."""

    def __init__(self, study):
        self._runs = study._runs
        self._decoder = study._runs.engine

    def bare(self):
        """Two forwards and one backward to the embedding; nothing else is kept."""
        runs, decoder = self._runs, self._decoder
        with computing():
            runs.metric.values(decoder.run(runs.pairs.clean))
        with computing(grad=True):
            stream = decoder.embed(runs.base_tokens).requires_grad_(True)
            readout = decoder.resume(stream, 0, "resid_pre")
            torch.autograd.grad(runs.metric.values(readout).sum(), stream)

    def captured(self):
        """Both runs as a study makes them, the check of the model apart."""
        old = self._runs
        clean = capture(self._decoder, old.pairs.clean)
        corrupted = capture(self._decoder, old.pairs.corrupted, graph=True)
        likes = old.metric_likes
        return Runs(self._decoder, old.pairs, clean, corrupted, "denoising", likes)

    def estimates(self, method, asked):
        runs = self.captured()
        for kind, by in asked:
            METHODS[method](runs, kind, by)


def beside(ours, theirs):
    """Median seconds of both, and the median of their ratios: run in turns."""
    ours(), theirs()
    times = [(seconds_of(ours), seconds_of(theirs)) for _ in range(REPEATS)]
    ratio = statistics.median(mine / other for mine, other in times)
    return *(statistics.median(column) for column in zip(*times, strict=True)), ratio


def asked_of(method):
    if method == "relp":
        return [one for one in EVERY_CUT if one[0] in RELP_KINDS]
    if method in ("graddrop", "atp_star"):
        return [one for one in EVERY_CUT if not one[0].startswith("resid_")]
    return EVERY_CUT


def test_all_kinds_beside_bare_passes(model, table):
    passes = Passes(PatchStudy(model, *pairs()))
    table.add(
        "## All kinds of one study beside two forwards and one backward",
        "",
        "Bare: the same decoder runs the clean prompts without and the corrupted ones with "
        "a graph, reads the metric, and goes back to the embedding; no value is kept. "
        "Estimates: both runs captured (without the check that they are the model's), and "
        "grids of every kind that the method has: 10 kinds uncut, or by every finer cut too. "
        f"Median of {REPEATS}, in turns.",
        "",
        "| method | grids | estimates, ms | bare, ms | ratio |",
        "|---|---|---|---|---|",
    )
    rows = [("atp", UNCUT)]
    rows += [(name, asked_of(name)) for name in METHODS if name != "ig"]
    ratios = []
    for method, asked in rows:
        mine, bare, ratio = beside(
            lambda method=method, asked=asked: passes.estimates(method, asked),
            passes.bare,
        )
        ratios.append(ratio)
        table.add(
            f"| {method} | {len(asked)} | {1000 * mine:.0f} | {1000 * bare:.0f} | "
            f"{ratio:.2f} |"
        )
    table.add("")
    assert ratios[0] <= 1.2


def logit_diff_of_one(answers):
    """A metric of a single pair, as theirs are: which pair it is, the order tells."""
    rows = iter(answers.repeat_interleave(2, 0))

    def metric(logits):
        right, wrong = next(rows)
        return logits[0, -1, right] - logits[0, -1, wrong]

    return metric


def test_beside_transformer_lens(model, table):
    from transformer_lens.tools.analysis.attribution_patching import attribution_patch

    clean, corrupted, answers = pairs()
    passes = Passes(PatchStudy(model, clean, corrupted, answers))

    def theirs():
        attribution_patch(model, clean, corrupted, logit_diff_of_one(answers))

    def ours():
        study = PatchStudy(model, clean, corrupted, answers)
        for kind, by in EVERY_CUT:
            study.estimate(kind, by=by)

    check_agreement(model, clean, corrupted, answers)
    with_check, seconds, ratio = beside(ours, theirs)
    without, again, bare_ratio = beside(
        lambda: passes.estimates("atp", EVERY_CUT), theirs
    )
    table.add(
        "## Beside TransformerLens' `tools.analysis.attribution_patching.attribution_patch`",
        "",
        "Theirs: embedding, heads' z and MLP output by position, one pair at a time. Ours: "
        f"{len(EVERY_CUT)} grids of {len(KINDS)} kinds. Median of {REPEATS}, in turns.",
        "",
        "| | ours, ms | TransformerLens, ms | ratio |",
        "|---|---|---|---|",
        f"| a study and its grids, with the check of the model | {1000 * with_check:.0f} | "
        f"{1000 * seconds:.0f} | {1 / ratio:.1f} |",
        f"| without the check | {1000 * without:.0f} | {1000 * again:.0f} | "
        f"{1 / bare_ratio:.1f} |",
        "",
    )
    assert 1 / bare_ratio >= 3


def check_agreement(model, clean, corrupted, answers):
    """Both give the same estimates of what both have."""
    from transformer_lens.tools.analysis.attribution_patching import attribution_patch

    found = attribution_patch(
        model, clean, corrupted, logit_diff_of_one(answers)
    ).node_scores
    study = PatchStudy(model, clean, corrupted, answers)
    heads = study.estimate("z", by="pos").raw.mean(0)
    mlps = study.estimate("mlp_out").raw.mean(0)
    largest = float(heads.abs().max())
    for node, score in found.items():
        if node.kind == "attn_head_out":
            ours = heads[node.layer, node.position, node.head]
        elif node.kind == "mlp_out":
            ours = mlps[node.layer, node.position]
        else:
            continue
        assert abs(float(ours) - score) < 1e-3 * largest, node
