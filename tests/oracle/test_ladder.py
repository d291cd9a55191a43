"""Integrated gradients, RelP and the second-order term, against finite differences.

On every family, in float64, where a central difference is good to about eight digits;
every run of the oracle starts from the tokens.
"""

from __future__ import annotations

import dataclasses

import pytest
import torch
from estimate_oracles import in_double
from family_models import DIRECTIONS, FAMILY_CASES, family_model
from precise import CUTS, at, change_at, metric_with, some
from torch.nn.functional import relu
from torch.testing import assert_close
from toy_models import STYLES, TL_MAJOR, random_model, random_tokens

from patchwidget import PatchStudy
from patchwidget.decoder import Rules
from patchwidget.estimate import atp, hvp, ig, relp
from patchwidget.estimate.relp import KINDS as RELP_KINDS

EMBEDDING = "resid_pre", 0
# So small that no neuron of a family with ReLU crosses its kink on the way.
H = 1e-6


@pytest.fixture(scope="module", params=[*STYLES, *FAMILY_CASES])
def model(request):
    own = random_model if request.param in STYLES else family_model
    return own(request.param)


@pytest.fixture(scope="module", params=DIRECTIONS)
def runs(request, model):
    clean, corrupted, answers = random_tokens(2, 5, differ=(1, 3))
    study = PatchStudy(model, clean, corrupted, answers, direction=request.param)
    assert study.notice is None
    return in_double(study._runs)


def nodes_of(runs, kind, by, at_most=2):
    """Some nodes that are not before the first change, where all is 0."""
    if (kind, 0) not in runs.base.values:
        pytest.skip(f"this family has no {kind}")
    nodes = [n for n in runs.extent.nodes(kind, by) if n.pos in (None, 1, 2, 3, 4)]
    return some(nodes, at_most)


def slope(function):
    return (function(H) - function(-H)) / (2 * H)


def close(found, expected):
    assert_close(found, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("kind", "by"), CUTS)
def test_ig_is_the_mean_slope_in_the_middles_of_equal_steps(runs, kind, by):
    nodes, steps = nodes_of(runs, kind, by), 3
    grid = ig(runs, kind, by, steps=steps)
    for node in nodes:
        place, change = (kind, node.layer), change_at(runs, node)
        base, source = runs.base.values[place], runs.source.values[place]

        def moved(length, k, node=(place, change, base, source)):
            place, change, base, source = node
            point = base + (k + 0.5) / steps * (source - base)
            return metric_with(runs, {place: lambda _: point + length * change})

        slopes = [slope(lambda h, k=k, f=moved: f(h, k)) for k in range(steps)]
        close(at(grid, node), torch.stack(slopes).mean(0))


@pytest.mark.parametrize(("kind", "by"), CUTS)
def test_ig_along_the_input_moves_the_embedding(runs, kind, by):
    nodes, steps = nodes_of(runs, kind, by), 3
    grid = ig(runs, kind, by, path="input", steps=steps)
    base, source = runs.base.values[EMBEDDING], runs.source.values[EMBEDDING]
    for node in nodes:
        place, change = (kind, node.layer), change_at(runs, node)

        def moved(length, k, place=place, change=change):
            point = base + (k + 0.5) / steps * (source - base)
            edits = {
                EMBEDDING: lambda _: point,
                place: lambda value: value + length * change,
            }
            if place == EMBEDDING:
                edits = {place: lambda _: point + length * change}
            return metric_with(runs, edits)

        slopes = [slope(lambda h, k=k, f=moved: f(h, k)) for k in range(steps)]
        close(at(grid, node), torch.stack(slopes).mean(0))


@pytest.mark.parametrize("kind", ["resid_pre", "resid_mid", "resid_post"])
def test_ig_over_a_cut_adds_up_to_the_whole_change(runs, kind):
    """A layer's stream cuts the model, so that its parts make the whole effect."""
    nodes_of(runs, kind, None)
    whole = runs.scale.source - runs.scale.base
    size = whole.abs().max()

    def error(steps):
        found = ig(runs, kind, steps=steps).raw.sum(-1)
        return (found - whole[:, None]).abs().max() / size

    if any(layer.mlp.act is relu for layer in runs.engine.weights.layers if layer.mlp):
        # Every kink on the path costs a part of one step.
        assert error(4096) < 1e-3
    else:
        # Four times the steps leave a sixteenth of the error, once they are short enough
        # for a path that turns sharply.
        steps = 64 if error(64) < 3e-4 else 128
        assert 12 < error(steps) / error(4 * steps) < 20
        assert error(4 * steps) < 1e-4


class Recording(Rules):
    """Remembers every scale and every act(x) / x of a run."""

    def __init__(self):
        self.constants = []

    def constant(self, value):
        self.constants.append(value)
        return value

    def normalise(self, norm, stream):
        if norm is None:
            return stream
        mean = stream.mean(-1, keepdim=True) if norm.centred else 0.0
        square = ((stream - mean) ** 2).mean(-1, keepdim=True)
        normal = (stream - mean) / self.constant((square + norm.eps).sqrt())
        normal = normal if norm.weight is None else normal * (norm.weight + norm.offset)
        return normal if norm.bias is None else normal + norm.bias

    def attend(self, attn, q, k, first):
        q, k = self.normalise(attn.q_norm, q), self.normalise(attn.k_norm, k)
        plain = dataclasses.replace(attn, q_norm=None, k_norm=None)
        return super().attend(plain, q, k, first)

    def neurons(self, mlp, stream):
        if mlp.W_gate is None:
            pre = stream @ mlp.W_in + mlp.b_in
            return pre * self.constant(mlp.act(pre) / pre)
        pre = stream @ mlp.W_gate
        product = pre * self.constant(mlp.act(pre) / pre) * (stream @ mlp.W_in)
        return (product + self.constant(product)) / 2 + mlp.b_in


class Replaying(Recording):
    """Uses what was remembered, in the same order: a model with fewer non-linear steps."""

    def __init__(self, constants):
        self.left = iter(constants)

    def constant(self, _value):
        return next(self.left)


@pytest.mark.parametrize(("kind", "by"), [cut for cut in CUTS if cut[0] in RELP_KINDS])
def test_relp_is_the_slope_of_a_model_with_held_constants(runs, kind, by):
    nodes = nodes_of(runs, kind, by)
    grid = relp(runs, kind, by)
    recording = Recording()
    base = metric_with(runs, {}, dataclasses.replace(runs.engine, rules=recording))
    assert_close(base, runs.scale.base, rtol=1e-12, atol=1e-12)
    for node in nodes:
        change = change_at(runs, node)

        def moved(length, place=(kind, node.layer), change=change):
            held = dataclasses.replace(
                runs.engine, rules=Replaying(recording.constants)
            )
            edit = {place: lambda value: value + length * change}
            return metric_with(runs, edit, held)

        close(at(grid, node), slope(moved))


def test_the_rules_are_asked_at_every_norm_attention_and_mlp(runs):
    """The model with held constants would not notice a place that never asks."""
    weights = runs.engine.weights
    parts = [weights.ln_final]
    for layer in weights.layers:
        parts += [layer.ln1, layer.attn, layer.attn.q_norm, layer.attn.k_norm]
        parts += [layer.ln1_post, layer.ln2, layer.mlp, layer.ln2_post]
    asked = []

    class Asked(Recording):
        def normalise(self, norm, stream):
            asked.append(norm)
            return super().normalise(norm, stream)

        def attend(self, attn, q, k, first):
            asked.append(attn)
            return super().attend(attn, q, k, first)

        def neurons(self, mlp, stream):
            asked.append(mlp)
            return super().neurons(mlp, stream)

    metric_with(runs, {}, dataclasses.replace(runs.engine, rules=Asked()))
    expected = {id(part) for part in parts if part is not None}
    assert {id(part) for part in asked if part is not None} == expected


@pytest.mark.skipif(TL_MAJOR >= 4, reason="a Bridge's norms do not show their scales")
def test_relp_is_the_gradient_of_the_users_model_with_rules_in_its_hooks(runs, model):
    """The rules as hooks of TransformerLens: no code of the package in the backward."""
    found = _hooked_relevance(model, runs)
    for kind, name in (("resid_pre", "hook_resid_pre"), ("attn_out", "hook_attn_out")):
        grid = relp(runs, kind)
        for layer in range(2):
            gradient = found[f"blocks.{layer}.{name}"]
            place = kind, layer
            change = runs.source.values[place] - runs.base.values[place]
            expected = (gradient * change).sum(-1)
            assert_close(grid.raw[:, layer], expected, rtol=1e-3, atol=1e-4)
            assert float(expected.abs().max()) > 1e-3


def _hooked_relevance(model, runs):
    seen, probes = {}, {}

    def keep(value, hook):
        seen[hook.name] = value

    def after(value, hook):
        block = hook.name.removesuffix("hook_post")
        pre = seen[block + "hook_pre"]
        mlp = model.blocks[int(hook.name.split(".")[1])].mlp
        active = pre * (mlp.act_fn(pre) / pre).detach()
        if model.cfg.gated_mlp:
            active = active * seen[block + "hook_pre_linear"]
            active = active / 2 + active.detach() / 2 + mlp.b_in
        return active

    def probe(value, hook):
        probes[hook.name] = torch.zeros_like(value, requires_grad=True)
        return value + probes[hook.name]

    hooks = [
        (lambda name: name.endswith("hook_scale"), lambda value, hook: value.detach()),
        (
            lambda name: (
                name.endswith(("hook_pre", "hook_pre_linear")) and "mlp" in name
            ),
            keep,
        ),
        (lambda name: name.endswith("mlp.hook_post"), after),
        (lambda name: name.endswith(("hook_resid_pre", "hook_attn_out")), probe),
    ]
    logits = model.run_with_hooks(runs.base_tokens, fwd_hooks=hooks)[:, -1]
    answers = runs.pairs.answers
    total = (logits.gather(1, answers[:, :1]) - logits.gather(1, answers[:, 1:])).sum()
    gradients = torch.autograd.grad(total, list(probes.values()))
    return {
        name: gradient.double()
        for name, gradient in zip(probes, gradients, strict=True)
    }


@pytest.mark.parametrize(("kind", "by"), CUTS)
def test_hvp_is_half_the_slope_of_the_slope(runs, kind, by):
    nodes = nodes_of(runs, kind, by)
    grid = atp(runs, kind, by)
    found = hvp(runs, grid, nodes)
    for node in nodes:
        change = change_at(runs, node)

        def steepness(length, place=(kind, node.layer), change=change):
            # Pair by pair: that of a sum would not show one pair's in another's place.
            lengths = torch.full((len(change),), length, dtype=torch.float64)
            lengths.requires_grad_(True)
            moved = lengths.reshape(-1, *[1] * (change.dim() - 1)) * change
            total = metric_with(runs, {place: lambda value: value + moved}).sum()
            return torch.autograd.grad(total, lengths)[0]

        close(found[node].second, slope(steepness) / 2)
        close(found[node].first, steepness(0.0))
        assert torch.equal(found[node].first, at(grid, node))


def test_second_orders_are_seen(runs):
    """A term that were 0 everywhere would also pass where nothing curves."""
    for kind in ("resid_pre", "z", "q", "k"):
        nodes = list(runs.extent.nodes(kind))
        found = hvp(runs, atp(runs, kind), nodes).values()
        assert max(float(one.second.abs().max()) for one in found) > 1e-5, kind
