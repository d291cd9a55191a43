"""The decoder: borrowed weights, runs that can be resumed, and when it is not used."""

from __future__ import annotations

import dataclasses
import tempfile

import pytest
import torch
from torch.testing import assert_close
from toy_models import STYLES, TL_MAJOR, VOCABULARY, random_model, tokenizer

from patchwidget import Head, PatchStudy
from patchwidget.decoder import Decoder, UncoveredError, borrow, difference, hooked
from patchwidget.decoder.weights import ACTIVATIONS, IN_PLACE
from patchwidget.hooks import HookedModel
from patchwidget.nodes import Node
from patchwidget.runs import capture


@pytest.fixture(scope="module", params=STYLES)
def styled(request):
    return random_model(request.param)


def tensors(part):
    """Every tensor of the borrowed weights, by name."""
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if isinstance(value, torch.Tensor):
            yield field.name, value
        elif isinstance(value, tuple):
            for item in value:
                yield from tensors(item)
        elif dataclasses.is_dataclass(value):
            yield from tensors(value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", IN_PLACE)
def test_an_activation_in_place_is_the_plain_one(name, dtype):
    """Also over more numbers than are taken at once, and far out on both sides."""
    values = torch.linspace(-40, 40, 3 * 100_003, dtype=dtype).reshape(3, -1)
    expected = ACTIVATIONS[name](values.clone())
    found = IN_PLACE[name](values)
    assert found.data_ptr() == values.data_ptr()
    assert_close(found, expected)


def test_weights_are_the_models_own(styled):
    weights = borrow(styled)
    own = {p.untyped_storage().data_ptr() for p in styled.parameters()}
    found = dict(tensors(weights))
    assert {"W_E", "W_pos", "W_U", "W_Q", "W_K", "W_V", "W_O", "W_in"} <= set(found)
    for name, value in tensors(weights):
        assert not value.requires_grad, name
        if name == "b_U" and TL_MAJOR >= 4:
            # GPT-2 has none: a Bridge makes zeros of it.
            assert torch.equal(value, styled.b_U)
        else:
            assert value.untyped_storage().data_ptr() in own, name


def test_a_changed_weight_shows_at_once(tokens):
    model = random_model(STYLES[-1])
    decoder = Decoder.of(model)
    before = decoder.run(tokens[0]).logits()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        assert_close(decoder.run(tokens[0]).logits(), model(tokens[0]))
    assert not torch.allclose(decoder.run(tokens[0]).logits(), before)


def test_it_agrees_with_the_model(styled, tokens):
    with torch.no_grad():
        ours = Decoder.of(styled).run(tokens[0]).logits()
        assert difference(ours, styled(tokens[0]), 2) is None


def test_other_weights_are_not_joined_with_those_before(styled, tokens):
    weights = borrow(styled)
    before = Decoder(weights).run(tokens[0]).logits()
    first, *others = weights.layers
    attn = dataclasses.replace(first.attn, W_Q=2 * first.attn.W_Q.clone())
    layers = (dataclasses.replace(first, attn=attn), *others)
    other = Decoder(dataclasses.replace(weights, layers=layers))
    assert_close(attn.all_q, 2 * first.attn.all_q)
    assert not torch.allclose(other.run(tokens[0]).logits(), before)


@pytest.mark.parametrize("kind", ["resid_pre", "resid_mid", "resid_post"])
def test_resuming_from_what_was_captured_gives_the_same_run(styled, tokens, kind):
    decoder = Decoder.of(styled)
    run = capture(decoder, tokens[0])
    for layer in range(2):
        seen = {}

        def tap(site, layer, value, seen=seen):
            seen[site, layer] = value
            return value

        resumed = decoder.resume(run.values[kind, layer], layer, kind, tap)
        assert torch.equal(resumed.stream, run.readout.stream)
        # What lies before is not run, and what is run has the same values.
        assert min(seen, key=lambda place: place[1], default=(None, 2))[1] >= layer
        for place, value in seen.items():
            assert torch.equal(value, run.values[place]), place
    assert ("q", 0) not in seen


def test_the_end_of_the_last_layer_is_the_end(model, tokens):
    decoder = Decoder.of(model)
    stream = torch.randn(2, 3, model.cfg.d_model)
    assert torch.equal(decoder.resume(stream, 1, "resid_post").stream, stream)


def test_a_tap_edits_the_run(model, tokens):
    decoder = Decoder.of(model)

    def doubled(site, layer, value):
        return 2 * value if (site, layer) == ("z", 0) else value

    edited = decoder.run(tokens[0], doubled).logits()
    with torch.no_grad():
        expected = model.run_with_hooks(
            tokens[0], fwd_hooks=[("blocks.0.attn.hook_z", lambda z, hook: 2 * z)]
        )
    assert_close(edited, expected)


def test_a_readout_unembeds_what_is_asked_for(model, tokens):
    decoder = Decoder.of(model)
    readout = decoder.run(tokens[0])
    everything = readout.logits()
    assert everything.shape == (3, 7, VOCABULARY)
    assert_close(readout.logits(4), everything[:, 4])
    words = tokens[2]
    assert_close(readout.logits(4, words), everything[:, 4].gather(1, words))
    assert_close(readout.rows(1, 3).logits(), everything[1:3])


def perturbed(decoder, amount):
    """The same decoder with one weight of its own, which is a little off."""
    weights = decoder.weights
    first = weights.layers[0]
    mlp = dataclasses.replace(first.mlp, W_out=first.mlp.W_out.clone())
    mlp.W_out[3, 2] += amount
    layers = (dataclasses.replace(first, mlp=mlp), *weights.layers[1:])
    return Decoder(dataclasses.replace(weights, layers=layers))


@pytest.mark.parametrize(("amount", "noticed"), [(1e-2, True), (1e-9, False)])
def test_a_decoder_that_disagrees_is_not_used(
    model, tokens, monkeypatch, amount, noticed
):
    expected = PatchStudy(model, *tokens)
    wrong = perturbed(Decoder.of(model), amount)
    monkeypatch.setattr(Decoder, "of", lambda _: wrong)
    study = PatchStudy(model, *tokens)
    assert isinstance(study._runs.engine, HookedModel if noticed else Decoder)
    if noticed:
        assert "its logits differ from the decoder's by" in study.notice
        assert "rounding explains" in study.notice
    else:
        assert study.notice is None
    node = Head(0, 1)
    assert_close(study.exact([node])[node].raw, expected.exact([node])[node].raw)
    assert_close(study.estimate("q").raw, expected.estimate("q").raw)


def test_a_decoder_that_gives_no_number_disagrees(model, tokens):
    wrong = perturbed(Decoder.of(model), float("nan"))
    with torch.no_grad():
        found = difference(wrong.run(tokens[0]).logits(), model(tokens[0]), 2)
    assert "by nan" in found


def grouped_rotary():
    """A small model with rotary positions and grouped heads."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return _llama() if TL_MAJOR >= 4 else _hooked_llama()


def _noisy(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def _llama():
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=24,
        intermediate_size=20,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=32,
        bos_token_id=0,
        eos_token_id=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        _noisy(LlamaForCausalLM(config)).save_pretrained(folder)
        tokenizer().save_pretrained(folder)
        return TransformerBridge.boot_transformers(folder, device="cpu")


def _hooked_llama():
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    config = HookedTransformerConfig(
        n_layers=2,
        n_heads=4,
        n_key_value_heads=2,
        d_head=6,
        d_model=24,
        d_mlp=20,
        n_ctx=32,
        d_vocab=VOCABULARY,
        device="cpu",
        normalization_type="RMS",
        positional_embedding_type="rotary",
        rotary_dim=6,
        gated_mlp=True,
        act_fn="silu",
    )
    return _noisy(HookedTransformer(config, tokenizer=tokenizer()))


def _hook_patched(model, base, source, node, answers):
    """One patch by TransformerLens' own hooks: the change of the logit difference."""
    name = f"blocks.{node.layer}.attn.hook_{node.kind}"

    def value(logits):
        right, wrong = logits[:, -1].gather(1, answers).unbind(1)
        return right - wrong

    def patch(activation, hook):
        activation = activation.clone()
        activation[node.index] = cache[node.index]
        return activation

    with torch.no_grad():
        cache = model.run_with_cache(source)[1][name]
        patched = model.run_with_hooks(base, fwd_hooks=[(name, patch)])
        return value(patched) - value(model(base))


def _assert_falls_back_and_is_right(model, tokens):
    clean, corrupted, answers = tokens
    study = PatchStudy(model, clean, corrupted, answers)
    assert "which is slower:" in study.notice
    assert isinstance(study._runs.engine, HookedModel)
    extent = study.extent
    assert (extent.n_heads, extent.n_kv_heads) == (4, 2)
    for node in (Head(0, 3), Head(1, 1, "k"), Head(0, 1, "v", 5), Head(1, 3, "q")):
        raw = study.exact([node])[node].raw
        assert_close(raw, _hook_patched(model, corrupted, clean, node, answers))
        assert float(raw.abs().max()) > 1e-4
    assert study.exact("k").raw.shape == study.estimate("k").raw.shape == (3, 2, 2)
    assert study.estimate("z").raw.shape == (3, 2, 4)
    with pytest.raises(IndexError, match="no KV head 2, only 0 to 1"):
        study.exact([Head(0, 2, "v")])
    # The last stream is read by norm and unembedding alone: there AtP is a fair guess.
    last = [Node("resid_post", 1, pos=6)]
    assert study.exact(last)[last[0]].value == pytest.approx(1, abs=1e-4)
    heads = study.attention([Head(1, 1, "k")]).heads
    assert heads == ((1, 2), (1, 3)), "the query heads that read it"
    return study


def test_another_architecture_falls_back_visibly_and_is_right(tokens, monkeypatch):
    # Any architecture that is not on the list goes this way; this one has KV heads.
    monkeypatch.setattr("patchwidget.decoder.bridge.COVERED", ("GPT2LMHeadModel",))
    monkeypatch.setitem(hooked._KNOWN, "normalization_type", ("LN", "LNPre"))
    model = grouped_rotary()
    with pytest.raises(UncoveredError, match=r"Llama|normalization_type"):
        borrow(model)
    study = _assert_falls_back_and_is_right(model, tokens)
    assert "is not covered." in study.notice
