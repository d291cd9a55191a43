"""Small random models of the families in use, noise on every parameter, no download."""

from __future__ import annotations

import tempfile
from dataclasses import fields

import pytest
import torch
from toy_models import TL_MAJOR, VOCABULARY, noisy, tokenizer

# Four query heads share two KV heads; windows are shorter than the prompts.
_SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
_GROUPED = {**_SHAPE, "num_key_value_heads": 2}
_GEMMA = {**_GROUPED, "head_dim": 8, "query_pre_attn_scalar": 5, "sliding_window": 3}
_BRIDGES = {
    "opt": (
        "OPTConfig",
        {**_SHAPE, "ffn_dim": 40, "word_embed_proj_dim": 24},
    ),
    "gpt-neox": ("GPTNeoXConfig", {**_SHAPE, "rotary_pct": 0.34}),
    "gpt-neox, one after the other": (
        "GPTNeoXConfig",
        {**_SHAPE, "rotary_pct": 0.34, "use_parallel_residual": False},
    ),
    "llama": ("LlamaConfig", _GROUPED),
    "mistral": ("MistralConfig", {**_GROUPED, "sliding_window": 3}),
    "qwen2": ("Qwen2Config", _GROUPED),
    "qwen3": ("Qwen3Config", {**_GROUPED, "head_dim": 8}),
    "gemma2": ("Gemma2Config", _GEMMA),
    "gemma3": (
        "Gemma3TextConfig",
        {**_GEMMA, "layer_types": ["sliding_attention", "full_attention"]},
    ),
}
_HOOKED_SHAPE = {
    "n_layers": 2,
    "n_heads": 4,
    "d_head": 6,
    "d_model": 25,
    "d_mlp": 40,
    "n_ctx": 32,
    "d_vocab": VOCABULARY,
    "act_fn": "gelu_new",
    "normalization_type": "LN",
    "device": "cpu",
}
_ROTARY = {"positional_embedding_type": "rotary", "rotary_dim": 4}
_LLAMA = {
    **_ROTARY,
    "rotary_dim": 6,
    "rotary_adjacent_pairs": False,
    "normalization_type": "RMS",
    "gated_mlp": True,
    "act_fn": "silu",
    "final_rms": True,
    "n_key_value_heads": 2,
}
_HOOKED = {
    "attention only": {"attn_only": True, "act_fn": None, "d_mlp": None},
    "grouped heads": {"n_key_value_heads": 2},
    "no norm": {"normalization_type": None},
    "opt": {"act_fn": "relu"},
    "gpt-neox": {**_ROTARY, "parallel_attn_mlp": True},
    "gpt-j": {**_ROTARY, "rotary_adjacent_pairs": True, "parallel_attn_mlp": True},
    "llama": _LLAMA,
    "llama, folded": {**_LLAMA, "normalization_type": "RMSPre"},
    "mistral": {
        **_LLAMA,
        "use_local_attn": True,
        "window_size": 3,
        "attn_types": ["local", "global"],
    },
    "gemma2": {
        **_LLAMA,
        "act_fn": "gelu_pytorch_tanh",
        "use_normalization_before_and_after": True,
        "attn_scores_soft_cap": 5.0,
        "output_logits_soft_cap": 3.0,
        "attn_scale": 2.2,
    },
    "qwen3": {**_LLAMA, "use_qk_norm": True},
    "gemma3": {
        **_LLAMA,
        "act_fn": "gelu_pytorch_tanh",
        "use_normalization_before_and_after": True,
        "use_qk_norm": True,
        "use_local_attn": True,
        "window_size": 3,
        "attn_types": ["local", "global"],
        "rotary_base_local": 50,
        "attn_scale": 2.2,
    },
}
# `boot_native` makes TransformerLens' own model of a configuration, on a Bridge.
_NATIVE = {
    f"native, {name}": {**_HOOKED_SHAPE, "rotary_adjacent_pairs": True, **settings}
    for name, settings in {
        "gpt-2": {},
        "attention only": {"attn_only": True},
        "no norm": {"normalization_type": None},
        "attention only, no norm": {"attn_only": True, "normalization_type": None},
        "folded": {"normalization_type": "LNPre"},
        "grouped heads": {"n_key_value_heads": 2, "attn_scale": 2.2},
        "rotary": {**_ROTARY, "act_fn": "relu"},
        "llama": {**_LLAMA, "output_logits_soft_cap": 3.0, "attn_scores_soft_cap": 5.0},
        "llama, folded": {**_LLAMA, "normalization_type": "RMSPre"},
    }.items()
}
# What folding norms and centring weights makes of each.
_COMPATIBLE = tuple(f"{name}, compatible" for name in _BRIDGES)


def _hooked_families():
    """Those that the installed TransformerLens can be configured for: 2.11 has no QK-norm."""
    from transformer_lens import HookedTransformerConfig

    known = {field.name for field in fields(HookedTransformerConfig)}
    return tuple(name for name, settings in _HOOKED.items() if known >= set(settings))


FAMILIES = (*_BRIDGES, *_COMPATIBLE, *_NATIVE) if TL_MAJOR >= 4 else _hooked_families()
# Estimates read the decoder's weights: how a Bridge keeps them is not asked every time.
FAMILY_CASES = [
    pytest.param(
        name, marks=pytest.mark.long if name in (*_COMPATIBLE, *_NATIVE) else ()
    )
    for name in FAMILIES
]
# Which run is the base is a matter of the study, not of a family: the long run has both.
DIRECTIONS = ["denoising", pytest.param("noising", marks=pytest.mark.long)]


def family_model(name, seed=0):
    """A model of one of `FAMILIES`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if TL_MAJOR < 4:
            return _hooked(_HOOKED[name])
        if name in _NATIVE:
            return _native(_NATIVE[name])
        model = _bridge(*_BRIDGES[name.removesuffix(", compatible")])
        if name in _COMPATIBLE:
            model.enable_compatibility_mode(disable_warnings=True)
        return model


def _bridge(config_name, settings):
    import transformers
    from transformer_lens.model_bridge import TransformerBridge

    config = getattr(transformers, config_name)(**settings)
    model = noisy(transformers.AutoModelForCausalLM.from_config(config))
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tokenizer().save_pretrained(folder)
        return TransformerBridge.boot_transformers(folder, device="cpu")


def _native(settings):
    from transformer_lens.model_bridge import TransformerBridge

    model = TransformerBridge.boot_native(dict(settings))
    noisy(model.original_model)
    return (
        model.eval()
    )  # it comes in train mode, in which their own patching refuses it


def _hooked(settings):
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    config = HookedTransformerConfig(**{**_HOOKED_SHAPE, **settings})
    return noisy(HookedTransformer(config, tokenizer=tokenizer()))
