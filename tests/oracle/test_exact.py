"""Exact effects equal the hook loop on the model itself, for every kind."""

from __future__ import annotations

import pytest
import torch
from hook_oracle import HOOKS, Oracle, logit_diff
from torch.testing import assert_close
from toy_models import STYLES, TL_MAJOR, random_model, random_tokens

from patchwidget import Node, Pairs, PatchStudy
from patchwidget.nodes import KINDS

CUTS = [(kind, None) for kind in KINDS if kind != "neuron"] + [
    ("z", "pos"),
    ("q", "pos"),
    ("k", "pos"),
    ("v", "pos"),
    ("pattern", "dest"),
    ("pattern", "dest_src"),
    ("neuron", None),
]
# (layers, heads, pairs, positions): never square, and every size once at its least.
SHAPES = [(3, 2, 2, 5), (1, 3, 1, 4), (2, 1, 3, 2), (2, 3, 2, 1)]


@pytest.fixture(scope="module", params=STYLES)
def style(request):
    return request.param


@pytest.fixture(scope="module", params=SHAPES, ids=str)
def case(request, style):
    n_layers, n_heads, n_pairs, n_pos = request.param
    model = random_model(style, n_layers=n_layers, n_heads=n_heads)
    differ = (1, 3) if n_pos > 1 else (0,)
    return model, random_tokens(n_pairs, n_pos, differ=differ)


def spread(nodes, at_most=24):
    """Some of many nodes, from the first to the last."""
    nodes = list(nodes)
    step = max(1, -(-len(nodes) // at_most))
    return [*nodes[:-1:step], nodes[-1]]


@pytest.mark.parametrize("direction", ["denoising", "noising"])
@pytest.mark.parametrize(("kind", "by"), CUTS)
def test_exact_effects_equal_the_hook_loop(case, kind, by, direction):
    model, (clean, corrupted, answers) = case
    study = PatchStudy(model, clean, corrupted, answers, direction=direction)
    base, source = (
        (corrupted, clean) if direction == "denoising" else (clean, corrupted)
    )
    oracle = Oracle(model, base, source, answers)
    nodes = spread(study.extent.nodes(kind, by))
    effects = study.exact(nodes)
    assert study.notice is None, "the decoder did the work"
    for node in nodes:
        assert_close(
            effects[node].raw, oracle.raw(node), msg=lambda m, n=node: f"{n}: {m}"
        )


def test_the_oracle_sees_effects(style):
    model = random_model(style)
    clean, corrupted, answers = random_tokens()
    oracle = Oracle(model, corrupted, clean, answers)
    study = PatchStudy(model, clean, corrupted, answers)
    for kind in KINDS:
        largest = max(
            float(oracle.raw(node).abs().max())
            for node in spread(study.extent.nodes(kind))
        )
        assert largest > 1e-3, kind


THEIRS = {
    "resid_pre": "get_act_patch_resid_pre",
    "attn_out": "get_act_patch_attn_out",
    "mlp_out": "get_act_patch_mlp_out",
    "z": "get_act_patch_attn_head_out_all_pos",
    "q": "get_act_patch_attn_head_q_all_pos",
    "k": "get_act_patch_attn_head_k_all_pos",
    "v": "get_act_patch_attn_head_v_all_pos",
    "pattern": "get_act_patch_attn_head_pattern_all_pos",
}
THEIRS_BY_POS = {
    "z": "get_act_patch_attn_head_out_by_pos",
    "q": "get_act_patch_attn_head_q_by_pos",
    "k": "get_act_patch_attn_head_k_by_pos",
    "v": "get_act_patch_attn_head_v_by_pos",
    "pattern": "get_act_patch_attn_head_pattern_by_pos",
}
if TL_MAJOR < 4:
    # On a Bridge their own resid_mid edits only the input of the second norm.
    THEIRS["resid_mid"] = "get_act_patch_resid_mid"


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # theirs, about tqdm widgets
@pytest.mark.parametrize(
    ("kind", "by", "name"),
    [(kind, None, name) for kind, name in THEIRS.items()]
    + [(kind, "pos", name) for kind, name in THEIRS_BY_POS.items()],
)
def test_grids_equal_transformer_lens(style, kind, by, name):
    from transformer_lens import patching

    model = random_model(style, n_layers=2, n_heads=3)
    clean, corrupted, answers = random_tokens(2, 5, differ=(1, 3))
    study = PatchStudy(model, clean, corrupted, answers)
    ours = study.exact(kind, by=by)
    with torch.no_grad():
        base = logit_diff(model(corrupted), answers).mean()
        cache = model.run_with_cache(clean)[1]
        theirs = getattr(patching, name)(
            model, corrupted, cache, lambda logits: logit_diff(logits, answers).mean()
        )
    assert ours.raw.shape[1:] == theirs.shape
    assert_close(ours.raw.mean(0), theirs - base)


@pytest.mark.parametrize("metric", ["logit_diff", "logprob", "prob", "kl"])
def test_every_metric_is_read_from_the_patched_run(style, metric):
    model = random_model(style)
    clean, corrupted, answers = random_tokens()
    study = PatchStudy(model, clean, corrupted, answers, metric=metric)
    node = study.node("L1H2.z")

    def value(logits):
        log_probs = logits[:, -1].log_softmax(-1)
        if metric == "kl":
            target = model(clean)[:, -1].log_softmax(-1)
            return (target.exp() * (target - log_probs)).sum(-1)
        right = log_probs.gather(1, answers[:, :1])[:, 0]
        return {"logprob": right, "prob": right.exp()}.get(
            metric, logit_diff(logits, answers)
        )

    hook = "blocks.1.attn.hook_z"
    with torch.no_grad():
        source = model.run_with_cache(clean)[1][hook]
        patched = model.run_with_hooks(
            corrupted,
            fwd_hooks=[(hook, lambda z, hook: _with_head(z, source, 2))],
        )
        expected = value(patched) - value(model(corrupted))
    assert_close(study.exact([node])[node].raw, expected)


def _with_head(z, source, head):
    z = z.clone()
    z[:, :, head] = source[:, :, head]
    return z


def everywhere(logits):
    """Reads every position: those before the patch too, which are not run again."""
    weights = torch.arange(1.0, logits.shape[1] + 1)
    return (logits[:, :, 7] * weights).sum(-1)


@pytest.mark.parametrize(("kind", "by"), [("z", "pos"), ("q", None), ("mlp_out", None)])
def test_a_function_may_read_any_position(style, kind, by):
    model = random_model(style)
    clean, corrupted, _ = random_tokens(2, 6, differ=(2, 4))
    study = PatchStudy(model, clean, corrupted, metric=everywhere)
    with torch.no_grad():
        base = everywhere(model(corrupted))
        source = {k: v.clone() for k, v in model.run_with_cache(clean)[1].items()}
    for node in spread(study.extent.nodes(kind, by), at_most=12):
        name = f"blocks.{node.layer}.{HOOKS[kind]}"

        def edit(value, hook, node=node):
            value = value.clone()
            value[node.index] = source[hook.name][node.index]
            return value

        with torch.no_grad():
            patched = model.run_with_hooks(corrupted, fwd_hooks=[(name, edit)])
        assert_close(study.exact([node])[node].raw, everywhere(patched) - base)


def test_what_comes_after_the_answer_has_exactly_no_effect(style):
    model = random_model(style)
    clean, corrupted, answers = random_tokens(2, 7, differ=(1, 3))
    study = PatchStudy(model, Pairs(clean, corrupted, answers=answers, position=4))
    late = [Node("resid_post", 0, pos=5), Node("z", 1, head=2, pos=6)]
    effects = study.exact([*late, Node("resid_post", 0, pos=4)])
    assert all(torch.equal(effects[n].raw, torch.zeros(2)) for n in late)
    assert float(effects["L0.resid_post@4"].raw.abs().max()) > 1e-4
    last = [Node("attn_out", 1, pos=p) for p in range(4)]
    assert all(
        torch.equal(effect.raw, torch.zeros(2)) for effect in study.exact(last).values()
    ), "in the last layer only the position that is read matters"
