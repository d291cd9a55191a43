"""GradDrop where paths cancel, what it costs, and the kinds and models it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from estimate_oracles import SUMMED, in_double, on_engine, separate_cuts
from torch.testing import assert_close
from toy_models import STYLES, random_model, random_tokens

from patchwidget import PatchStudy
from patchwidget.decoder import Decoder
from patchwidget.decoder.weights import (
    ACTIVATIONS,
    IN_PLACE,
    Attention,
    Layer,
    Mlp,
    Weights,
)
from patchwidget.estimate import atp, atp_qk, atp_star, graddrop
from patchwidget.pairs import TokenPairs
from patchwidget.runs import Runs, capture
from patchwidget.slices import whole

SIZES = [graddrop, atp_star]


@pytest.fixture(scope="module")
def deep():
    """Four layers, in float64."""
    model = random_model(STYLES[0], n_layers=4, n_heads=3)
    return in_double(PatchStudy(model, *random_tokens(2, 5, differ=(1, 3)))._runs)


@pytest.mark.parametrize("cuts", ["layer", "sublayer"])
@pytest.mark.parametrize(
    ("kind", "by"),
    [
        ("z", None),
        ("q", "pos"),
        ("pattern", "dest"),
        ("neuron", None),
        ("attn_out", None),
        ("mlp_out", None),
    ],
)
def test_one_graph_gives_what_separate_runs_give(deep, kind, by, cuts):
    found = graddrop(deep, kind, by, cuts=cuts).raw
    expected = separate_cuts(deep, kind, by, cuts)
    assert torch.equal(found, expected)
    assert float(found.min()) >= 0
    assert float((found - atp(deep, kind, by).raw.abs()).abs().max()) > 1e-4


def test_the_last_layer_has_one_path(deep):
    for kind in ("z", "neuron"):
        found, plain = graddrop(deep, kind).raw, atp(deep, kind).raw
        assert_close(found[:, -1], plain[:, -1].abs(), rtol=1e-14, atol=0)
    fixed, star = atp_qk(deep, "q").raw, atp_star(deep, "q").raw
    assert_close(star[:, -1], fixed[:, -1].abs(), rtol=1e-14, atol=0)


class Counted(torch.autograd.Function):
    """The identity, which counts the backwards that come by."""

    @staticmethod
    def forward(ctx, value, count):
        ctx.count = count
        return value.view_as(value)

    @staticmethod
    def backward(ctx, gradient):
        ctx.count()
        return gradient, None


class CountingDecoder(Decoder):
    """Counts the layers that a gradient goes back into, and the runs."""

    def count(self):
        self.__dict__["counts"] = {"backwards": 0, "runs": 0}
        return self.__dict__["counts"]

    def running(self, tokens, tap):
        counts = self.__dict__["counts"]
        counts["runs"] += 1

        def back():
            counts["backwards"] += 1

        def counted(site, layer, value):
            if site == "resid_post":
                value = Counted.apply(value, back)
            return tap(site, layer, value)

        return super().running(tokens, counted)


@pytest.mark.parametrize("method", SIZES)
@pytest.mark.parametrize("n_layers", [2, 3, 5])
def test_all_cuts_take_half_of_a_backward_a_layer(method, n_layers):
    model = random_model(STYLES[-1], n_layers=n_layers, n_heads=3)
    study = PatchStudy(model, *random_tokens(2, 4, differ=(1,)))
    engine = CountingDecoder(study._runs.engine.weights)
    counts = engine.count()
    runs = on_engine(study._runs, engine)
    grid = method(runs, "q", "pos")
    assert counts["backwards"] == n_layers * (n_layers + 1) // 2
    assert grid.cost.backwards == pytest.approx(counts["backwards"] / n_layers)
    # The two that are captured; the base run again, with its graph: once for all uses.
    assert counts["runs"] == 3
    assert grid.cost.forwards == 2
    assert grid.cost.passes == pytest.approx(2 + n_layers + 1)


@pytest.mark.parametrize("cuts", ["layer", "sublayer"])
def test_every_kind_is_from_the_same_cuts(deep, cuts):
    """Asked one after the other, in any order, they take what one of them takes."""
    alone = {key: atp_star(replace(deep), *key, cuts=cuts) for key in SUMMED}
    engine = CountingDecoder(deep.engine.weights)
    counts = engine.count()
    runs = on_engine(deep, engine)
    grids = {key: atp_star(runs, *key, cuts=cuts) for key in reversed(SUMMED)}
    taken = dict(counts)
    assert {grid.cost for grid in grids.values()} == {alone["z", None].cost}
    if cuts == "layer":
        assert taken == {"backwards": 4 * 5 // 2, "runs": 3}
    for key, grid in grids.items():
        assert torch.equal(grid.raw, alone[key].raw), key
        without_fix = graddrop(runs, *key, cuts=cuts).raw
        assert torch.equal(without_fix, graddrop(replace(deep), *key, cuts=cuts).raw)
        assert (key[0] in ("q", "k")) != torch.equal(without_fix, grid.raw), key
    assert counts == taken, "without the fix they were summed up on the way"


def test_the_fix_after_graddrop_takes_the_cuts_of_queries_and_keys(deep):
    runs = replace(deep)
    graddrop(runs, "z")
    assert torch.equal(atp_star(runs, "k").raw, atp_star(replace(deep), "k").raw)


def test_the_cost_of_sublayer_cuts_is_what_they_pass(deep):
    """Of 8 writes: 0 and 1 before the cuts of the first layer, 2 and 3 of the second..."""
    grid = graddrop(deep, "z", cuts="sublayer")
    assert grid.cost.backwards == pytest.approx(1 + sum(range(8)) / 8)
    # The same cuts, although no neuron comes before those of the first layer.
    assert graddrop(deep, "neuron", cuts="sublayer").cost == grid.cost


def canceller():
    """A neuron of layer 0 whose write is read by all that follows, and undone by layer 1.

    The stream is (token, what layer 0 copied of it, 1); the last layer does nothing.
    """
    none = torch.zeros(1, 3, 1)
    attn = Attention(
        *[none] * 3, none.mT, *[torch.zeros(1, 1)] * 3, torch.zeros(3), scale=1.0
    )
    zero = torch.zeros(3)

    def mlp(reads, writes, sign):
        W_in, W_out = torch.zeros(3, 1), torch.zeros(1, 3)
        W_in[reads], W_out[:, writes] = 1.0, sign
        return Mlp(
            W_in,
            torch.zeros(1),
            W_out,
            zero,
            act=ACTIVATIONS["relu"],
            act_in_place=IN_PLACE["relu"],
        )

    layers = tuple(
        Layer(None, attn, None, mlp(*each))
        for each in ((0, 1, 1.0), (1, 1, -1.0), (2, 2, 1.0))
    )
    W_E = torch.tensor([[0.0, 0, 1], [1, 0, 1], [3, 0, 1], [8, 0, 1]])
    # The right answer reads the copy, and a little of the token itself.
    W_U = torch.tensor([[0.25, 0.0], [1.0, 0.0], [0.0, 0.0]])
    return Decoder(Weights(W_E, None, layers, None, W_U, torch.zeros(2)))


def test_direct_and_indirect_effects_do_not_cancel():
    engine = canceller()
    pairs = TokenPairs(
        torch.tensor([[1, 2]]),
        torch.tensor([[1, 3]]),
        torch.tensor([[0, 1]]),
        {},
        -1,
        ((["a", "b"], ["a", "c"]),),
        ([],),
    )
    runs = Runs(
        engine,
        pairs,
        capture(engine, pairs.clean),
        capture(engine, pairs.corrupted),
        "denoising",
        {"logit_diff": "logit_diff"},
    )
    plain, dropped = atp(runs, "neuron"), graddrop(runs, "neuron")
    # The step is 3 - 8 = -5. Cut layer 1: -5 is left; cut layer 2: the two cancel again.
    assert float(plain.raw[0, 0, 1, 0]) == 0.0
    assert float(dropped.raw[0, 0, 1, 0]) == 5 / 2
    assert float(dropped.raw[0, 0, 0, 0]) == 0.0


def test_sizes_are_never_negative_in_either_direction(study):
    for one in (study, study.reversed()):
        for method in ("graddrop", "atp_star"):
            grid = one.estimate("z", method)
            assert not grid.signed
            assert grid.method == method
            assert float(grid.values.min()) >= 0
            assert_close(grid.values, grid.mean_abs)
            assert_close(grid.shown.mean(0), grid.values)
            assert [value for _, value in grid.top(3)] == sorted(
                (float(value) for value in grid.values.flatten().topk(3).values),
                reverse=True,
            )


@pytest.mark.parametrize("method", SIZES)
@pytest.mark.parametrize("kind", ["resid_pre", "resid_mid", "resid_post"])
def test_the_stream_lies_in_no_layer(study, method, kind):
    with pytest.raises(ValueError, match=f"not defined for {kind}.*'atp'"):
        method(study._runs, kind)


@pytest.mark.parametrize("method", SIZES)
def test_one_layer_has_no_other_to_cut(method):
    model = random_model(STYLES[0], n_layers=1)
    runs = PatchStudy(model, *random_tokens(2, 4, differ=(1,)))._runs
    grid = method(runs, "z", cuts="sublayer")
    assert torch.equal(grid.raw, separate_cuts(runs, "z", None, "sublayer"))
    with pytest.raises(ValueError, match="writes to the stream once: use 'atp'"):
        method(runs, "z")


def test_unknown_cuts(study):
    with pytest.raises(ValueError, match="unknown cuts 'head': choose one of layer"):
        graddrop(study._runs, "z", cuts="head")


@pytest.mark.parametrize("method", SIZES)
def test_no_graph_is_kept(study, method):
    grid = method(study._runs, "z")
    held = [
        *study._runs.base.values.values(),
        *whole(study._runs.differentiating()).values(),
        grid.raw,
    ]
    assert not any(value.requires_grad for value in held)
