"""A random model of GPT-2 small's shape, and pairs that differ at two positions."""

from __future__ import annotations

import tempfile

import pytest
import torch
from toy_models import noisy, tokenizer

DIFFER = (3, 10)
MARKS = [
    pytest.mark.bench,
    pytest.mark.filterwarnings("ignore:.*:UserWarning"),  # theirs, about tqdm widgets
]


def gpt2_small(n_layers=12, n_ctx=1024):
    """12 layers, 12 heads, width 768, 50,257 tokens; random weights on every parameter."""
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng(), tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        config = GPT2Config(n_layer=n_layers, n_positions=n_ctx)
        model = noisy(GPT2LMHeadModel(config), scale=0.02)
        model.save_pretrained(folder)
        tokenizer().save_pretrained(folder)
        return TransformerBridge.boot_transformers(folder, device="cpu")


def pairs(n_pairs=8, n_pos=15):
    """Clean and corrupted tokens `[B, T]` and answers `[B, 2]`."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randint(1, 50257, shape, generator=generator)

    clean = draw(n_pairs, n_pos)
    corrupted = clean.clone()
    for position in DIFFER:
        corrupted[:, position] = draw(n_pairs)
    return clean, corrupted, draw(n_pairs, 2)


def logit_diff(answers):
    """The metric as their functions take it: logits `[B, T, V]` -> the mean over pairs."""

    def metric(logits):
        final = logits[:, -1]
        return (
            final.gather(1, answers[:, :1]) - final.gather(1, answers[:, 1:])
        ).mean()

    return metric
