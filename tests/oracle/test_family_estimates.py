"""The families in use: each estimate against what it stands for, worked out plainly."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from estimate_oracles import (
    SUMMED,
    cancelling,
    defined,
    exact_effects,
    gradients_with_cut,
    in_double,
    linear_at_the_end,
    linear_throughout,
    naive_key_fix,
    repeated,
    separate_cuts,
    sharpened,
    through_softmax,
    writes,
)
from family_models import DIRECTIONS, FAMILY_CASES, family_model
from precise import at, change_at
from torch.testing import assert_close
from toy_models import random_tokens

from patchwidget import Node, PatchStudy
from patchwidget.estimate import METHODS, atp, atp_qk, atp_star, graddrop
from patchwidget.nodes import KINDS
from patchwidget.runs import Capture
from patchwidget.slices import whole

# Every kind, and heads at single positions.
EVERY = [
    *((kind, None) for kind in KINDS if not kind.startswith("resid_")),
    *(("z", "pos"), ("pattern", "dest")),
]
STREAM = [("resid_pre", None), ("resid_mid", None), ("resid_post", None)]
QK = [("q", None), ("q", "pos"), ("k", None), ("k", "pos")]
# Fully visible rows, rows whose window is full, and an odd number of positions.
N_POS = 5


@pytest.fixture(scope="module", params=FAMILY_CASES)
def model(request):
    return family_model(request.param)


@pytest.fixture(scope="module", params=DIRECTIONS)
def runs(request, model):
    tokens = random_tokens(2, N_POS, differ=(1, 3))
    study = PatchStudy(model, *tokens, direction=request.param)
    assert study.notice is None, "the decoder does the work"
    return study._runs


@pytest.fixture(scope="module")
def double_runs(runs):
    return in_double(runs)


def brute_force(runs, kind, by, gradients):
    """A grid `[B, *axes]` in float64, one node at a time."""
    values = torch.zeros(
        len(runs.base_tokens), *runs.extent.shape(kind, by), dtype=torch.float64
    )
    for node in runs.extent.nodes(kind, by):
        gradient = gradients["pattern", node.layer]
        values[(slice(None), *node.cell)] = through_softmax(runs, node, gradient)
    return values


def allowed(runs, by_position, together, by):
    """1e-5 of the largest value of a head; the oracle itself knows no less than 1e-15.

    Shapes `[B, layer, pos, head]` and `[B, layer, head]`.
    """
    step = max(
        float(whole(runs.differentiating())["pattern", layer].abs().max())
        for layer in (0, 1)
    )
    largest = torch.maximum(by_position.abs().amax(2), together.abs())
    largest = (1e-5 * largest).clamp_min(1e-15 * step * runs.extent.n_pos)
    return largest[:, :, None] if by == "pos" else largest


def test_going_back_by_layers_is_one_backward_bit_for_bit(runs, double_runs):
    for one in (runs, double_runs):
        found, at_once = whole(one.differentiating()), gradients_with_cut(one, -1, ())
        assert list(found) == list(at_once)
        for place, gradient in at_once.items():
            assert torch.equal(found[place], gradient), place


@pytest.mark.parametrize("sharp", [1.0, 10.0, 60.0])
@pytest.mark.parametrize("kind", ["q", "k"])
def test_fixes_equal_brute_force(runs, kind, sharp):
    runs = runs if sharp == 1.0 else sharpened(runs, sharp)
    by_position = brute_force(runs, kind, "pos", whole(runs.differentiating()))
    together = brute_force(runs, kind, None, whole(runs.differentiating()))
    for by, expected in (("pos", by_position), (None, together)):
        grid = atp_qk(runs, kind, by)
        assert grid.raw.shape[1:] == runs.extent.shape(kind, by)
        assert grid.raw.dtype == torch.float32
        error = (grid.raw - expected).abs()
        assert bool((error <= allowed(runs, by_position, together, by)).all()), by
    if sharp == 60.0 and not softly_capped(runs):
        assert weights_of_1(runs) >= 8, "beside other keys"
        if kind == "k":
            naive = torch.stack([naive_key_fix(runs, layer) for layer in (0, 1)], 1)
            missed = (naive - by_position).abs()
            assert bool((missed > 0.5 * by_position.abs().amax(2, keepdim=True)).any())


def softly_capped(runs):
    """Whether a cap keeps scores so low that no weight of several rounds to 1."""
    caps = {layer.attn.soft_cap for layer in runs.engine.weights.layers}
    # Two scores are then no further apart than 10: a weight is 1 / (1 + exp(-10)) at most.
    return caps == {5.0}


def weights_of_1(runs):
    """How many weights in rows of several keys are 1, in the precision of the runs."""
    patterns = [runs.base.values["pattern", layer][..., 1:, :] for layer in (0, 1)]
    return sum(int((pattern == 1).sum()) for pattern in patterns)


@pytest.mark.parametrize(("kind", "by"), QK)
def test_fixed_estimates_are_exact_where_what_follows_is_linear(runs, kind, by):
    linear = linear_at_the_end(in_double(runs))
    last = linear.extent.n_layers - 1
    nodes = [n for n in linear.extent.nodes(kind, by) if n.layer == last]
    fixed, plain = atp_qk(linear, kind, by), atp(linear, kind, by)
    worst, effects = 0.0, exact_effects(linear, nodes)
    assert set(effects) == set(nodes)
    for node, effect in effects.items():
        cell = (slice(None), *node.cell)
        assert_close(fixed.raw[cell], effect, rtol=1e-9, atol=1e-12)
        worst = max(worst, float((plain.raw[cell] - effect).abs().max()))
    assert worst > 1e-4, "plain AtP is not exact"


def assert_exact(runs, kind, by, layers):
    """AtP against real patches of every node of some layers; the largest effect."""
    nodes = [n for n in runs.extent.nodes(kind, by) if n.layer in layers]
    effects, grid = exact_effects(runs, nodes), atp(runs, kind, by)
    assert set(effects) == set(nodes)
    for node, effect in effects.items():
        assert_close(at(grid, node), effect, rtol=1e-9, atol=1e-12, msg=str(node))
    return max(float(effect.abs().max()) for effect in effects.values())


def test_atp_is_exact_for_every_node_where_what_follows_is_linear(double_runs):
    linear = linear_at_the_end(double_runs)
    last = linear.extent.n_layers - 1
    for kind, by in [*STREAM[1:], *EVERY]:
        if (kind, last) in linear.base.values and (kind, by) not in QK:
            assert assert_exact(linear, kind, by, {last}) > 1e-6, kind
    change = linear.scale.source - linear.scale.base
    assert_close(atp(linear, "resid_post").raw[:, last].sum(1), change)


def test_atp_is_exact_for_every_node_of_a_linear_model(double_runs):
    linear = linear_throughout(double_runs)
    every, moving = range(linear.extent.n_layers), set()
    for kind, by in [*STREAM, *EVERY]:
        if (kind, 0) in linear.base.values and assert_exact(linear, kind, by, every):
            moving.add(kind)
    # Queries are 0, and what looks at all keys alike looks so at any others.
    assert moving == {kind for kind, _ in linear.base.values} - {"q", "k", "pattern"}
    change = linear.scale.source - linear.scale.base
    for kind in moving & {kind for kind, _ in STREAM}:
        sums = atp(linear, kind).raw.sum(2)
        assert_close(sums, change[:, None].expand_as(sums), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("kind", "by"), QK)
def test_small_changes_are_first_order(double_runs, kind, by):
    """A source a millionth of the way off: the fix is the plain estimate."""
    near = nearby(double_runs, 1e-6)
    plain, fixed = atp(near, kind, by).raw, atp_qk(near, kind, by).raw
    assert float(plain.abs().max()) > 1e-12
    assert_close(fixed, plain, rtol=1e-4, atol=1e-5 * float(plain.abs().max()))


def nearby(runs, step):
    values = {
        place: base + step * (runs.source.values[place] - base)
        for place, base in runs.base.values.items()
    }
    source = Capture(values, runs.source.readout)
    clean, corrupted = (
        (source, runs.base) if runs.direction == "denoising" else (runs.base, source)
    )
    return replace(runs, clean=clean, corrupted=corrupted)


@pytest.mark.parametrize("method", METHODS)
def test_identical_runs_have_exactly_no_effects(runs, method):
    same = replace(runs, clean=runs.base, corrupted=runs.base)
    for kind, by in SUMMED:
        if (kind, 0) in runs.base.values and defined(method, kind):
            raw = METHODS[method](same, kind, by).raw
            assert torch.equal(raw, torch.zeros_like(raw)), kind


@pytest.mark.parametrize(("kind", "by"), SUMMED)
def test_graddrop_equals_separate_cuts_bit_for_bit(double_runs, kind, by):
    if (kind, 0) not in double_runs.base.values:
        pytest.skip("this family has no such kind")
    fast = graddrop(double_runs, kind, by)
    assert fast.raw.dtype == torch.float64
    assert torch.equal(fast.raw, separate_cuts(double_runs, kind, by))
    plain = atp(double_runs, kind, by).raw
    assert torch.equal(fast.raw[:, -1], plain[:, -1].abs()), "last layer"
    assert float((fast.raw[:, 0] - plain[:, 0].abs()).abs().max()) > 1e-6


@pytest.mark.parametrize(("kind", "by"), SUMMED)
def test_sublayer_cuts_equal_separate_cuts(double_runs, kind, by):
    if (kind, 0) not in double_runs.base.values:
        pytest.skip("this family has no such kind")
    fast = graddrop(double_runs, kind, by, cuts="sublayer")
    slow = separate_cuts(double_runs, kind, by, "sublayer")
    assert_close(fast.raw, slow, rtol=0, atol=1e-13 * float(slow.max()))
    assert fast.method == "graddrop_sublayer"


def test_graddrop_equals_separate_cuts_with_layers_before_and_behind_each(double_runs):
    runs = repeated(double_runs)
    assert runs.extent.n_layers == 4
    for kind, by in [("z", None), ("k", "pos"), ("neuron", None), ("pattern", "dest")]:
        if (kind, 0) in runs.base.values:
            fast = graddrop(runs, kind, by).raw
            assert torch.equal(fast, separate_cuts(runs, kind, by)), kind
            # Three times the same, and a third of it.
            plain = atp(runs, kind, by).raw
            assert_close(fast[:, -1], plain[:, -1].abs(), rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    "node", [Node("z", 0, head=1), Node("attn_out", 0, pos=4)], ids=str
)
def test_effects_that_cancel_are_nothing_to_atp_and_something_to_graddrop(
    double_runs, node
):
    place = node.kind, node.layer
    runs = cancelling(double_runs, node)
    gradient = gradients_with_cut(runs, 1, ("attn_out", "mlp_out"))[place]
    direct = (gradient * change_at(runs, node)).flatten(1).sum(1).abs()
    assert float(direct.min()) > 1e-4
    dropped = at(graddrop(runs, node.kind, node.by), node)
    assert_close(dropped, direct, rtol=1e-9, atol=0)
    plain = at(atp(runs, node.kind, node.by), node)
    assert bool((plain.abs() < 1e-6 * direct).all())
    before = at(atp(double_runs, node.kind, node.by), node)
    assert bool((before.abs() > 1e-5 * direct).all()), "made, not found"


@pytest.mark.parametrize("cuts", ["layer", "sublayer"])
@pytest.mark.parametrize(("kind", "by"), QK)
def test_atp_star_is_the_fix_under_every_cut(double_runs, kind, by, cuts):
    total, planned = 0, writes(double_runs, cuts)
    for layer, sites in planned:
        gradients = gradients_with_cut(double_runs, layer, sites)
        total = total + brute_force(double_runs, kind, by, gradients).abs()
    found = atp_star(double_runs, kind, by, cuts=cuts)
    expected = total / (len(planned) - 1)
    assert_close(found.raw, expected, rtol=1e-9, atol=1e-12)
    assert not found.signed


def test_other_kinds_are_as_without_the_fix(runs):
    for kind, by in SUMMED:
        if (kind, by) not in QK and (kind, 0) in runs.base.values:
            assert torch.equal(atp_qk(runs, kind, by).raw, atp(runs, kind, by).raw)
            assert torch.equal(
                atp_star(runs, kind, by).raw, graddrop(runs, kind, by).raw
            )


@pytest.mark.parametrize("method", METHODS)
def test_pairs_of_opposite_effects_do_not_cancel(mirrored, method):
    """With +x, -x and +x the mean is a third of x, and so is the unit of the effects."""
    for kind, by in [("z", "pos"), ("k", "pos"), ("mlp_out", None)]:
        if (kind, 0) not in mirrored[0].base.values or not defined(method, kind):
            continue
        one, three = (METHODS[method](runs, kind, by) for runs in mirrored)
        close = partial(assert_close, rtol=1e-9, atol=1e-11)
        assert float(one.mean_abs.max()) > 1e-6, kind
        close(three.mean_abs, 3 * one.mean_abs)
        close(three.values, one.values if three.signed else 3 * one.values)


@pytest.fixture(scope="module")
def mirrored(model):
    """One pair; and it three times, the second time with its answers turned round."""
    clean, corrupted, answers = random_tokens(1, N_POS, differ=(1, 3))
    one = PatchStudy(model, clean, corrupted, answers)
    same = [tokens.repeat(3, 1) for tokens in (clean, corrupted)]
    three = PatchStudy(model, *same, torch.cat([answers, answers.flip(1), answers]))
    return in_double(one._runs), in_double(three._runs)


@pytest.mark.parametrize("method", METHODS)
def test_no_position_before_the_first_difference_has_an_effect(runs, method):
    """The prompts differ from position 1 on."""
    for kind in filter(partial(defined, method), ("q", "k", "z")):
        raw = METHODS[method](runs, kind, "pos").raw
        assert torch.equal(raw[:, :, 0], torch.zeros_like(raw[:, :, 0])), kind
        assert float(raw[:, :, 1:].abs().max()) > 0, kind


def test_a_query_of_the_first_position_has_no_effect(model):
    """It sees one key: whatever the query, all weight lies there."""
    study = PatchStudy(model, *random_tokens(2, 3, differ=(0,)))
    for kind in ("q", "k"):
        raw = atp_qk(study._runs, kind, "pos").raw
        assert raw.isfinite().all()
        if kind == "q":
            assert torch.equal(raw[:, :, 0], torch.zeros_like(raw[:, :, 0]))
    assert (
        float(study.exact([Node("q", 0, head=0, pos=0)])["L0H0.q@0"].raw.abs().max())
        == 0
    )
