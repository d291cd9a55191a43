"""A student's own tensor beside estimates and exact effects."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from page import decoded
from toy_models import STYLES, random_model, random_tokens

from patchwidget import PatchStudy, PatchWidget
from patchwidget.nodes import Extent
from patchwidget.widget.mine import fitted
from patchwidget.widget.thumbnail import thumbnail

pytestmark = pytest.mark.usefixtures("recorded")
# Of the toy model and its prompts: 2 layers, 3 heads, 7 positions, 3 pairs.


# As much of a study as a shape is judged by: 2 KV heads for 4 query heads, 2 pairs.
GROUPED = SimpleNamespace(
    extent=Extent(n_layers=3, n_heads=4, n_kv_heads=2, n_pos=6, d_mlp=8),
    pairs=SimpleNamespace(text=["one", "two"]),
)


def own(widget, kind):
    return decoded(widget.mine[kind])


def test_a_tensor_is_a_layer_of_its_own(widget, labelled):
    mine = labelled.exact("resid_pre").values
    widget.compare(mine, "resid_pre")
    assert list(widget.comm.states("mine")[-1]) == ["resid_pre"]
    assert torch.equal(own(widget, "resid_pre"), mine)
    widget.compare(mine.double().numpy().T.copy().T, "hook_resid_pre")
    torch.testing.assert_close(own(widget, "resid_pre"), mine)
    widget.compare(None, "z")
    widget.compare(None, "resid_pre")
    assert widget.mine == {}
    widget.shown = "mine_miss"


def test_what_is_edited_later_is_not_shown(widget, labelled):
    shape = labelled.extent.shape("z")
    for mine in (torch.zeros(shape), np.zeros(shape, np.float32)):
        widget.compare(mine, "z")
        mine[:] = 7
        assert not own(widget, "z").any()
    mine = torch.zeros(shape, requires_grad=True)
    widget.compare(mine, "z")
    widget.compare(torch.ones(shape), "z")
    assert own(widget, "z").unique() == 1, "compare again replaces"
    assert mine.requires_grad


def test_beside_a_study(labelled, model, tokens):
    shape = labelled.extent.shape("v")
    mine = {"attn.hook_v": torch.full(shape, 0.5)}
    for widget in (
        PatchWidget(labelled, mine=mine, shown="mine", direction="noising"),
        PatchWidget(model, *tokens, mine=mine, shown="mine"),
    ):
        assert own(widget, "v").shape == shape
        assert widget.shown == "mine"
    with pytest.raises(TypeError, match="a dict of tensors by kind, got Tensor"):
        PatchWidget(labelled, mine=torch.zeros(shape))


def test_it_belongs_to_its_direction(widget, labelled):
    shape = labelled.extent.shape("z")
    widget.compare(torch.ones(shape), "z")
    widget.direction = "noising"
    assert widget.mine == {}
    widget.compare(torch.zeros(shape), "z")
    widget.method = "relp"
    assert not own(widget, "z").any()
    widget.direction = "denoising"
    assert own(widget, "z").all()


@pytest.mark.parametrize("direction", ["denoising", "noising"])
def test_the_metric_itself_is_put_on_the_studys_scale(model, tokens, direction):
    study = PatchStudy(model, *tokens, direction=direction)
    exact = study.exact("z")
    base = study.baselines[direction == "denoising"]
    metric = base.mean() + exact.raw.mean(0)
    found = fitted(metric, "z", study, raw=True)
    torch.testing.assert_close(found, exact.values, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(fitted(metric, "z", study, raw=False), exact.values)


def test_the_metric_itself_where_both_runs_have_the_same(model, tokens):
    study = PatchStudy(model, tokens[0], answers=tokens[2], source="zero")
    exact = study.exact("mlp_out")
    metric = study.baselines[0].mean() + exact.raw.mean(0)
    found = fitted(metric, "mlp_out", study, raw=True)
    torch.testing.assert_close(found, exact.raw.mean(0), rtol=1e-4, atol=1e-6)


def shaped(*shape):
    return torch.zeros(shape)


@pytest.mark.parametrize(
    ("kind", "mine", "words"),
    [
        ("resid_pre", shaped(7, 2), r"rows and columns are swapped.*mine\.T is what"),
        ("z", shaped(3, 2), r"layer comes first, as in mine\[layer, head\]"),
        (
            "resid_pre",
            shaped(5, 2, 7),
            r"components .* z, q, k, v and pattern: compare",
        ),
        (
            "z",
            shaped(3, 2, 3),
            "resid_pre, attn_out and mlp_out.*; or an axis of pairs",
        ),
        ("z", shaped(8, 2, 3), r"an axis of length 8 stands in front: mine\[i\]"),
        ("z", shaped(1, 2, 3), r"length 1 stands in front: mine\[0\]\."),
        ("z", shaped(2, 3, 3), r"an axis of pairs stands at the end: mine\.mean\(-1\)"),
        (
            "z",
            shaped(2, 3, 1),
            r"an axis of length 1 stands at the end: mine\[\.\.\., 0\]",
        ),
        ("z", shaped(2, 7, 3), r"single positions, \[layer, pos, head\].*not the sum"),
        ("pattern", shaped(2, 3, 7), r"single positions, \[layer, head, pos\]"),
        ("pattern", shaped(2, 3, 7, 7), "single positions"),
        ("z", shaped(1, 1, 2, 3), "it has 4 axes, and a map has two"),
        ("z", shaped(2, 7), r"\[layer, pos\], as of resid_pre\. Is another kind meant"),
        ("mlp_out", shaped(2, 3), r"\[layer, head\], as of z\. Is another kind meant"),
        ("z", shaped(6), r"one after another: mine\.reshape\(2, 3\)"),
        ("z", shaped(3), "one number for every head: which layer is it"),
        ("z", shaped(2), "one number for every layer: the loop over the heads"),
        ("z", shaped(), "a single number: the loops"),
        ("z", shaped(11), "it has one axis, and a map has two"),
        ("resid_pre", shaped(2, 9), r"9 positions, and there are 7\. .* other prompts"),
        ("resid_pre", shaped(3, 7), r"3 layers, and there are 2\. .* another model"),
        ("z", shaped(12, 12), "12 layers, and there are 2; 12 heads, and there are 3"),
    ],
)
def test_a_shape_that_does_not_fit_is_explained(widget, kind, mine, words):
    with pytest.raises(ValueError, match=words) as refused:
        widget.compare(mine, kind)
    columns = "head 3" if kind in ("z", "pattern") else "pos 7"
    assert str(refused.value).startswith(f"mine is {list(mine.shape)}: ")
    assert f"A map of {kind} is [layer 2, {columns}]." in str(refused.value)
    assert widget.mine == {}


def test_keys_have_their_own_heads():
    with pytest.raises(
        ValueError, match=r"every query head; k has 2 KV heads.*head 2\]"
    ):
        fitted(shaped(3, 4), "k", GROUPED, raw=False)
    with pytest.raises(ValueError, match=r"\[layer, head\], as of k\."):
        fitted(shaped(3, 2), "resid_pre", GROUPED, raw=False)
    assert fitted(shaped(3, 2), "k", GROUPED, raw=False).shape == (3, 2)


@pytest.mark.parametrize(
    ("mine", "error", "words"),
    [
        (torch.zeros(2, 4, dtype=torch.complex64), TypeError, "complex64.*mine.real"),
        (np.zeros((2, 4), complex), TypeError, "complex128.*mine.real"),
        (torch.zeros(2, 4, dtype=torch.bool), TypeError, "True or False"),
        (np.zeros((2, 4), bool), TypeError, "True or False"),
        (np.full((2, 4), "x"), TypeError, r"<U1, not numbers: mine\.astype\(float\)"),
        ([[0.0] * 4] * 2, TypeError, r"got list: torch\.tensor\(mine\)"),
        (torch.full((2, 3), float("inf")), ValueError, r"mine\[0, 0\] is infinite"),
    ],
)
def test_what_is_no_number_is_explained(widget, mine, error, words):
    with pytest.raises(error, match=words):
        widget.compare(mine, "z")


@pytest.mark.parametrize(
    "mine",
    [
        torch.arange(6).reshape(2, 3),
        torch.arange(6.0).reshape(2, 3).bfloat16(),
        torch.arange(6.0, dtype=torch.float64).reshape(3, 2).T.contiguous(),
        np.arange(6, dtype=">f8").reshape(2, 3)[::-1, ::-1],
        np.arange(6, dtype=np.uint16).reshape(2, 3),
    ],
    ids=lambda one: str(one.dtype),
)
def test_all_real_numbers_are_taken(widget, mine):
    widget.compare(mine, "z")
    assert own(widget, "z").tolist() == mine.tolist()


def test_missing_values_stay_missing(widget):
    mine = torch.tensor([[0.5, float("nan"), 0], [0, 0, 1]])
    widget.compare(mine, "z")
    assert own(widget, "z").isnan().nonzero().tolist() == [[0, 1]]


def test_the_kind_is_one_that_has_a_map(widget):
    with pytest.raises(ValueError, match="no map of neuron"):
        widget.compare(shaped(2, 7, 8), "neuron")
    with pytest.raises(ValueError, match="unknown kind 'heads'"):
        widget.compare(shaped(2, 3), "heads")
    with pytest.raises(
        ValueError, match=r"name the kind .* compare\(mine, 'resid_pre'\)"
    ):
        widget.compare(shaped(2, 3), "")
    widget.close()
    with pytest.raises(RuntimeError, match="closed"):
        widget.compare(shaped(2, 3), "z")


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (3, 1)])
def test_odd_sizes(size):
    n_layers, n_heads = size
    model = random_model(STYLES[0], n_layers=n_layers, n_heads=n_heads)
    widget = PatchWidget(model, *random_tokens(1, 3))
    widget.compare(shaped(n_layers, n_heads), "z")
    if n_layers != n_heads:
        with pytest.raises(ValueError, match="swapped"):
            widget.compare(shaped(n_heads, n_layers), "z")


def test_the_picture_of_a_saved_notebook_has_it(widget):
    def picture(shown):
        return thumbnail(widget.grids, widget.verified, shown, widget.mine)

    nothing = picture("mine")
    mine = decoded(widget.grids["atp/z"]).clone()
    widget.compare(mine, "z")
    assert picture("mine") != nothing
    alike = picture("mine_miss")
    mine[0, 0] += 1
    widget.compare(mine, "z")
    assert picture("mine_miss") != alike
