"""Logits that are unembedded where looked at behave as the logits themselves."""

from __future__ import annotations

import pytest
import torch
from toy_models import STYLES, random_model, random_tokens

from patchwidget import PatchStudy
from patchwidget.logits import LazyLogits

ROWS = torch.arange(3)
TOKENS = torch.tensor([1, 2, 3])
# What is done to logits [3, 5, 7], and which positions it makes us unembed.
LOOKS = {
    "last": (lambda x: x[:, -1], {4}),
    "last, spelled out": (lambda x: x[:, -1, :], {4}),
    "last, by dots": (lambda x: x[..., -1, :], {4}),
    "last, kept as an axis": (lambda x: x[:, -1:], {4}),
    "two": (lambda x: x[:, 0] - x[:, 2], {0, 2}),
    "one row": (lambda x: x[0, -1], {4}),
    "one number": (lambda x: x[-1, -1, 2], {4}),
    "answers of each row": (lambda x: x[ROWS, -1, TOKENS], {4}),
    "tokens": (lambda x: x[:, -1, TOKENS], {4}),
    "some rows": (lambda x: x[torch.tensor([True, False, True]), 1], {1}),
    "a place in a tensor": (lambda x: x[:, torch.tensor(2)], {2}),
    "gather": (lambda x: torch.gather(x[:, 2], 1, TOKENS[:, None]), {2}),
    "cross entropy": (
        lambda x: torch.nn.functional.cross_entropy(x[:, 3], TOKENS),
        {3},
    ),
    "a row": (lambda x: x[0], {None}),
    "a token everywhere": (lambda x: x[..., 0], {None}),
    "positions": (lambda x: x[:, 1:3], {None}),
    "a list of positions": (lambda x: x[:, [1]], {None}),
    "a new axis": (lambda x: x[None], {None}),
    "a mask": (lambda x: x[torch.ones(3, 5, dtype=torch.bool)], {None}),
    "log-probabilities": (lambda x: x.log_softmax(-1)[:, -1], {None}),
    "mean": (lambda x: x.mean(), {None}),
    "arithmetic": (lambda x: 2 * x + 1, {None}),
    "two of them": (lambda x: torch.stack([x, x]), {None}),
    "numpy": (lambda x: torch.tensor(x.numpy().sum()), {None}),
    "iteration": (lambda x: torch.stack([row[-1] for row in x]), {None}),
    "shape only": (lambda x: torch.tensor([*x.shape, len(x), x.dim()]), set()),
}


def lazy_logits(full):
    return LazyLogits.of(tuple(full.shape), full, lambda at: full[:, at], full.clone)


@pytest.mark.parametrize(("look", "positions"), LOOKS.values(), ids=LOOKS)
def test_looks_like_logits(look, positions):
    full = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))
    lazy = lazy_logits(full)
    found, expected = look(lazy), look(full)
    assert type(found) is torch.Tensor
    assert torch.equal(found, expected)
    assert lazy.looked == positions


def test_changes_in_place_are_seen():
    full = torch.randn(3, 5, 7)
    for change in (
        lambda x: x.__setitem__((slice(None), -1), 0.0),
        lambda x: x.sub_(x.mean()),
        torch.relu_,
    ):
        lazy, plain = lazy_logits(full), full.clone()
        change(lazy)
        change(plain)
        assert torch.equal(lazy[:, -1], plain[:, -1])


def test_wrong_positions_are_index_errors():
    with pytest.raises(IndexError, match="position 5 is not in logits of 5 positions"):
        lazy_logits(torch.randn(3, 5, 7))[:, 5]


def test_gradients_come_through():
    full = torch.randn(3, 5, 7, requires_grad=True)
    (lazy_logits(full)[:, -1] ** 2).sum().backward()
    assert torch.equal(full.grad[:, -1], 2 * full.detach()[:, -1])
    assert not full.grad[:, :-1].any()


def test_behind_torchs_back_there_is_only_nan():
    """Whoever reads the storage itself gets what a metric may not be."""
    lazy = lazy_logits(torch.randn(3, 5, 7))
    with torch._C.DisableTorchFunctionSubclass():
        assert bool(lazy[:, -1].isnan().all())


@pytest.mark.parametrize("style", STYLES)
def test_a_metric_may_look_where_it_did_not_look_before(style):
    """The runs that left the position out are run again, with all positions."""
    model, tokens = random_model(style), random_tokens()
    looks = []

    def fickle(logits):
        looks.append(1)
        # Base and source run show the last position; a patched one then wants another.
        return (
            logits[:, -1, 3] if len(looks) <= 2 else logits[:, 1, 3] - logits[:, -1, 5]
        )

    def steady(logits):
        return logits[:, 1, 3] - logits[:, -1, 5]

    clean, corrupted, _ = random_tokens(differ=(0, 5))
    study = PatchStudy(model, clean, corrupted, metric=fickle)
    steadier = PatchStudy(model, clean, corrupted, metric=steady)
    assert study._runs.metric.position == tokens[0].shape[1] - 1
    swap = study._runner._swap
    nodes = ["L1H2.z", "L0H0.v", "L0.resid_pre@0"]
    effects, expected = study.exact(nodes), steadier.exact(nodes)
    assert swap.read is None
    base = steadier._runs.scale.base - study._runs.scale.base
    for node in study.nodes(nodes):
        torch.testing.assert_close(effects[node].raw, expected[node].raw + base)
