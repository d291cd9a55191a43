"""Where heads look and what they read there; the hand-off to CircuitsVis."""

from __future__ import annotations

import json

import pytest
import torch
from toy_models import TL_MAJOR

from patchwidget import Head, PatchStudy, demo, engines
from patchwidget.hooks import HookedModel

HEADS = [Head(1, 2), Head(0, 1, "q")]


def norms_of_the_model(model, tokens, layer, head):
    """|v W_O| from the model's own cache and weights."""
    _, cache = model.run_with_cache(tokens)
    value = cache[f"blocks.{layer}.attn.hook_v"]
    kv_head = head * value.shape[2] // model.cfg.n_heads
    weight = model.blocks[layer].attn.W_O[head]
    return (value[:, :, kv_head] @ weight).norm(dim=-1)


@pytest.mark.parametrize("way", ["decoder", "hooks"])
def test_norms_are_of_what_is_written_from_each_position(
    model, tokens, monkeypatch, way
):
    if way == "hooks":
        monkeypatch.setattr(engines, "choose", lambda one: (HookedModel(one), "asked"))
    found = PatchStudy(model, *tokens).attention(HEADS)
    assert found.heads == ((1, 2), (0, 1))
    for run, prompts in (("clean", tokens[0]), ("corrupted", tokens[1])):
        for i, (layer, head) in enumerate(found.heads):
            expected = norms_of_the_model(model, prompts, layer, head)
            norms = getattr(found, f"{run}_norms")[i]
            assert norms.shape == (3, 7)
            torch.testing.assert_close(norms, expected.detach(), rtol=1e-4, atol=1e-5)


def test_values_times_patterns_are_the_heads_output(study):
    """What is weighted by the pattern adds up to the head's z times W_O."""
    found, runs = study.attention([Head(0, 1)]), study._runs
    attn = runs.engine.weights.layers[0].attn
    value = runs.clean.values["v", 0][:, :, 1]
    written = value @ attn.W_O[1]
    torch.testing.assert_close(written.norm(dim=-1), found.clean_norms[0])
    output = found.clean[0] @ written
    expected = runs.clean.values["z", 0][:, :, 1] @ attn.W_O[1]
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)


def test_a_model_that_shows_no_weights_has_no_norms(model, tokens, monkeypatch):
    monkeypatch.setattr(engines, "choose", lambda one: (HookedModel(one), "asked"))
    monkeypatch.setattr("patchwidget.attention._output_of", lambda runs, layer: None)
    found = PatchStudy(model, *tokens).attention(HEADS)
    assert found.clean_norms.shape == (2, 3, 7)
    assert found.clean_norms.isnan().all()
    assert found.clean.isfinite().all()


def test_one_pair_and_the_mean(study):
    found = study.attention(HEADS)
    patterns, norms = found.of(2, "corrupted")
    assert torch.equal(patterns, found.corrupted[:, 2])
    assert torch.equal(norms, found.corrupted_norms[:, 2])
    patterns, norms = found.of(-1)
    torch.testing.assert_close(patterns, found.clean.double().mean(1))
    torch.testing.assert_close(norms, found.clean_norms.double().mean(1))


@pytest.mark.parametrize("pair", [3, -2])
def test_a_pair_that_is_not_there_is_refused(study, pair):
    found = study.attention(HEADS)
    for ask in (found.of, found.tokens, found.to_circuitsvis):
        with pytest.raises(IndexError, match=f"no pair {pair}, only 0 to 2"):
            ask(pair)
    with pytest.raises(ValueError, match="unknown run 'base'"):
        found.of(0, "base")


def props(rendered):
    """What CircuitsVis is given, from the page that it makes."""
    text = str(rendered)
    start = text.index('{"attention"')
    return json.JSONDecoder().raw_decode(text[start:])[0]


@pytest.mark.parametrize("run", ["clean", "corrupted"])
@pytest.mark.parametrize("pair", [0, 1])
def test_circuitsvis_gets_these_heads_with_the_studys_tokens(study, pair, run):
    found = study.attention(HEADS)
    given = props(found.to_circuitsvis(pair, run))
    assert given["attentionHeadNames"] == ["L1H2", "L0H1"]
    assert given["tokens"] == study.pairs.text[pair][run == "corrupted"]
    expected = getattr(found, run)[:, pair]
    torch.testing.assert_close(torch.tensor(given["attention"]), expected)


def test_the_mean_has_the_tokens_that_all_pairs_share(study):
    tokens = study.attention(HEADS).tokens(-1)
    texts = [clean for clean, _ in study.pairs.text]
    for position, token in enumerate(tokens):
        shared = {text[position] for text in texts}
        assert token == (shared.pop() if len(shared) == 1 else f"[{position}]")


def test_it_is_what_attention_heads_makes_of_the_models_own_cache():
    from circuitsvis.attention import attention_heads

    model, pairs = demo.load_model(), demo.ioi_pairs()
    study = PatchStudy(model, pairs)
    ours = props(study.attention([Head(2, 0), Head(2, 1)]).to_circuitsvis(3))
    _, cache = model.run_with_cache(study.pairs.clean)
    theirs = props(
        attention_heads(
            attention=cache["blocks.2.attn.hook_pattern"][3, :2],
            tokens=model.to_str_tokens(study.pairs.clean[3]),
            attention_head_names=["L2H0", "L2H1"],
        )
    )
    assert ours["tokens"] == theirs["tokens"], f"TransformerLens {TL_MAJOR}"
    torch.testing.assert_close(
        torch.tensor(ours["attention"]),
        torch.tensor(theirs["attention"]),
        rtol=1e-4,
        atol=1e-6,
    )


def test_it_tells_whose_it_is(study):
    found = study.attention(["L1H0", "L0H2.q"])
    n_pos = study.extent.n_pos
    assert repr(found) == f"attention of L1H0, L0H2: 3 pairs, {n_pos} x {n_pos} each"
