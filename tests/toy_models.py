"""Small random models of either TransformerLens generation, noise on every parameter.

Freshly made models have zero biases and unit norms, which hides mistakes: here nothing
is zero, and rows are never as many as columns unless a test asks for it.
"""

from __future__ import annotations

import atexit
import functools
import importlib.metadata
import shutil
import tempfile

import torch

TL_VERSION = tuple(
    map(int, importlib.metadata.version("transformer_lens").split(".")[:2])
)
TL_MAJOR = TL_VERSION[0]
# The ways in which a user may have loaded a GPT-2-like model.
STYLES = ("raw", "compatible") if TL_MAJOR >= 4 else ("LN", "LNPre", "folded")
VOCABULARY = 300


@functools.cache
def tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["\u0120Mary", "\u0120John", "\u0120gave"]
    vocabulary = {
        token: i for i, token in enumerate(["<|endoftext|>", *letters, *words])
    }
    pieces = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    pieces.add_tokens([" Mary", " John", " gave"])
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    end = "<|endoftext|>"
    made = PreTrainedTokenizerFast(
        tokenizer_object=pieces, bos_token=end, eos_token=end, pad_token=end
    )
    # TransformerLens 2 loads it once more from where it came.
    folder = tempfile.mkdtemp(prefix="patchwidget-tokenizer-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made.save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def random_model(
    style: str, *, n_layers=2, n_heads=3, d_head=4, d_mlp=20, n_ctx=32, seed=0
):
    """A GPT-2-shaped model, loaded in one of `STYLES`."""
    shape = {
        "n_layers": n_layers,
        "n_heads": n_heads,
        "d_head": d_head,
        "d_mlp": d_mlp,
        "n_ctx": n_ctx,
    }
    make = _bridge if TL_MAJOR >= 4 else _hooked
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make(style, **shape)


def noisy(model, scale=0.2):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return model


def _bridge(style, *, n_layers, n_heads, d_head, d_mlp, n_ctx):
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=n_ctx,
        n_embd=n_heads * d_head,
        n_layer=n_layers,
        n_head=n_heads,
        n_inner=d_mlp,
        bos_token_id=0,
        eos_token_id=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        noisy(GPT2LMHeadModel(config)).save_pretrained(folder)
        tokenizer().save_pretrained(folder)
        model = TransformerBridge.boot_transformers(folder, device="cpu")
    if style == "compatible":
        model.enable_compatibility_mode(disable_warnings=True)
    return model


def _hooked(style, *, n_layers, n_heads, d_head, d_mlp, n_ctx):
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    config = HookedTransformerConfig(
        n_layers=n_layers,
        n_heads=n_heads,
        d_head=d_head,
        # TransformerLens 2 allows heads that do not add up to the stream's width.
        d_model=n_heads * d_head + 1,
        d_mlp=d_mlp,
        n_ctx=n_ctx,
        d_vocab=VOCABULARY,
        act_fn="gelu_new",
        normalization_type="LNPre" if style == "LNPre" else "LN",
        device="cpu",
    )
    model = noisy(HookedTransformer(config, tokenizer=tokenizer()))
    if style == "folded":
        state = {name: value.clone() for name, value in model.state_dict().items()}
        model.load_and_process_state_dict(state)
    return model


def random_tokens(n_pairs=3, n_pos=7, *, differ=(2, 5), seed=0):
    """Clean and corrupted tokens `[B, T]` and answers `[B, 2]`."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randint(1, VOCABULARY, shape, generator=generator)

    clean = draw(n_pairs, n_pos)
    corrupted = clean.clone()
    for position in differ:
        if position < n_pos:
            corrupted[:, position] = draw(n_pairs)
    return clean, corrupted, draw(n_pairs, 2)
