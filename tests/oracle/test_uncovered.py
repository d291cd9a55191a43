"""Architectures that the decoder does not know: the model's own hooks, visibly."""

from __future__ import annotations

import tempfile

import pytest
import torch
from hook_oracle import Oracle
from torch.testing import assert_close
from toy_models import TL_MAJOR, VOCABULARY, noisy, random_tokens, tokenizer

from patchwidget import Node, PatchStudy

pytestmark = pytest.mark.skipif(TL_MAJOR < 4, reason="boots Hugging Face models")
_COMMON = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 0}
UNCOVERED = {
    "GPTJForCausalLM": (
        "GPTJConfig",
        {"n_embd": 24, "n_layer": 2, "n_head": 4, "rotary_dim": 4, "n_positions": 32},
    ),
    "PhiForCausalLM": (
        "PhiConfig",
        {
            "hidden_size": 24,
            "intermediate_size": 40,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 32,
        },
    ),
}


def boot(architecture):
    import transformers
    from transformer_lens.model_bridge import TransformerBridge

    name, settings = UNCOVERED[architecture]
    config = getattr(transformers, name)(**_COMMON, **settings)
    with torch.random.fork_rng(), tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        model = noisy(transformers.AutoModelForCausalLM.from_config(config))
        model.save_pretrained(folder)
        tokenizer().save_pretrained(folder)
        return TransformerBridge.boot_transformers(folder, device="cpu")


@pytest.mark.parametrize("architecture", UNCOVERED)
def test_it_falls_back_visibly_and_is_right(architecture):
    model = boot(architecture)
    clean, corrupted, answers = random_tokens(2, 6, differ=(1, 3))
    study = PatchStudy(model, clean, corrupted, answers)
    assert study.notice == (
        "Patches run through the model's own hooks, which is slower: architecture "
        f"{architecture} is not covered."
    )
    oracle = Oracle(model, corrupted, clean, answers)
    nodes = [
        Node("resid_pre", 1, pos=3),
        Node("z", 0, head=2),
        Node("v", 1, head=1, pos=3),
        Node("mlp_out", 0, pos=1),
    ]
    effects = study.exact(nodes)
    for node in nodes:
        raw = effects[node].raw
        assert_close(raw, oracle.raw(node), msg=lambda m, n=node: f"{n}: {m}")
        assert float(raw.abs().max()) > 1e-4, node
    assert study.estimate("z").raw.shape == (2, 2, 4)
