"""Wrong solutions, one typical mistake in each, as students write them."""

from __future__ import annotations

import time
from functools import partial

import styles
import torch
from styles import by_head, by_pos

EVERY = slice(None)


def put(index_of):
    """A hook that patches at an index made from pos and head."""

    def patch(value, hook, clean_cache, pos=None, head=None):
        index = index_of(pos, head)
        value[index] = clean_cache[hook.name][index]
        return value

    return patch


def lost(value, hook, pos, clean_cache):
    patched = value.clone()
    patched[:, pos] = clean_cache[hook.name][:, pos]
    return value


def into_the_cache(value, hook, pos, clean_cache):
    clean_cache[hook.name][:, :pos] = value[:, :pos]
    clean_cache[hook.name][:, pos + 1 :] = value[:, pos + 1 :]
    return clean_cache[hook.name]


def changed_by(how):
    def patch(value, hook, pos, clean_cache):
        value[:, pos] = how(value[:, pos], clean_cache[hook.name][:, pos])
        return value

    return patch


def hooks_stay(model, corrupted_tokens, clean_cache, patching_metric):
    results = torch.zeros(model.cfg.n_layers, corrupted_tokens.shape[1])
    for layer in range(model.cfg.n_layers):
        for pos in range(corrupted_tokens.shape[1]):
            hook = partial(styles.at_pos, pos=pos, clean_cache=clean_cache)
            model.add_hook(f"blocks.{layer}.hook_resid_pre", hook)
            results[layer, pos] = patching_metric(model(corrupted_tokens))
    return results


def hooks_grow(model, corrupted_tokens, clean_cache, patching_metric):
    results, hooks = torch.zeros(model.cfg.n_layers, corrupted_tokens.shape[1]), []
    for layer in range(model.cfg.n_layers):
        for pos in range(corrupted_tokens.shape[1]):
            hook = partial(styles.at_pos, pos=pos, clean_cache=clean_cache)
            hooks.append((f"blocks.{layer}.hook_resid_pre", hook))
            logits = model.run_with_hooks(corrupted_tokens, fwd_hooks=hooks)
            results[layer, pos] = patching_metric(logits)
    return results


def own_cache(model, corrupted_tokens, clean_cache, patching_metric):
    _, cache = model.run_with_cache(corrupted_tokens)
    return by_pos()(model, corrupted_tokens, cache, patching_metric)


def empty_range(model, corrupted_tokens, clean_cache, patching_metric):
    return torch.zeros(model.cfg.n_layers, corrupted_tokens.shape[1])


def one_layer_late(model, corrupted_tokens, clean_cache, patching_metric):
    rows = by_pos()(model, corrupted_tokens, clean_cache, patching_metric)
    return rows.roll(-1, 0)


def weights_too(model, corrupted_tokens, clean_cache, patching_metric):
    with torch.no_grad():
        next(model.parameters()).mul_(1.5)
    return by_pos()(model, corrupted_tokens, clean_cache, patching_metric)


def tokens_too(model, corrupted_tokens, clean_cache, patching_metric):
    result = by_pos()(model, corrupted_tokens, clean_cache, patching_metric)
    corrupted_tokens[:] = 1
    return result


def clean_base(model, corrupted_tokens, clean_cache, patching_metric):
    from patchwidget.exercises.cases import all_cases

    clean = next(case for case in all_cases() if case.model is model).clean
    return by_head()(model, clean, clean_cache, patching_metric)


def endless(model, corrupted_tokens, clean_cache, patching_metric):
    while True:
        try:
            time.sleep(0.01)
        except Exception:  # noqa: BLE001, S112 - as students write it
            continue


def stub(model, corrupted_tokens, clean_cache, patching_metric):
    raise NotImplementedError


def no_such_hook(model, corrupted_tokens, clean_cache, patching_metric):
    return patching_metric(clean_cache["blocks.0.hook_resid_prae"])


def index_too_large(model, corrupted_tokens, clean_cache, patching_metric):
    results = torch.zeros(corrupted_tokens.shape[1], model.cfg.n_layers)
    value = patching_metric(model(corrupted_tokens)) + 0 * len(clean_cache)
    results[0, corrupted_tokens.shape[1]] = value
    return results


def strange(model, corrupted_tokens, clean_cache, patching_metric):
    raise OSError("<b>disk</b>")


def filled(cells_of):
    """A sweep that runs as it should and fills in some cells only."""

    def sweep(model, corrupted_tokens, clean_cache, patching_metric):
        full = by_pos()(model, corrupted_tokens, clean_cache, patching_metric)
        results = torch.zeros_like(full)
        results[cells_of] = full[cells_of]
        return results

    return sweep


def hooked_at(hooks_of, patch=styles.at_pos):
    """A sweep by position, whose hooks are made from layer, position and its own hook."""

    def sweep(model, corrupted_tokens, clean_cache, patching_metric):
        results = torch.zeros(model.cfg.n_layers, corrupted_tokens.shape[1])
        for layer in range(model.cfg.n_layers):
            for pos in range(corrupted_tokens.shape[1]):
                hook = partial(patch, pos=pos, clean_cache=clean_cache)
                logits = model.run_with_hooks(
                    corrupted_tokens, fwd_hooks=hooks_of(layer, pos, hook)
                )
                results[layer, pos] = patching_metric(logits)
        return results

    return sweep


def bound_late(model, corrupted_tokens, clean_cache, patching_metric):
    results, hooks = torch.zeros(model.cfg.n_layers, corrupted_tokens.shape[1]), []
    for layer in range(model.cfg.n_layers):
        for pos in range(corrupted_tokens.shape[1]):

            def hook_of(value, hook):
                return styles.at_pos(value, hook, pos, clean_cache)  # noqa: B023 - the mistake

            hooks.append((layer, pos, hook_of))
    for layer, column, hook in hooks:
        logits = model.run_with_hooks(
            corrupted_tokens, fwd_hooks=[(styles.name("resid_pre", layer), hook)]
        )
        results[layer, column] = patching_metric(logits)
    return results


def heads_bound_late(model, corrupted_tokens, clean_cache, patching_metric):
    results = torch.zeros(model.cfg.n_layers, model.cfg.n_heads)
    for layer in range(model.cfg.n_layers):
        hooks = [
            lambda value, hook: styles.at_head(value, hook, head, clean_cache)  # noqa: B023 - the mistake
            for head in range(model.cfg.n_heads)
        ]
        for head, hook in enumerate(hooks):
            logits = model.run_with_hooks(
                corrupted_tokens, fwd_hooks=[(styles.name("z", layer), hook)]
            )
            results[layer, head] = patching_metric(logits)
    return results


def hooks_grow_in_a_layer(model, corrupted_tokens, clean_cache, patching_metric):
    results = torch.zeros(model.cfg.n_layers, model.cfg.n_heads)
    for layer in range(model.cfg.n_layers):
        hooks = []
        for head in range(model.cfg.n_heads):
            hook = partial(styles.at_head, head=head, clean_cache=clean_cache)
            hooks.append((styles.name("z", layer), hook))
            logits = model.run_with_hooks(corrupted_tokens, fwd_hooks=hooks)
            results[layer, head] = patching_metric(logits)
    return results


# What a notebook has, whose variables a function may read by mistake.
TOKENS_OF_THE_NOTEBOOK = torch.full((4, 15), 40)

ANSWERS_OF_THE_NOTEBOOK = torch.full((4, 2), 40)


def notebooks_tokens(model, corrupted_tokens, clean_cache, patching_metric):
    return by_pos()(model, TOKENS_OF_THE_NOTEBOOK, clean_cache, patching_metric)


def notebooks_metric(model, corrupted_tokens, clean_cache, patching_metric):
    return by_pos()(model, corrupted_tokens, clean_cache, lambda x: x[0, -1, :2].sum())


def notebooks_answers(logits, answer_tokens, corrupted_logit_diff, clean_logit_diff):
    ends = corrupted_logit_diff, clean_logit_diff
    return styles.metric()(logits, ANSWERS_OF_THE_NOTEBOOK, *ends)


def exact_ones(model, clean_tokens, corrupted_tokens, patching_metric):
    _, cache = model.run_with_cache(clean_tokens)
    return by_head()(model, corrupted_tokens, cache, patching_metric)


def of_the_cache(model, tokens, metric, site):
    """As `.grad` of what a cache holds: nothing, since it is a copy and no leaf."""
    return dict.fromkeys(range(model.cfg.n_layers))


def grads_stay(model, tokens, metric, site):
    found = {}

    def keep(gradient, hook, layer):
        found[layer] = gradient.detach().clone()

    for layer in range(model.cfg.n_layers):
        model.add_hook(styles.name(site, layer), partial(keep, layer=layer), "bwd")
    with torch.enable_grad():
        metric(model(tokens)).backward()
    return found


def no_graph(model, tokens, metric, site):
    with torch.no_grad():
        metric(model(tokens)).backward()


def at_all_answers(logits, answer_tokens, corrupted_logit_diff, clean_logit_diff):
    both = logits[:, -1, answer_tokens]
    above = (both[..., 0] - both[..., 1]).mean() - corrupted_logit_diff
    return above / (clean_logit_diff - corrupted_logit_diff)


def hooked(index_of):
    def patch(value, hook, clean_cache, pos=None, head_index=None):
        index = index_of(pos, head_index)
        value[index] = clean_cache[hook.name][index]
        return value

    return patch


def reverse(value, hook, pos, clean_cache):
    patched = clean_cache[hook.name].clone()
    patched[:, pos] = value[:, pos]
    return patched


def write_to_cache(value, hook, pos, clean_cache):
    cached = clean_cache[hook.name]
    here = cached[:, pos].clone()
    cached.copy_(value)
    cached[:, pos] = here
    return cached


def of_resid_pre(layer_of):
    def patch(value, hook, pos, clean_cache):
        value[:, pos] = clean_cache["resid_pre", layer_of(hook)][:, pos]
        return value

    return patch


def of_the_hook_itself(value, hook, pos, clean_cache):
    value[:, pos] = clean_cache[hook][:, pos]
    return value


VALUE_OF_THE_NOTEBOOK = torch.zeros(4, 128)


def notebooks_value(value, hook, pos, clean_cache):
    value[:, pos] = VALUE_OF_THE_NOTEBOOK
    return value
