"""What estimates are held against: float64, one node at a time, one run a cut.

Slow and plain. Patterns are recomputed by `blocks.attend`, which the tests of exact
effects hold against the models themselves.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace

import torch
from precise import change_at

from patchwidget import exact
from patchwidget.decoder import Decoder, blocks
from patchwidget.runs import capture
from patchwidget.slices import whole


def defined(method, kind):
    """RelP has no rule for what lies before a softmax."""
    return method != "relp" or kind not in ("q", "k", "pattern")


def cast(part, dtype):
    """The same decoder, or any part of it, in another precision."""
    if isinstance(part, torch.Tensor):
        return part.to(dtype)
    if isinstance(part, tuple):
        return tuple(cast(each, dtype) for each in part)
    if is_dataclass(part):
        # Not what it keeps for itself: joined copies of its weights.
        names = [each.name for each in fields(part) if not each.name.startswith("_")]
        return type(part)(**{name: cast(getattr(part, name), dtype) for name in names})
    return part


def double(part):
    return cast(part, torch.float64)


def on_engine(runs, engine):
    """The same study on another engine."""
    clean, corrupted = (
        capture(engine, tokens) for tokens in (runs.pairs.clean, runs.pairs.corrupted)
    )
    return replace(runs, engine=engine, clean=clean, corrupted=corrupted)


def in_double(runs):
    return on_engine(runs, double(runs.engine))


def sharpened(runs, factor):
    """Scores `factor` times as large, before a soft cap."""
    weights = runs.engine.weights
    layers = tuple(
        replace(layer, attn=replace(layer.attn, scale=factor * layer.attn.scale))
        for layer in weights.layers
    )
    return on_engine(runs, Decoder(replace(weights, layers=layers)))


def linear_at_the_end(runs):
    """Of the last layer only attention is left, and what follows z is linear."""
    weights = runs.engine.weights
    *layers, last = weights.layers
    last = replace(
        last, mlp=None, ln2=None, ln1_post=None, ln2_post=None, parallel=False
    )
    weights = replace(weights, layers=(*layers, last), ln_final=None, soft_cap=None)
    return on_engine(runs, Decoder(weights))


def linear_throughout(runs):
    """No norms, no caps, MLPs that bend nothing, attention that looks at all keys alike."""

    def straight(layer):
        none = {
            name: torch.zeros_like(getattr(layer.attn, name)) for name in ("W_Q", "b_Q")
        }
        attn = replace(layer.attn, q_norm=None, **none)
        same = {"act": torch.clone, "act_in_place": torch.clone, "W_gate": None}
        mlp = layer.mlp and replace(layer.mlp, **same)
        norms = dict.fromkeys(("ln1", "ln2", "ln1_post", "ln2_post"))
        return replace(layer, attn=attn, mlp=mlp, **norms)

    weights = runs.engine.weights
    layers = tuple(map(straight, weights.layers))
    weights = replace(weights, layers=layers, ln_final=None, soft_cap=None)
    return on_engine(runs, Decoder(weights))


def repeated(runs):
    """All layers once more after the last: of four, two have layers on both sides."""
    weights = runs.engine.weights
    layers = (*weights.layers, *weights.layers)
    return on_engine(runs, Decoder(replace(weights, layers=layers)))


def cancelling(runs, node, step=1e-5):
    """Answers that look where a small step of the node comes to nothing, in float64.

    Its direct effect on them and the one through later layers are the same but for the sign.
    """
    weights = runs.engine.weights
    width = len(weights.W_U)
    stream = {"W_U": torch.eye(width).double(), "b_U": torch.zeros(width).double()}
    bare = Decoder(replace(weights, soft_cap=None, **stream))
    place, change = (node.kind, node.layer), change_at(runs, node)

    def end(length):
        def moved(site, layer, value):
            return value + length * change if (site, layer) == place else value

        return bare.run(runs.base_tokens, moved).logits()[:, -1]

    W_U = weights.W_U.clone()
    ways = torch.nn.functional.normalize(end(step) - end(-step), eps=0.0)
    for answers, way in zip(runs.pairs.answers, ways, strict=True):
        W_U[:, answers] -= torch.outer(way, way @ W_U[:, answers])
    return on_engine(runs, Decoder(replace(weights, W_U=W_U)))


def exact_effects(runs, nodes):
    """Raw change of the metric `[B]` when each node is really patched."""
    steps = exact.readings(exact.Swap.of(runs), [(node,) for node in nodes])
    return {
        reading.patch[0]: reading.values[runs.metric.name] - runs.scale.base
        for found in steps
        for reading in found
    }


def through_softmax(runs, node, gradient):
    """Change of one node's patterns, recomputed, times a gradient `[B, H, T, T]`: `[B]`.

    In float64, from the values that the runs hold.
    """
    attn = double(runs.engine.weights.layers[node.layer].attn)
    q, k = (runs.base.values[site, node.layer].double() for site in ("q", "k"))
    patched = {"q": q.clone(), "k": k.clone()}
    source = runs.source.values[node.kind, node.layer].double()
    patched[node.kind][node.index] = source[node.index]
    after = blocks.attend(attn, patched["q"], patched["k"])
    return ((after - blocks.attend(attn, q, k)) * gradient.double()).sum((1, 2, 3))


def naive_key_fix(runs, layer):
    """The closed form by log p - log1p(-p), 0 where p is 1: `[B, pos, key head]`.

    In the precision of the runs, as one would write it down: what the fix must not be.
    """
    attn = runs.engine.weights.layers[layer].attn
    q, k = (runs.base.values[site, layer] for site in ("q", "k"))
    before = blocks.score(attn, q, k)
    after = blocks.score(attn, q, runs.source.values["k", layer])
    p, g = before.softmax(-1), whole(runs.differentiating())["pattern", layer]
    rise = (after - before).masked_fill(before.isinf(), 0.0)
    odds = p.log() - torch.log1p(-p)
    change = (odds + rise).sigmoid() - p
    rest = ((p * g).sum(-1, keepdim=True) - p * g) / (1 - p)
    effect = (change * (g - rest)).masked_fill((p == 1) | before.isinf(), 0.0)
    effect = effect.sum(-2).reshape(len(p), -1, attn.group, p.shape[-1]).sum(2)
    return effect.transpose(1, 2)


def gradients_with_cut(runs, layer, sites):
    """Gradients of a run in which what the sites of a layer write is detached."""
    probes = {}

    def tap(site, number, value):
        if not value.requires_grad:
            value = value.detach().requires_grad_(True)
        probes[site, number] = value
        return value.detach() if number == layer and site in sites else value

    with torch.enable_grad():
        readout = runs.engine.run(runs.base_tokens, tap)
        total = runs.metric.values(readout).sum()
        found = torch.autograd.grad(total, list(probes.values()), allow_unused=True)
    return {
        place: torch.zeros_like(probe) if gradient is None else gradient
        for (place, probe), gradient in zip(probes.items(), found, strict=True)
    }


def writes(runs, cuts):
    """The cuts of GradDrop: a layer, and the sites whose writes are detached."""
    layers = range(runs.extent.n_layers)
    has_mlp = ("mlp_out", 0) in runs.base.values
    if cuts == "layer":
        return [(layer, ("attn_out", "mlp_out")) for layer in layers]
    halves = ("attn_out", "mlp_out") if has_mlp else ("attn_out",)
    return [(layer, (half,)) for layer in layers for half in halves]


SUMMED = {
    ("z", None): (1, 3),
    ("v", None): (1, 3),
    ("q", None): (1, 3),
    ("k", None): (1, 3),
    ("z", "pos"): 3,
    ("v", "pos"): 3,
    ("q", "pos"): 3,
    ("k", "pos"): 3,
    ("attn_out", None): 2,
    ("mlp_out", None): 2,
    ("neuron", None): None,
    ("pattern", None): (2, 3),
    ("pattern", "dest"): 3,
    ("pattern", "dest_src"): None,
}


def separate_cuts(runs, kind, by, cuts="layer"):
    """GradDrop as it is defined: a forward and a backward for every cut."""
    summed, planned = SUMMED[kind, by], writes(runs, cuts)
    total = 0
    for layer, sites in planned:
        gradients = gradients_with_cut(runs, layer, sites)
        rows = []
        for number in range(runs.extent.n_layers):
            place = kind, number
            step = runs.source.values[place] - runs.base.values[place]
            gradient = gradients[place]
            if number == layer and kind in sites:
                # The node itself is what is detached: it has no path left.
                gradient = torch.zeros_like(gradient)
            product = step * gradient
            rows.append(product if summed is None else product.sum(summed))
        total = total + torch.stack(rows, 1).abs()
    return total / (len(planned) - 1)
