"""Right solutions are right, in every style, on both classes of model."""

from __future__ import annotations

from functools import partial

import pytest
import styles
import torch

from patchwidget import PatchStudy, exercises, patching
from patchwidget.exercises.cases import all_cases, short_case
from patchwidget.exercises.estimates import attribution, fixed
from patchwidget.exercises.mistakes import same
from patchwidget.exercises.oracle import exact, swept
from patchwidget.exercises.sweeps import Tried

SWEEPS = {
    "get_act_patch_resid_pre": styles.by_pos(),
    "get_act_patch_block_every": styles.stacked(*styles.block_sweeps()),
    "get_act_patch_attn_head_out_all_pos": styles.by_head(),
    "get_act_patch_attn_head_all_pos_every": styles.stacked(*styles.head_sweeps()),
    "get_act_patch_attn_head_out_by_pos": styles.by_head_pos(),
}


def check(name, function, **options):
    verdict = getattr(exercises, f"check_{name}")(function, **options)
    assert verdict.exercise == name
    return verdict


@pytest.mark.parametrize("name", SWEEPS)
def test_loops_with_hooks_are_right(name):
    verdict = check(name, SWEEPS[name])
    assert verdict, verdict
    assert verdict.mistake is None


@pytest.mark.parametrize("name", [*SWEEPS, "get_act_patch_attn_head_by_pos_every"])
def test_our_own_functions_are_right(name):
    verdict = check(name, getattr(patching, name))
    assert verdict, verdict


@pytest.mark.parametrize("name", ["get_act_patch_resid_pre"])
def test_transformer_lens_own_functions_are_right(name):
    theirs = pytest.importorskip("transformer_lens").patching
    verdict = check(name, getattr(theirs, name))
    assert verdict, verdict


def with_add_hook(model, corrupted_tokens, clean_cache, patching_metric):
    rows = []
    for layer in range(model.cfg.n_layers):
        row = []
        for pos in range(corrupted_tokens.size(1)):
            model.reset_hooks()
            patch = partial(styles.at_pos, pos=pos, clean_cache=clean_cache)
            model.add_hook(f"blocks.{layer}.hook_resid_pre", patch)
            row.append(patching_metric(model(corrupted_tokens)))
        rows.append(torch.stack(row))
    model.reset_hooks()
    return torch.stack(rows)


def on_a_clone(value, hook, pos, clean_cache):
    patched = value.clone()
    patched[:, pos, :] = clean_cache["resid_pre", int(hook_layer(clean_cache, hook))][
        :, pos, :
    ]
    return patched


def hook_layer(cache, hook):
    return hook.layer()


def with_a_mask(value, hook, pos, clean_cache):
    here = (torch.arange(value.shape[1]) == pos)[None, :, None]
    return torch.where(here, clean_cache[hook.name], value)


def without_returning(value, hook, pos, clean_cache):
    value[:, pos] = clean_cache[hook.name][
        :, pos
    ]  # in place, so nothing need come back


@pytest.mark.parametrize(
    "sweep",
    [
        with_add_hook,
        torch.no_grad()(with_add_hook),
        styles.by_pos(patch=on_a_clone),
        styles.by_pos(patch=with_a_mask),
    ],
    ids=["add_hook", "no_grad", "clone", "mask"],
)
@pytest.mark.parametrize("grad", [True, False])
def test_styles_of_a_sweep(sweep, grad):
    with torch.set_grad_enabled(grad):
        verdict = check("get_act_patch_resid_pre", sweep)
        assert torch.is_grad_enabled() is grad
    assert verdict, verdict


@pytest.mark.parametrize("grads", [styles.gradients, styles.probed])
@pytest.mark.parametrize("grad", [True, False])
def test_styles_of_estimates(grads, grad):
    with torch.set_grad_enabled(grad):
        verdict = check("attribution_patch", styles.attribution(grads=grads))
        assert verdict, verdict
        verdict = check("query_fix", styles.fix(grads=grads))
        assert verdict, verdict


def test_noising():
    verdict = check("noising", styles.noise())
    assert verdict, verdict


def log_probabilities(logits):
    return logits[:, -1].log_softmax(-1)  # a difference of these is one of logits


@pytest.mark.parametrize(
    "function",
    [
        styles.metric(),
        styles.metric(values=log_probabilities),
        styles.metric(
            scale=lambda d, corrupted, clean: (corrupted - d) / (corrupted - clean)
        ),
        lambda x, y, low, high: 1 * styles.metric()(x, y, low, high),
        lambda logits, clean_logit_diff, corrupted_logit_diff, answer_tokens: (
            styles.metric()(
                logits, answer_tokens, corrupted_logit_diff, clean_logit_diff
            )
        ),
    ],
)
def test_styles_of_the_metric(function):
    verdict = check("ioi_metric", function)
    assert verdict, verdict


def test_both_signs_of_noising():
    chapter = styles.metric(last=lambda value: value - 1)
    ours = styles.metric(last=lambda value: 1 - value)
    assert check("ioi_metric_noising", chapter)
    verdict = check("ioi_metric_noising", ours)
    assert not verdict
    assert verdict.mistake == "opposite_sign"


HOOK_FUNCTIONS = {
    "patch_residual_component": (
        styles.at_pos,
        with_a_mask,
        lambda corrupted_residual_component, hook, pos, clean_cache: styles.at_pos(
            corrupted_residual_component.clone(), hook, pos, clean_cache
        ),
    ),
    "patch_head_vector": (styles.at_head,),
    "patch_attn_patterns": (styles.at_pattern,),
    "patch_head_vector_by_pos": (
        lambda value, hook, head_index, pos, clean_cache: styles.at_head_pos(
            value, hook, pos, head_index, clean_cache
        ),
        lambda value, clean_cache, pos, hook, head_index: styles.at_head_pos(
            value, hook, pos, head_index, clean_cache
        ),
    ),
}


@pytest.mark.parametrize(
    ("name", "function"),
    [(name, f) for name, functions in HOOK_FUNCTIONS.items() for f in functions],
)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_hook_functions(name, function, mode):
    verdict = check(name, function)
    assert verdict, verdict
    with mode():
        verdict = check(name, function)
    assert verdict, verdict


# ---- what the checkers hold solutions against --------------------------------------------


def test_references_are_those_of_the_engines():
    for case in all_cases():
        study = PatchStudy(case.model, case.clean, case.corrupted, metric=case.metric)
        tried = Tried(case, {})
        for reference, kind, method in (
            (attribution, "z", "atp"),
            (fixed, "q", "atp_qk"),
        ):
            grid = study.estimate(kind, method)
            assert same(reference(tried), grid.raw[0]), (case.name, method)
            assert float(grid.raw.abs().max()) > 1e-2


@pytest.mark.parametrize("site", ["z", "q", "pattern"])
def test_both_oracles_agree(site):
    for case in (*all_cases()[:2], short_case()):
        for axes in (("layer", "head"), ("layer", "pos", "head")):
            if case.large and len(axes) == 3:
                continue
            assert same(swept(case, site, axes), exact(case, site, axes)), case.name
