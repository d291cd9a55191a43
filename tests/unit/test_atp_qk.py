"""The QK fix where softmax is saturated, where keys compete, and where it cannot be had."""

from __future__ import annotations

import pytest
import torch
from estimate_oracles import cast, naive_key_fix, on_engine, sharpened, through_softmax
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from toy_models import STYLES, random_model, random_tokens

from patchwidget import PatchStudy
from patchwidget.estimate import atp, atp_qk
from patchwidget.estimate.pattern_steps import pattern_steps
from patchwidget.slices import whole

# (layers, heads, pairs, positions): every size once at its least.
SHAPES = [(3, 2, 2, 5), (1, 3, 1, 4), (2, 1, 3, 2), (2, 3, 2, 1)]


@pytest.fixture(scope="module", params=SHAPES, ids=str)
def runs(request):
    n_layers, n_heads, n_pairs, n_pos = request.param
    model = random_model(STYLES[-1], n_layers=n_layers, n_heads=n_heads)
    differ = (1, 3) if n_pos > 1 else (0,)
    return PatchStudy(model, *random_tokens(n_pairs, n_pos, differ=differ))._runs


@pytest.fixture(scope="module")
def saturated():
    """Scores of several tens: many a weight has rounded to 1, beside other keys."""
    model = random_model(STYLES[-1], n_layers=2, n_heads=3)
    tokens = random_tokens(2, 9, differ=(1, 3, 4, 6))
    runs = sharpened(PatchStudy(model, *tokens)._runs, 30.0)
    ones = torch.stack([runs.base.values["pattern", layer] for layer in (0, 1)]) == 1
    assert int(ones[..., 1:, :].sum()) > 10
    return runs


@pytest.mark.parametrize("kind", ["q", "k"])
@pytest.mark.parametrize("by", ["pos", None])
def test_fixes_equal_brute_force(runs, kind, by):
    grid = atp_qk(runs, kind, by)
    for node in runs.extent.nodes(kind, by):
        expected = through_softmax(
            runs, node, whole(runs.differentiating())["pattern", node.layer]
        ).float()
        found = grid.raw[(slice(None), *node.cell)]
        assert_close(found, expected, rtol=1e-5, atol=1e-7)


def test_a_weight_that_rounds_to_1_loses_nothing(saturated):
    fixed, plain = (method(saturated, "k", "pos").raw for method in (atp_qk, atp))
    worst = {"fixed": 0.0, "naive": 0.0, "plain": 0.0}
    for layer in range(2):
        gradient = whole(saturated.differentiating())["pattern", layer]
        expected = torch.zeros(2, 9, 3, dtype=torch.float64)
        for node in saturated.extent.nodes("k", "pos"):
            if node.layer == layer:
                value = through_softmax(saturated, node, gradient)
                expected[:, node.pos, node.head] = value
        largest = expected.abs().amax(1, keepdim=True)
        for name, found in (
            ("fixed", fixed[:, layer]),
            ("naive", naive_key_fix(saturated, layer)),
            ("plain", plain[:, layer]),
        ):
            error = float(((found - expected).abs() / largest).max())
            worst[name] = max(worst[name], error)
    assert worst["fixed"] < 1e-5
    assert worst["naive"] > 0.1
    assert worst["plain"] > 0.1


def test_keys_replaced_at_once_are_not_the_sum_of_keys_replaced_one_by_one(saturated):
    together = atp_qk(saturated, "k").raw
    summed = atp_qk(saturated, "k", "pos").raw.sum(2)
    assert float((together - summed).abs().max()) > 0.5 * float(together.abs().max())
    # Rows do not compete: queries add up, as all do to first order.
    assert_close(atp_qk(saturated, "q").raw, atp_qk(saturated, "q", "pos").raw.sum(2))
    assert_close(atp(saturated, "k").raw, atp(saturated, "k", "pos").raw.sum(2))


class Made(TorchDispatchMode):
    """Counts the elements of all results, and of the largest one."""

    def __init__(self):
        super().__init__()
        self.total = self.largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.total += result.numel()
            self.largest = max(self.largest, result.numel())
        return result


@pytest.mark.parametrize(("kind", "by"), [("q", "pos"), ("k", None), ("k", "pos")])
def test_the_fix_takes_a_few_patterns_of_memory_and_time(kind, by):
    """Twice the positions take four times as much: no pattern or write for each key."""
    made, brute = {}, {}
    for n_pos in (12, 24):
        model = random_model(STYLES[-1], n_layers=1, n_heads=3)
        runs = PatchStudy(model, *random_tokens(2, n_pos, differ=(1, 3)))._runs
        gradient = whole(runs.differentiating())["pattern", 0]
        with Made() as made[n_pos]:
            (step,) = pattern_steps(runs, kind, by, 0)
            step.estimate(gradient)
        with Made() as brute[n_pos]:
            for node in runs.extent.nodes(kind, by or "pos"):
                through_softmax(runs, node, gradient)
        assert made[n_pos].largest == gradient.numel()
    assert made[24].total <= 4 * made[12].total
    assert brute[24].total > 6 * brute[12].total, "as is what is counted one by one"


@pytest.mark.parametrize(("kind", "by"), [("q", "pos"), ("k", None), ("k", "pos")])
def test_half_precision_is_not_rounded_further(saturated, kind, by):
    """From the same bfloat16 values the fix is what it is from them in float32."""
    runs = on_engine(saturated, cast(saturated.engine, torch.bfloat16))
    found = atp_qk(runs, kind, by).raw
    assert found.dtype == torch.float32
    for node in runs.extent.nodes(kind, by):
        gradient = whole(runs.differentiating())["pattern", node.layer]
        expected = through_softmax(runs, node, gradient).float()
        here = found[(slice(None), *node.cell)]
        # The oracle's norms and rotations are in float64; GPT-2's queries have none.
        assert_close(here, expected, rtol=1e-5, atol=1e-6)


def test_the_study_gives_it(study):
    grid = study.estimate("q", "atp_qk", by="pos")
    assert grid.method == "atp_qk"
    assert grid.signed
    assert (grid.cost.forwards, grid.cost.backwards) == (2, 1)
    assert float((grid.raw - study.estimate("q", by="pos").raw).abs().max()) > 1e-5
