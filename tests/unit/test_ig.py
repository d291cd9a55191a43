"""Integrated gradients: complete, exact in the limit, and paid for once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from estimate_oracles import exact_effects, in_double, linear_at_the_end, on_engine
from precise import CUTS, at, counted
from torch.testing import assert_close
from toy_models import STYLES, random_model, random_tokens

from patchwidget import PatchStudy
from patchwidget.estimate import atp, copies, ig
from patchwidget.nodes import KINDS
from patchwidget.runs import Capture


def with_one_difference(runs, node):
    """The same base run and a source that differs from it at one node alone."""
    values = dict(runs.base.values)
    place = node.kind, node.layer
    values[place] = values[place].clone()
    values[place][node.index] = runs.source.values[place][node.index]
    other = "clean" if runs.direction == "denoising" else "corrupted"
    source = Capture(values, runs.source.readout)
    return replace(runs, **{other: source})


@pytest.mark.parametrize(("kind", "by"), CUTS)
def test_where_one_node_alone_differs_many_steps_are_exact(runs, kind, by):
    nodes = [n for n in runs.extent.nodes(kind, by) if n.pos in (None, 1, 3)]
    for node in (nodes[0], nodes[len(nodes) // 2], nodes[-1]):
        alone = with_one_difference(runs, node)
        effect = exact_effects(alone, [node])[node]
        errors = [
            (at(ig(alone, kind, by, steps=steps), node) - effect).abs().max()
            for steps in (8, 128)
        ]
        assert errors[1] <= 1e-3 * effect.abs().max()
        # Middles: sixteen times the steps are 256 times as good, ends would be 16 times.
        assert errors[1] <= max(errors[0] / 100, 1e-9)


def test_where_one_token_differs_the_embedding_is_the_only_node(directed):
    clean, corrupted, answers = random_tokens(2, 5, differ=(3,))
    one = in_double(PatchStudy(directed.model, clean, corrupted, answers)._runs)
    whole = one.scale.source - one.scale.base
    for path in ("activation", "input"):
        grid = ig(one, "resid_pre", path=path, steps=200)
        assert_close(grid.raw[:, 0, 3], whole, rtol=1e-5, atol=1e-6)
        assert not grid.raw[:, 0, [0, 1, 2, 4]].any()


def test_everything_is_exact_where_all_that_follows_is_linear(directed):
    linear = linear_at_the_end(in_double(directed._runs))
    for kind in ("resid_mid", "resid_post", "attn_out", "z", "v", "pattern"):
        if (kind, 1) not in linear.base.values:
            continue
        nodes = [node for node in linear.extent.nodes(kind) if node.layer == 1]
        effects = exact_effects(linear, nodes)
        for steps in (1, 4):
            grid = ig(linear, kind, steps=steps)
            for node in nodes:
                assert_close(at(grid, node), effects[node])
    assert max(float(e.abs().max()) for e in effects.values()) > 1e-3


def test_both_paths_are_one_from_the_embedding(runs):
    along = [
        ig(runs, "resid_pre", path=path, steps=4) for path in ("activation", "input")
    ]
    assert_close(along[0].raw[:, 0], along[1].raw[:, 0])
    assert not torch.allclose(along[0].raw[:, 1], along[1].raw[:, 1], rtol=1e-3)
    assert [grid.method for grid in along] == ["ig", "ig_input"]


@pytest.mark.parametrize("path", ["activation", "input"])
@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_points_add_up(runs, kind, path, monkeypatch):
    assert copies.ROWS >= 7 * 10, "one batch is enough"
    whole = ig(runs, kind, path=path, steps=7)
    monkeypatch.setattr(copies, "ROWS", 3 * 10)
    parts = ig(on_engine(runs, runs.engine), kind, path=path, steps=7)
    assert_close(parts.raw, whole.raw)


@pytest.mark.parametrize("path", ["activation", "input"])
def test_the_cost_is_what_was_run(runs, path):
    engine, rows = counted(runs.engine)
    fresh = on_engine(runs, engine)
    assert len(rows) == 2 * 2, "two captures of two layers"
    cost = ig(fresh, "z", path=path, steps=3).cost
    passes = sum(rows) / (2 * 2)  # of two pairs through two layers
    assert (cost.forwards, cost.backwards) == (passes, passes - 2)
    assert passes == {"activation": 2 + 3 * 1.5, "input": 2 + 3}[path]


def test_what_is_shared_is_run_once(runs):
    engine, rows = counted(runs.engine)
    fresh = on_engine(runs, engine)
    ig(fresh, "z", steps=3)
    ig(fresh, "q", path="input", steps=3)
    before = len(rows)
    ig(fresh, "z", by="pos", steps=3)
    for kind in KINDS:
        ig(fresh, kind, path="input", steps=3)
    assert len(rows) == before
    ig(fresh, "z", steps=4)
    ig(fresh, "z", path="input", steps=4)
    assert len(rows) > before, "other points are other runs"


def test_pairs_do_not_mix_along_the_input():
    model = random_model(STYLES[-1])
    clean, corrupted, answers = random_tokens(3, 5, differ=(1, 3))
    together = PatchStudy(model, clean, corrupted, answers)
    whole = together.estimate("k", "ig", path="input", steps=2)
    for pair in range(3):
        row = slice(pair, pair + 1)
        alone = PatchStudy(model, clean[row], corrupted[row], answers[row])
        found = alone.estimate("k", "ig", path="input", steps=2)
        assert_close(whole.raw[row], found.raw, rtol=1e-4, atol=1e-5)


def test_a_scalar_metric_gives_the_mean_over_pairs():
    model = random_model(STYLES[-1])
    clean, corrupted, answers = random_tokens(3, 5, differ=(1, 3))

    def mean(logits):
        final = logits[:, -1]
        rows = final.gather(1, answers[:, :1]) - final.gather(1, answers[:, 1:])
        return rows.mean()

    for path in ("activation", "input"):
        named, scalar = (
            PatchStudy(model, clean, corrupted, answers, metric=metric).estimate(
                "q", "ig", path=path
            )
            for metric in ("logit_diff", mean)
        )
        assert scalar.raw.shape == (1, *named.values.shape)
        assert_close(scalar.raw[0], named.raw.mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["z", "q", "k", "v"])
def test_positions_add_up(runs, kind):
    assert_close(ig(runs, kind, by="pos").raw.sum(2), ig(runs, kind).raw)


def test_equal_runs_give_exactly_zero(directed):
    clean, _, answers = random_tokens(2, 5)
    same = PatchStudy(directed.model, clean, clean, answers, metric="logprob")
    for path in ("activation", "input"):
        for kind in KINDS:
            assert not same.estimate(kind, "ig", path=path).raw.any()


def test_one_of_everything():
    """One layer, one head, one pair, one position."""
    model = random_model(STYLES[0], n_layers=1, n_heads=1)
    study = PatchStudy(model, *random_tokens(1, 1, differ=(0,)))
    for kind in KINDS:
        for path in ("activation", "input"):
            grid = study.estimate(kind, "ig", path=path)
            assert grid.raw.isfinite().all()
    # A softmax over one position does not move.
    assert not study.estimate("q", "ig").raw.any()
    whole = study.estimate("resid_pre", "ig", steps=500).raw
    assert_close(whole[0, 0, 0], whole.new_tensor(study.scale), rtol=1e-3, atol=1e-4)


def test_a_metric_that_turns_at_the_base_run_has_integrated_gradients():
    """A divergence from the base run itself has no slope there, but half-way it has."""
    model = random_model(STYLES[-1])
    clean, corrupted, _ = random_tokens(2, 5, differ=(1, 3))
    with torch.no_grad():
        target = model(corrupted)[:, -1].softmax(-1)

    def divergence(logits):
        return (target * (target.log() - logits[:, -1].log_softmax(-1))).sum(-1)

    study = PatchStudy(model, clean, corrupted, metric=divergence)
    with pytest.raises(ValueError, match="vanishes on the base run"):
        study.estimate("resid_pre")
    found = study.estimate("resid_pre", "ig", steps=100).raw[:, 0].sum(-1)
    assert_close(found, study._runs.scale.source, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("steps", [0, -1, 2.5, True, "5", None])
def test_steps_are_counted(directed, steps):
    with pytest.raises(ValueError, match="whole number of at least 1, got steps="):
        directed.estimate("z", "ig", steps=steps)


def test_wrong_input_is_refused(directed):
    with pytest.raises(ValueError, match="unknown path 'inputs': choose 'activation'"):
        directed.estimate("z", "ig", path="inputs")
    with pytest.raises(TypeError, match="step"):
        directed.estimate("z", "ig", step=3)
    with pytest.raises(ValueError, match="cannot be had by 'dest'"):
        directed.estimate("z", "ig", by="dest")


def test_a_metric_without_a_gradient_is_refused(directed):
    clean, corrupted, _ = random_tokens(2, 5)
    detached = PatchStudy(
        directed.model,
        clean,
        corrupted,
        metric=lambda logits: logits.detach()[:, -1, 3],
    )
    with pytest.raises(ValueError, match="cannot be differentiated"):
        detached.estimate("z", "ig")


def test_a_step_is_not_atp(runs):
    assert not torch.allclose(ig(runs, "q", steps=1).raw, atp(runs, "q").raw, rtol=1e-3)


def test_an_ablation_has_a_path_of_activations_only(directed):
    clean, _, answers = random_tokens(2, 5)
    zero = PatchStudy(directed.model, clean, answers=answers, source="zero")
    grid = zero.estimate("mlp_out", "ig", steps=60)
    assert grid.scale is None, "raw changes: there is no other run"
    effects = zero.exact("mlp_out").raw
    last = effects[:, -1, -1]
    assert_close(grid.raw[:, -1, -1], last, rtol=0.02, atol=1e-3)
    with pytest.raises(ValueError, match="choose path='activation'"):
        zero.estimate("mlp_out", "ig", path="input")
