"""A change of the model that torch does not count is noticed, and nothing of it is kept."""

from __future__ import annotations

import pytest
import torch
from toy_models import STYLES, random_model, random_tokens

from patchwidget import PatchStudy
from patchwidget.slices import whole
from patchwidget.watch import _sample

# Of GPT-2 small, by either library (a part of its vocabulary), and odd ones.
MATRICES = [(768, 2304), (768, 768), (768, 3072), (3072, 768), (9001, 768), (1, 7)]
STACKS = [(12, 768, 64), (12, 64, 768), (2, 96, 7), (3, 7, 96)]
METHODS = ("atp", "relp", "graddrop", "ig")
PARTS = {
    "q": ("qkv._original_component.weight", "attn.W_Q"),
    "neuron": ("c_fc._original_component.weight", "mlp.W_in"),
}


def seen(weight):
    """Which numbers of a weight its samples are."""
    (view,) = _sample(weight)
    mark = torch.zeros_like(weight)
    mark.as_strided(view.shape, view.stride(), view.storage_offset()).fill_(1)
    return mark.bool()


@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize("shape", MATRICES)
def test_every_column_in_memory_has_a_sample(shape, is_turned):
    memory = torch.zeros(shape)
    hit = seen(memory.mT if is_turned else memory)
    hit = hit.mT if is_turned else hit
    assert hit.any(0).all()
    if shape[0] <= shape[1]:
        assert hit.any(1).all()
    assert hit.sum() <= max(600, 1.1 * shape[1]), "looked at after every slice"


@pytest.mark.parametrize("shape", STACKS)
def test_every_head_has_samples_in_many_columns(shape):
    hit = seen(torch.zeros(shape))
    columns = hit.any(1).sum(1)
    assert (columns >= 0.9 * min(shape[1:])).all(), "a share of the columns"
    assert hit.any(0).any(0).all()


@pytest.mark.parametrize("shape", [(), (1,), (2304,), (3, 0)])
def test_vectors_are_seen_whole(shape):
    weight = torch.zeros(shape)
    assert sum(len(view) for view in _sample(weight)) == weight.numel()


@pytest.fixture(scope="module")
def model():
    """Rows of a multiple of 32 numbers, as those of real models are."""
    return random_model(STYLES[0], n_heads=4, d_head=8, d_mlp=64)


def column(model, part):
    """One column of a weight of layer 1."""
    weight = next(
        p
        for name, p in model.named_parameters()
        if any(end in name for end in PARTS[part]) and ".1." in name
    )
    return weight.data[..., 5] if weight.dim() == 2 else weight.data[1, :, 5]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("method", METHODS)
def test_a_column_that_is_another_for_a_slice_gives_an_error(model, method, part):
    tokens = random_tokens(2, 5, differ=(1, 3))
    alone = PatchStudy(model, *tokens)
    n_slices = len(list(alone.estimating("z", method)))
    expected = alone.estimate("z", method).raw
    for number in (1, n_slices // 2, n_slices - 1):
        study = PatchStudy(model, *tokens)
        slices = study.estimating("z", method)
        for _ in range(number):
            next(slices)
        edited = column(model, part)
        before = edited.clone()
        edited.mul_(1.5)  # torch does not count it
        try:
            with pytest.raises(RuntimeError, match="weights changed since this study"):
                next(slices)
        finally:
            edited.copy_(before)
        assert torch.equal(whole(study.estimating("z", method)).raw, expected)


@pytest.mark.parametrize("method", METHODS)
def test_a_hook_that_came_between_slices_gives_an_error(model, method):
    study = PatchStudy(model, *random_tokens(2, 5, differ=(1, 3)))
    slices = study.estimating("z", method)
    next(slices)
    last = list(model.modules())[-1]
    hook = last.register_forward_hook(lambda *_: None)
    try:
        with pytest.raises(RuntimeError, match="weights or hooks changed since"):
            whole(slices)
        assert not list(study._kept.items())
        assert not study._runs.has("gradients")
    finally:
        hook.remove()
    expected = PatchStudy(model, *random_tokens(2, 5, differ=(1, 3)))
    assert torch.equal(
        study.estimate("z", method).raw, expected.estimate("z", method).raw
    )
