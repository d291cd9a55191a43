"""Half precision: what is rounding and what is a mistake."""

from __future__ import annotations

import weakref
from dataclasses import replace

import pytest
import torch
from toy_models import STYLES, random_model, random_tokens

from patchwidget import PatchStudy, watch
from patchwidget.decoder import Decoder, borrow, in_single
from patchwidget.decoder.agreement import difference
from patchwidget.decoder.single import cast_up
from patchwidget.decoder.weights import Layer
from patchwidget.grids import Scale
from patchwidget.hooks import HookedModel

HALVES = [torch.bfloat16, torch.float16]


@pytest.fixture(params=HALVES, ids=lambda dtype: str(dtype)[6:])
def dtype(request):
    return request.param


def half(dtype, seed=0):
    return random_model(STYLES[0], seed=seed).to(dtype)


def test_the_run_in_single_is_the_models_in_single(dtype):
    tokens = random_tokens()[0]
    model = half(dtype)
    weights = borrow(model)
    ours = in_single(weights, tokens)
    assert ours.dtype == torch.float32
    assert weights.W_E.dtype == dtype, "the weights stay as they are"
    with torch.no_grad():
        theirs = model.to(torch.float32)(tokens)
    assert difference(ours, theirs, 2) is None


def test_one_layer_at_a_time_is_cast(monkeypatch):
    weights, alive, most = borrow(random_model(STYLES[0], n_layers=4)), set(), []

    def watched(part):
        wide = cast_up(part)
        if isinstance(part, Layer):
            alive.add(id(wide))
            weakref.finalize(wide, alive.discard, id(wide))
            most.append(len(alive))
        return wide

    monkeypatch.setattr("patchwidget.decoder.single.cast_up", watched)
    in_single(weights, random_tokens()[0])
    assert most == [1] * 4
    assert not alive


def test_a_model_stays_in_its_dtype(dtype):
    model = half(dtype)
    study = PatchStudy(model, *random_tokens())
    assert study.notice is None
    assert {p.dtype for p in model.parameters()} == {dtype}
    assert {value.dtype for value in study._runs.base.values.values()} == {dtype}
    assert study.exact("z").raw.dtype == torch.float32, "metrics are read in float32"


def wrong(weights, **changes):
    """The same weights with a part of the first layer's attention changed."""
    first, *others = weights.layers
    attn = replace(first.attn, **changes)
    return replace(weights, layers=(replace(first, attn=attn), *others))


MISTAKES = {
    "a missing bias": lambda w: wrong(w, b_V=0 * w.layers[0].attn.b_V),
    "a window": lambda w: wrong(w, window=5),
    "a bias read twice": lambda w: wrong(w, b_O=2 * w.layers[0].attn.b_O),
    "an output scaled by 1.05": lambda w: wrong(w, W_O=1.05 * w.layers[0].attn.W_O),
    "scores scaled by 1.2": lambda w: wrong(w, scale=1.2 * w.layers[0].attn.scale),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_mistake_is_found(dtype, mistake, seed, monkeypatch):
    tokens = random_tokens(2, 8, seed=seed)
    model = half(dtype, seed)
    mistaken = Decoder(MISTAKES[mistake](borrow(model)))
    monkeypatch.setattr(Decoder, "of", lambda _: mistaken)
    study = PatchStudy(model, *tokens)
    assert isinstance(study._runs.engine, HookedModel)
    assert "(root mean square), where rounding explains" in study.notice


def test_a_small_change_is_seen_by_the_logits(dtype, monkeypatch):
    monkeypatch.setattr(watch.Watch, "_sampled", lambda _: torch.zeros(1))
    monkeypatch.setattr(watch, "ASK_MODEL_EVERY_S", 0.0)
    model = half(dtype)
    study = PatchStudy(model, *random_tokens())
    model.blocks[0].attn.W_O.data.mul_(1.1)  # past autograd's count of changes
    with pytest.raises(RuntimeError, match="from those this study captured"):
        study.exact(["L1H1.z"])


def test_the_same_model_is_still_the_same(dtype):
    for n_pairs in (1, 3):
        study = PatchStudy(half(dtype), *random_tokens(n_pairs))
        assert torch.isfinite(study.exact("z").raw).all()
        assert torch.isfinite(study.reversed().exact("q").raw).all()


def test_rounding_of_the_models_own_dtype_hides_a_difference(dtype):
    """Runs whose metric differs by what half precision rounds are no scale."""
    base, eps = torch.tensor([4.0]), torch.finfo(dtype).eps
    assert Scale(base, base * (1 + 6 * eps), dtype).value is None
    assert Scale(base, base * (1 + 10 * eps), dtype).value is not None
    assert Scale(base, base * (1 + 6 * eps)).value is not None


def test_a_study_knows_the_models_dtype(dtype):
    study = PatchStudy(half(dtype), *random_tokens())
    assert study._runs.scale.dtype == dtype
    assert study._runs.scale.base.dtype == torch.float32
