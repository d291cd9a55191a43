"""Three circuits small enough to read, in which single patches or estimates mislead.

A prompt is two bits, ``1,1:``, and the model says what a gate makes of them. Two heads
of layer 0 each bring one bit to the end, where both are added up; the MLP of layer 1
answers to the sum. What it does is a row of ``GATES``, everything else is the same.

Nothing is trained. Unlike in a trained model, every effect can be worked out by hand.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from patchwidget.demo.loader import load_model
from patchwidget.demo.net import Net, Shape, save_net
from patchwidget.demo.tokenizer import load_tokenizer
from patchwidget.pairs import Pairs


class Neuron(NamedTuple):
    """Writes ``weight * max(0, sum of the bits - threshold)`` to the answer."""

    weight: float
    threshold: float


class Gate(NamedTuple):
    """The answer: ``direct * sum of the bits``, and what the neurons write."""

    direct: float
    neurons: tuple[Neuron, ...]


# The bends lie away from the sums 0 and 2, at which the model is differentiated. A tenth
# of the slope goes on everywhere, since a gradient of 0 would be refused, and rightly.
GATES = {
    # One bit is enough: after it, the answer hardly grows.
    "or": Gate(0.0, (Neuron(1.0, -0.5), Neuron(-0.9, 1.0))),
    # One bit does hardly anything: the answer grows after it.
    "and": Gate(0.0, (Neuron(0.1, -0.5), Neuron(0.9, 1.0))),
    # The MLP takes back most of what the heads write themselves, up to half a bit; what
    # comes after that stays.
    "cancelling": Gate(1.0, (Neuron(-0.9, -0.5), Neuron(0.9, 0.5))),
}

# Places in the residual stream; nothing is ever written to the first.
_GROUND, _BIT, _FIRST, _SECOND, _SUM, _ANSWER = range(6)
_HEADS = 2
# Attention to the one right place: all others get a weight of exp(-40) each.
_SCORE = 40.0
# A norm divides by sqrt(variance + eps): beside this, the variance is nothing.
_EPS = 1e8


def gate_model(gate: str, device: str | torch.device = "cpu") -> Any:
    """A transformer of two layers and two heads, set by hand.

    Head 0.0 brings the first bit to the end, head 0.1 the second.

    Args:
        gate: ``"or"``, ``"and"``, or ``"cancelling"``, in which what the heads write is
            taken back by a later layer, as long as it is little.
        device: where to put it.

    Returns:
        A ``TransformerBridge`` (TransformerLens 3 and 4) or a ``HookedTransformer`` (2).

    Raises:
        ValueError: if there is no such gate.

    Example:
        >>> from patchwidget import PatchStudy
        >>> PatchStudy(gate_model("or"), gate_pairs()).joint(["L0H0.z", "L0H1.z"])
        L0H0.z + L0H1.z: effect +1.0000, sum of singles +1.8182
    """
    if gate not in GATES:
        raise ValueError(f"there is no gate {gate!r}: choose one of {', '.join(GATES)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        more = {"activation_function": "relu", "layer_norm_epsilon": _EPS}
        save_net(_net(GATES[gate]), folder, **more)
        model = load_model(device, folder=folder)
    model.cfg.model_name = f"patchwidget-{gate}"
    return model


def gate_pairs(
    clean: Sequence[int] = (1, 1), corrupted: Sequence[int] = (0, 0)
) -> Pairs:
    """Two bits against two others.

    Args:
        clean: the bits of the clean prompt.
        corrupted: the bits of the corrupted one.

    Returns:
        One pair with answers ``1`` and ``0``, and labels ``FIRST SECOND END``.
    """
    prompts = ["{},{}:".format(*bits) for bits in (clean, corrupted)]
    labels = {"FIRST": 1, "SECOND": 3, "END": 4}
    return Pairs(*prompts, answers=[("1", "0")], labels=labels)


@torch.no_grad()
def _net(gate: Gate) -> Net:
    tokenizer = load_tokenizer()
    one = tokenizer.convert_tokens_to_ids("1")
    with torch.random.fork_rng(devices=[]):  # it draws initial weights
        net = Net(Shape(len(tokenizer), context=8, layers=2, heads=_HEADS, width=6))
    for parameter in net.parameters():
        parameter.zero_()
    body = net.transformer
    for norm in (*(n for b in body.blocks for n in (b.ln_1, b.ln_2)), body.ln_f):
        norm.weight.fill_(_EPS**0.5)
    body.wte.weight[one, _BIT] = 1.0
    body.wpe.weight[1, _FIRST] = body.wpe.weight[3, _SECOND] = 1.0
    _attend(net, (_FIRST, _SECOND))
    _answer(net, gate)
    _read(net.lm_head.weight[one], _ANSWER)
    _read(net.lm_head.weight[one], _SUM, gate.direct)
    return net


def _attend(net: Net, places: Sequence[int]) -> None:
    """Each head of layer 0 brings the bit at its place, wherever it is asked."""
    attention = net.transformer.blocks[0].attn
    width = net.shape.width
    d_head = width // _HEADS
    for head, place in enumerate(places):
        q, k, v = (part * width + head * d_head for part in range(3))
        attention.c_attn.bias[q] = _SCORE * d_head**0.5
        _read(attention.c_attn.weight[:, k], place)
        _read(attention.c_attn.weight[:, v], _BIT)
        attention.c_proj.weight[head * d_head, _SUM] = 1.0


def _answer(net: Net, gate: Gate) -> None:
    """The MLP of layer 1; without any bit it writes nothing."""
    mlp = net.transformer.blocks[1].mlp
    for number, neuron in enumerate(gate.neurons):
        _read(mlp.c_fc.weight[:, number], _SUM)
        mlp.c_fc.bias[number] = -neuron.threshold
        mlp.c_proj.weight[number, _ANSWER] = neuron.weight
        mlp.c_proj.bias[_ANSWER] -= neuron.weight * max(0.0, -neuron.threshold)


def _read(weights: torch.Tensor, place: int, gain: float = 1.0) -> None:
    """Read one place of the stream; the norm's mean goes, being in the ground too."""
    weights[place] += gain
    weights[_GROUND] -= gain
