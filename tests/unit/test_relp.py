"""RelP's rules: the model's own values, other gradients, and what follows from both."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from estimate_oracles import exact_effects, in_double, linear_at_the_end, on_engine
from precise import at, counted
from torch.testing import assert_close
from toy_models import STYLES, random_model, random_tokens

from patchwidget import PatchStudy
from patchwidget.decoder.weights import ACTIVATIONS
from patchwidget.estimate import atp, relp
from patchwidget.estimate.relp import KINDS, Relevance, proportional
from patchwidget.runs import capture
from patchwidget.slices import whole


def test_the_rules_change_no_value(runs):
    ruled = replace(runs.engine, rules=Relevance())
    ours, theirs = (capture(each, runs.base_tokens) for each in (ruled, runs.engine))
    assert_close(ours.readout.logits(), theirs.readout.logits())
    for place, value in ours.values.items():
        assert_close(value, theirs.values[place])


def test_the_rules_change_gradients(runs):
    for kind in KINDS:
        assert not torch.allclose(relp(runs, kind).raw, atp(runs, kind).raw, rtol=0.01)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_a_constant_times_its_input(name):
    act = ACTIVATIONS[name]
    values = torch.tensor(
        [-30.0, -1.5, -1e-4, -1e-30, 0.0, 1e-30, 1e-4, 0.7, 40.0], requires_grad=True
    )
    active = proportional(act, values)
    assert_close(active, act(values), rtol=1e-5, atol=1e-12)
    (slope,) = torch.autograd.grad(active.sum(), values)
    assert slope.isfinite().all()
    moving = values.detach() != 0
    ratio = (act(values) / values).detach()
    assert_close(slope[moving], ratio[moving], rtol=1e-5, atol=1e-7)
    # At 0 the limit, from the right for ReLU's kink.
    assert_close(slope[~moving], torch.tensor([1.0 if name == "relu" else 0.5]))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_half_precision_is_finite_at_zero(name):
    for dtype in (torch.float16, torch.bfloat16):
        zero = torch.zeros(3, dtype=dtype, requires_grad=True)
        (slope,) = torch.autograd.grad(
            proportional(ACTIVATIONS[name], zero).sum(), zero
        )
        assert slope.isfinite().all()
        assert (slope > 0.4).all()


def test_it_is_exact_where_all_that_follows_is_linear(directed):
    linear = linear_at_the_end(in_double(directed._runs))
    for kind in ("resid_post", "attn_out", "z", "v"):
        nodes = [node for node in linear.extent.nodes(kind) if node.layer == 1]
        grid = relp(linear, kind)
        for node, effect in exact_effects(linear, nodes).items():
            assert_close(at(grid, node), effect)
        assert float(grid.raw[:, 1].abs().max()) > 1e-3


def test_what_is_derived_adds_up_to_what_is_published(runs):
    """Heads write attn_out together, neurons mlp_out: with linear steps between."""
    assert_close(relp(runs, "z", by="pos").raw.sum(-1), relp(runs, "attn_out").raw)
    assert_close(relp(runs, "neuron").raw.sum(-1), relp(runs, "mlp_out").raw)


def test_the_last_norm_is_linear_in_the_stream(runs):
    """With its scale held, the last stream's parts add up to all that is not bias."""
    stream = runs.base.values["resid_post", 1]
    relp(runs, "resid_post")
    relevance = whole(runs.once_in_slices("relp", None))
    weights = runs.engine.weights
    found = (relevance["resid_post", 1] * stream).sum((1, 2))
    answers = runs.pairs.answers
    bias = (
        weights.b_U
        if weights.ln_final.bias is None
        else (weights.ln_final.bias @ weights.W_U + weights.b_U)
    )
    rest = bias[answers[:, 0]] - bias[answers[:, 1]]
    assert_close(found + rest, runs.scale.base)


def test_one_backward_serves_all_kinds(runs):
    engine, rows = counted(runs.engine)
    fresh = on_engine(runs, engine)
    before = len(rows)
    grids = [relp(fresh, kind) for kind in KINDS]
    assert len(rows) - before == 2, "one run through two layers"
    # Base and source, as for atp: the run with rules has the base run's values.
    assert all(grid.cost == atp(fresh, "z").cost for grid in grids)


def test_the_plain_gradients_stay_plain(runs):
    fresh = on_engine(runs, runs.engine)
    relp(fresh, "z")
    assert torch.equal(atp(fresh, "z").raw, atp(runs, "z").raw)


def test_one_of_everything():
    model = random_model(STYLES[0], n_layers=1, n_heads=1)
    study = PatchStudy(model, *random_tokens(1, 1, differ=(0,)))
    for kind in KINDS:
        assert study.estimate(kind, "relp").raw.isfinite().all()


@pytest.mark.parametrize("kind", ["q", "k", "pattern"])
def test_what_lies_before_the_softmax_is_refused(directed, kind):
    with pytest.raises(ValueError, match=f"relp is not defined for {kind}: its rules"):
        directed.estimate(kind, "relp")


def test_wrong_input_is_refused(directed):
    with pytest.raises(TypeError, match="steps"):
        directed.estimate("z", "relp", steps=3)
    with pytest.raises(ValueError, match="unknown kind"):
        directed.estimate("zz", "relp")
