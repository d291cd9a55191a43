"""The model as TransformerLens sees it; the same tests under 2.x and 4.x."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from patchwidget import demo
from patchwidget.demo.cases import Case
from patchwidget.demo.loader import MODEL_NAME
from patchwidget.demo.net import load_net
from patchwidget.demo.tokenizer import CONTEXT_TOKENS, MODEL_DIR

MAKERS = (demo.ioi_pairs, demo.fact_pairs, demo.year_pairs, demo.induction_pairs)


@pytest.fixture(scope="module")
def model():
    return demo.load_model()


@pytest.fixture(scope="module")
def tokens(model):
    return demo.ioi_pairs().on(model).clean


def test_is_the_class_of_this_transformer_lens(model):
    try:
        from transformer_lens.model_bridge import TransformerBridge as Expected
    except ImportError:
        from transformer_lens import HookedTransformer as Expected
    assert isinstance(model, Expected)


def test_says_who_it_is(model):
    assert model.cfg.model_name == MODEL_NAME == "patchwidget-demo"
    assert (model.cfg.n_heads, model.cfg.n_ctx) == (8, CONTEXT_TOKENS)
    assert 4 <= model.cfg.n_layers <= 6
    assert not model.training
    assert model.cfg.dtype == torch.float32


def test_tokens_behave_as_with_gpt2(model):
    assert model.to_tokens("When Mary").tolist()[0][0] == model.tokenizer.bos_token_id
    assert model.to_str_tokens("When Mary") == ["<|endoftext|>", "When", " Mary"]
    assert model.to_tokens("When Mary", prepend_bos=False).shape == (1, 2)
    mary = model.to_single_token(" Mary")
    assert model.to_string(torch.tensor([mary])) == " Mary"


def test_log_probabilities_are_those_of_the_trained_net(model, tokens):
    with torch.no_grad():
        ours = load_net(MODEL_DIR)(tokens).log_softmax(-1)
        theirs = model(tokens).log_softmax(-1)
    torch.testing.assert_close(theirs, ours, atol=2e-5, rtol=1e-5)


def test_every_activation_is_that_of_the_trained_net(model, tokens):
    values = {}

    def keep(name, value):
        values[name] = value
        return value

    with torch.no_grad():
        load_net(MODEL_DIR)(tokens, keep)
        _, cache = model.run_with_cache(tokens)
    sites = {"z": "attn.hook_z", "q": "attn.hook_q", "pattern": "attn.hook_pattern"}
    sites |= {"v": "attn.hook_v", "k": "attn.hook_k", "mlp_out": "hook_mlp_out"}
    sites |= {"attn_out": "hook_attn_out", "resid_post": "hook_resid_post"}
    for layer in range(model.cfg.n_layers):
        for ours, theirs in sites.items():
            value = cache[f"blocks.{layer}.{theirs}"]
            expected = values[f"{layer}.{ours}"]
            torch.testing.assert_close(value, expected, atol=2e-5, rtol=1e-4)


def test_hugging_face_loads_the_folder_by_itself(tokens):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    hub = AutoModelForCausalLM.from_pretrained(MODEL_DIR).eval()
    with torch.no_grad():
        expected = load_net(MODEL_DIR)(tokens)
        torch.testing.assert_close(hub(tokens).logits, expected, atol=2e-5, rtol=1e-5)
    said = AutoTokenizer.from_pretrained(MODEL_DIR).tokenize(" Mary")
    assert said == ["ĠMary"]


def test_compatibility_mode_keeps_the_probabilities(tokens):
    model = demo.load_model()
    if not hasattr(model, "enable_compatibility_mode"):
        model.process_weights_(fold_ln=True, center_unembed=True)
    else:
        model.enable_compatibility_mode()
    with torch.no_grad():
        ours = load_net(MODEL_DIR)(tokens).log_softmax(-1)
        theirs = model(tokens).log_softmax(-1)
    torch.testing.assert_close(theirs, ours, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("make", MAKERS)
def test_pairs_have_one_length_and_differ_in_one_token(model, make):
    pairs = make()
    rows = pairs.on(model)
    assert len(pairs) == 8
    assert ((rows.clean != rows.corrupted).sum(1) == 1).all()
    assert rows.labels["END"] == rows.clean.shape[1] - 1
    assert make(seed=1).clean != make(seed=0).clean or make is demo.ioi_pairs
    assert make(n=3).clean == pairs.clean[:3]


@pytest.mark.parametrize("make", MAKERS)
def test_pairs_favour_the_right_answer(model, make):
    rows = make().on(model)
    with torch.no_grad():
        clean, corrupted = (model(x)[:, -1] for x in (rows.clean, rows.corrupted))
    gaps = [a.gather(1, rows.answers).diff(dim=1).neg() for a in (clean, corrupted)]
    assert (gaps[0] > gaps[1]).all()
    assert (gaps[0] > 0).all()


def test_ioi_pairs_have_the_form_of_arena():
    pairs = demo.ioi_pairs()
    for number, (clean, answers) in enumerate(
        zip(pairs.clean, pairs.answers, strict=True)
    ):
        assert pairs.corrupted[number] == pairs.clean[number ^ 1]
        assert pairs.answers[number ^ 1] == answers[::-1]
        assert clean.count(answers[1]) == 2
        assert clean.count(answers[0]) == 1
    assert pairs.clean[0].startswith("When Mary and John went to the")
    assert pairs.labels == {"NAME1": 2, "NAME2": 4, "S2": 10, "END": 14}


def test_ioi_pairs_of_one_order_label_the_two_names():
    labels = {"S1": 2, "IO": 4, "S2": 10, "END": 14}
    assert demo.ioi_pairs(order="BABA").labels.items() >= labels.items()
    labels = {"S1": 4, "IO": 2, "S2": 10, "END": 14}
    assert demo.ioi_pairs(order="ABBA").labels.items() >= labels.items()


def test_fact_pairs_begin_with_the_white_house():
    pairs = demo.fact_pairs()
    assert pairs.clean[0] == "The White House is where the"
    assert pairs.corrupted[0] == "The Haunted House is where the"
    assert tuple(pairs.answers[0]) == (" president", " ghosts")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: demo.ioi_pairs(order="ABAB"), "ABAB"),
        (lambda: demo.fact_pairs(13), "12 held-out pairs"),
        (lambda: demo.fact_pairs(carrier=8), "8 carriers"),
        (lambda: demo.year_pairs(0), "no pairs"),
    ],
)
def test_impossible_pairs_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_loading_leaves_the_random_state_alone():
    before = torch.random.get_rng_state()
    demo.load_model()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_importing_does_not_import_transformer_lens():
    code = "import sys, patchwidget.demo; assert 'transformer_lens' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_is_small_and_complete_on_disk():
    names = {path.name for path in MODEL_DIR.iterdir()}
    assert names == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    assert sum(path.stat().st_size for path in MODEL_DIR.iterdir()) <= 8_000_000


def test_cases_and_pairs_are_the_same_prompts():
    from patchwidget.demo.cases import year_cases

    assert [Case(*case).clean.prompt for case in year_cases(8, 0)] == list(
        demo.year_pairs().clean
    )
