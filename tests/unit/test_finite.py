"""A value that is not a number is named where it first arises."""

from __future__ import annotations

import re

import pytest
import torch
from toy_models import STYLES, random_model, random_tokens

from patchwidget import PatchStudy
from patchwidget.finite import refuse_infinite
from patchwidget.runs import Capture


class Nothing:
    """The end of a run that nobody reads."""

    def logits(self, position=None, vocabulary=None):
        raise AssertionError

    rows = logits


def run(**values):
    """A captured run of two layers, with a value made bad at a place of a site."""
    shapes = {"resid_pre": (3, 5, 4), "q": (3, 5, 2, 4), "pattern": (3, 2, 5, 5)}
    shapes |= {"neuron": (3, 5, 6), "mlp_out": (3, 5, 4)}
    made = {(k, layer): torch.ones(s) for layer in range(2) for k, s in shapes.items()}
    for kind, (place, bad) in values.items():
        made[kind, 1][place] = bad
    return Capture(made, Nothing())


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("kind", "place", "bad", "said"),
    [
        ("resid_pre", (2, 4, 1), NAN, "a NaN at L1.resid_pre@4, pair 2"),
        ("q", (0, 3, 1, 2), INF, "an infinite value at L1H1.q@3, pair 0"),
        ("pattern", (1, 1, 3, 2), NAN, "a NaN at L1H1.pattern@3,2, pair 1"),
        ("neuron", (1, 2, 5), -INF, "an infinite value at L1.neuron@2#5, pair 1"),
        ("mlp_out", (2, 0, 3), NAN, "a NaN at L1.mlp_out@0, pair 2"),
    ],
)
def test_the_node_is_named(kind, place, bad, said):
    broken = run(**{kind: (place, bad)})
    for name in ("clean", "corrupted"):
        both = {"clean": run(), "corrupted": run(), name: broken}
        with pytest.raises(ValueError, match=re.escape(f"the {name} run has {said}:")):
            refuse_infinite(both)


def test_the_first_in_the_order_of_computation_is_named():
    broken = run(mlp_out=((0, 0, 0), NAN), neuron=((2, 4, 5), INF))
    with pytest.raises(
        ValueError, match=r"an infinite value at L1\.neuron@4#5, pair 2"
    ):
        refuse_infinite({"clean": broken})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_large_values_are_finite(dtype):
    large = run()
    for place, value in large.values.items():
        large.values[place] = torch.full_like(value, torch.finfo(dtype).max).to(dtype)
    refuse_infinite({"clean": large})


@pytest.mark.parametrize("style", STYLES)
def test_a_study_of_a_broken_model_names_the_node(style):
    model = random_model(style)
    with torch.no_grad():
        model.blocks[1].mlp.b_out[2] = NAN
    clean, corrupted, answers = random_tokens()
    with pytest.raises(ValueError, match=r"^the clean run has a NaN at L1\.mlp_out@0"):
        PatchStudy(model, clean, corrupted, answers)


def test_float16_ends_early(tokens):
    model = random_model(STYLES[0])
    with torch.no_grad():
        model.blocks[0].mlp.W_in.mul_(1e6)
    PatchStudy(model, *tokens)
    with pytest.raises(
        ValueError, match=r"at L0\.neuron@.*float16 ends at 65504: try bfloat16"
    ):
        PatchStudy(model.to(torch.float16), *tokens)


def test_one_token_of_one_run(model):
    clean, corrupted, answers = random_tokens(3, 7)
    own = random_model(STYLES[-1])
    rare = int(corrupted[2, 5])
    assert int((torch.cat([clean, corrupted]) == rare).sum()) == 1
    with torch.no_grad():
        own.W_E[rare, 3] = INF
    with pytest.raises(
        ValueError,
        match=r"^the corrupted run has an infinite value at L0\.resid_pre@5, pair 2",
    ):
        PatchStudy(own, clean, corrupted, answers)


def test_logits_that_are_no_numbers(tokens):
    own = random_model(STYLES[0])
    with torch.no_grad():
        last = next(p for n, p in own.named_parameters() if "ln_f" in n)
        last[1] = NAN
    with pytest.raises(
        ValueError, match="has a NaN in its logits at position 0, pair 0"
    ):
        PatchStudy(own, *tokens)


def test_a_users_hook_that_makes_nan_is_named(tokens):
    own = random_model(STYLES[-1])

    def spoil(value, hook):
        value = value.clone()
        value[1, 4, 2] = NAN
        return value

    own.add_hook("blocks.1.attn.hook_z", spoil)
    with pytest.raises(ValueError, match=r"a NaN at L1H2\.z@4, pair 1"):
        PatchStudy(own, *tokens)
