"""Is a model the one that saved results are of? Told by what is alike in every process."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import torch
from torch import Tensor

from patchwidget.runs import computing
from patchwidget.saving.contents import Model

# What tells architectures apart. Names, folders and devices do not: they may change.
_CONFIG = (
    "n_layers",
    "n_heads",
    "n_key_value_heads",
    "d_model",
    "d_head",
    "d_mlp",
    "d_vocab",
    "n_ctx",
    "act_fn",
    "normalization_type",
    "positional_embedding_type",
    "eps",
)
_SAMPLES = 32


def model_name(model: Any) -> str:
    """What a model is called."""
    return str(getattr(model.cfg, "model_name", None) or "model")


def fingerprint(model: Any, unsure: str = "") -> Model:
    """What is remembered of a model; see `contents.Model`."""
    config = {name: str(getattr(model.cfg, name, None)) for name in _CONFIG}
    config["class"] = type(model).__name__
    seen = sha256()
    with computing():
        for name, weight in model.named_parameters():
            seen.update(f"{name} {list(weight.shape)} {weight.dtype};".encode())
            seen.update(_sample(weight).numpy().tobytes())
    return Model(model_name(model), config, seen.hexdigest(), unsure)


def _sample(weight: Tensor) -> Tensor:
    """Some numbers of a weight, the same ones however it lies in memory."""
    if not weight.numel():
        return torch.empty(0)
    step = max(1, weight.numel() // _SAMPLES)
    places = torch.arange(0, weight.numel(), step, device=weight.device)
    cells = torch.unravel_index(places, weight.shape)
    return weight.detach()[cells].reshape(-1).cpu().double()


def difference(saved: Model, model: Any) -> str | None:
    """How a model differs from the one that was saved, in words; None if it does not."""
    if saved.unsure:
        return f"when it was saved, it had changed already: {saved.unsure}"
    found = fingerprint(model)
    for name, value in saved.config.items():
        if found.config.get(name) != value:
            return f"its {name} is {found.config.get(name)}, the saved one's {value}"
    if found.weights != saved.weights:
        return "its weights, or their precision, differ from the saved one's"
    return None
