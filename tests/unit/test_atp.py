"""AtP is the first-order term: of a small step, of a linear model, and of nothing."""

from __future__ import annotations

import pytest
import torch
from estimate_oracles import double
from torch.testing import assert_close
from toy_models import STYLES, random_model, random_tokens

from patchwidget import PatchStudy, exact
from patchwidget.decoder import blocks
from patchwidget.estimate import atp
from patchwidget.nodes import KINDS
from patchwidget.runs import Runs, capture

CUTS = [(kind, None) for kind in KINDS] + [
    ("z", "pos"),
    ("q", "pos"),
    ("k", "pos"),
    ("v", "pos"),
    ("pattern", "dest"),
    ("pattern", "dest_src"),
]


@pytest.fixture(scope="module", params=STYLES)
def model(request):
    return random_model(request.param, n_layers=2, n_heads=3)


def spread(nodes, at_most=12):
    nodes = list(nodes)
    return [*nodes[: -1 : max(1, len(nodes) // at_most)], nodes[-1]]


def metric_along(study, node, step):
    """The metric in float64 when a node has moved by `step` of the way to the source."""
    runs = study._runs
    place = node.kind, node.layer
    base, source = (run.values[place].double() for run in (runs.base, runs.source))

    def edit(site, layer, value):
        if (site, layer) != place:
            return value
        value = value.clone()
        way = source[node.index] - base[node.index]
        value[node.index] = value[node.index] + step * way
        return value

    return runs.metric.values(double(runs.engine).run(runs.base_tokens, edit))[0]


@pytest.mark.parametrize("direction", ["denoising", "noising"])
@pytest.mark.parametrize(("kind", "by"), CUTS)
def test_atp_is_the_limit_of_small_steps(model, kind, by, direction):
    clean, corrupted, answers = random_tokens(2, 5, differ=(1, 3))
    study = PatchStudy(
        model, clean, corrupted, answers, metric="logprob", direction=direction
    )
    grid = study.estimate(kind, by=by)
    step = 1e-4
    with torch.no_grad():
        for node in spread(study.extent.nodes(kind, by)):
            ahead, behind = (metric_along(study, node, s) for s in (step, -step))
            limit = (ahead - behind) / (2 * step)
            estimate = grid.raw[(slice(None), *node.cell)]
            assert_close(estimate.double(), limit, rtol=1e-4, atol=2e-6)


def test_atp_is_exact_where_all_that_follows_is_linear(monkeypatch):
    """With no last norm and no MLP write, the stream of the last layer goes on linearly."""
    model = random_model(STYLES[0], n_layers=2, n_heads=3)
    clean, corrupted, answers = random_tokens(2, 5, differ=(1, 3))
    study = PatchStudy(model, clean, corrupted, answers)
    weights = study._runs.engine.weights
    with torch.no_grad():
        weights.layers[-1].mlp.W_out.zero_()
    real = blocks.normalise

    def no_last_norm(norm, stream):
        return stream if norm is weights.ln_final else real(norm, stream)

    monkeypatch.setattr(blocks, "normalise", no_last_norm)
    runs = study._runs
    linear = Runs(
        runs.engine,
        runs.pairs,
        capture(runs.engine, runs.pairs.clean),
        capture(runs.engine, runs.pairs.corrupted),
        "denoising",
        {"logit_diff": "logit_diff"},
    )
    swap = exact.Swap.of(linear)
    for kind in ("resid_mid", "resid_post", "attn_out", "z", "v", "pattern"):
        grid = atp(linear, kind)
        nodes = [node for node in linear.extent.nodes(kind) if node.layer == 1]
        steps = exact.readings(swap, [(node,) for node in nodes])
        effects = {
            reading.patch[0]: reading.values["logit_diff"] - linear.scale.base
            for found in steps
            for reading in found
        }
        assert set(effects) == set(nodes)
        for node, effect in effects.items():
            estimate = grid.raw[(slice(None), *node.cell)]
            assert_close(effect, estimate, rtol=1e-5, atol=1e-5)
        assert max(float(effect.abs().max()) for effect in effects.values()) > 1e-3


def test_pairs_do_not_mix(model):
    """Each pair's estimate is what it is alone: the gradients of a batch are kept apart."""
    clean, corrupted, answers = random_tokens(3, 5, differ=(1, 3))
    together = PatchStudy(model, clean, corrupted, answers).estimate("z")
    for pair in range(3):
        row = slice(pair, pair + 1)
        alone = PatchStudy(model, clean[row], corrupted[row], answers[row]).estimate(
            "z"
        )
        assert_close(together.raw[row], alone.raw)


def test_a_scalar_metric_gives_the_mean_over_pairs(model):
    clean, corrupted, answers = random_tokens(3, 5, differ=(1, 3))

    def per_pair(logits):
        final = logits[:, -1]
        return (final.gather(1, answers[:, :1]) - final.gather(1, answers[:, 1:]))[:, 0]

    named = PatchStudy(model, clean, corrupted, answers).estimate("q")
    scalar = PatchStudy(
        model, clean, corrupted, metric=lambda logits: per_pair(logits).mean()
    ).estimate("q")
    assert scalar.raw.shape == (1, *named.values.shape)
    assert_close(scalar.values, named.values)
    rows = PatchStudy(model, clean, corrupted, metric=per_pair).estimate("q")
    assert_close(rows.raw, named.raw)


def test_finer_cuts_add_up(model):
    clean, corrupted, answers = random_tokens(2, 5, differ=(1, 3))
    study = PatchStudy(model, clean, corrupted, answers)
    for kind in ("z", "q", "k", "v"):
        assert_close(
            study.estimate(kind, by="pos").raw.sum(2), study.estimate(kind).raw
        )
    fine, middle = (study.estimate("pattern", by=by) for by in ("dest_src", "dest"))
    assert_close(fine.raw.sum(-1), middle.raw)
    assert_close(middle.raw.sum(-1), study.estimate("pattern").raw)
