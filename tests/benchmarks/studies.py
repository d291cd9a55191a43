"""What estimates are tried on: a trained model, random ones, and two made to mislead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product

import torch
from toy_models import VOCABULARY, noisy, random_tokens

from patchwidget import PatchStudy, demo

TASKS = {
    "indirect objects": "ioi_pairs",
    "facts": "fact_pairs",
    "years": "year_pairs",
    "induction": "induction_pairs",
}
_SHAPE = {
    "n_layers": 4,
    "n_heads": 4,
    "d_head": 8,
    "d_model": 32,
    "d_mlp": 64,
    "n_ctx": 32,
    "d_vocab": VOCABULARY,
    "act_fn": "gelu_new",
    "normalization_type": "LN",
    "rotary_adjacent_pairs": True,
    "device": "cpu",
}
_LLAMA = {
    "positional_embedding_type": "rotary",
    "rotary_dim": 8,
    "rotary_adjacent_pairs": False,
    "normalization_type": "RMS",
    "final_rms": True,
    "gated_mlp": True,
    "act_fn": "silu",
    "n_key_value_heads": 2,
}
# Attention has made up its mind. With 15 and more the rounding of scores flips choices, and
# the study says that the decoder does not stand for the model.
SHARPER = 10.0
# The cancelling model: layer 0's neurons, what is not part of the construction, and how many
# neurons of layer 1 share the undoing, so that none of them is larger than what it undoes.
LOUDER = 4.0
QUIETER = 0.05
UNDOERS = 4


@dataclass(frozen=True)
class Case:
    """A model and its pairs.

    Attributes:
        name: short, for tables and pictures.
        about: one line on what it is.
        make: the study.
    """

    name: str
    about: str
    make: Callable[[], PatchStudy]


def cases() -> list[Case]:
    """All of them, trained, random, constructed."""
    return [
        *(
            Case(
                name,
                f"The bundled model (5 layers of 8 heads), `demo.{pairs}()`, 8 pairs.",
                partial(bundled, pairs),
            )
            for name, pairs in TASKS.items()
        ),
        Case(
            "random, GPT-2-like",
            "4 layers of 4 heads, width 32, LayerNorm; noise on every parameter.",
            lambda: _toy(random_native()),
        ),
        Case(
            "random, Llama-like",
            "4 layers of 4 query heads on 2 KV heads, width 32, rotary, RMS norms, gated "
            "MLPs; noise on every parameter.",
            lambda: _toy(random_native(**_LLAMA)),
        ),
        Case(
            "a saturated layer",
            f"The random GPT-2-like model with queries {SHARPER:g} times as large in layer "
            "1: in most of its rows one key has all the attention.",
            lambda: _toy(saturated((1,))),
        ),
        Case(
            "saturated throughout",
            f"The same with queries {SHARPER:g} times as large in all four layers: whatever "
            "is patched, later choices flip.",
            lambda: _toy(saturated(range(_SHAPE["n_layers"]))),
        ),
        Case(
            "cancelling writes",
            "No norms, ReLU, 3 layers of 4 heads, width 32, one pair that differs in its last "
            "token: layer 1's MLP takes back what layer 0's neurons write above a ceiling.",
            lambda: _toy(canceller(), 1, (9,)),
        ),
    ]


def random_native(**settings):
    """TransformerLens' own random model on a Bridge, noise on every parameter."""
    from transformer_lens.model_bridge import TransformerBridge

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = TransformerBridge.boot_native({**_SHAPE, **settings})
        noisy(model.original_model)
    return model.eval()


def parameters(model) -> Mapping[str, torch.Tensor]:
    """A native model's parameters without the names of the Bridge's wrappers."""
    return {
        name.replace("._original_component", ""): parameter
        for name, parameter in model.original_model.named_parameters()
    }


def saturated(layers):
    """A random model of which some layers' softmax is nearly a choice."""
    model = random_native()
    own = parameters(model)
    with torch.no_grad():
        for layer, part in product(layers, ("weight", "bias")):
            own[f"layers.{layer}.attn.q.{part}"].mul_(SHARPER)
    return model


def canceller():
    """Layer 1's MLP takes back what layer 0's neurons write above a ceiling.

    A neuron of layer 0 writes along one direction of the stream; in layer 1 `UNDOERS`
    neurons for each direction write -relu(stream - 1) together. Where the base run is above
    the ceiling, a small change is undone in full; what the patch turns off is not.
    """
    width = _SHAPE["d_model"]
    model = random_native(
        n_layers=3, d_mlp=UNDOERS * width, act_fn="relu", normalization_type=None
    )
    each, own = torch.eye(width), parameters(model)
    with torch.no_grad():
        for quiet in ("0.mlp.fc_out", "1.attn.o", "2.attn.o", "2.mlp.fc_out"):
            own[f"layers.{quiet}.weight"].mul_(QUIETER)
        own["layers.0.mlp.fc_out.weight"][:, :width] = LOUDER * each
        own["layers.1.mlp.fc_in.weight"].copy_(each.repeat(UNDOERS, 1))
        own["layers.1.mlp.fc_in.bias"].fill_(-1.0)
        own["layers.1.mlp.fc_out.weight"].copy_(-each.repeat(1, UNDOERS) / UNDOERS)
    return model


def bundled(pairs="ioi_pairs"):
    """The bundled model on 8 pairs of one of its tasks."""
    return PatchStudy(demo.load_model(), getattr(demo, pairs)())


def _toy(model, n_pairs=4, differ=(3, 6)):
    return PatchStudy(model, *random_tokens(n_pairs, 10, differ=differ))
