"""Right solutions in the styles that students write, and the parts of wrong ones."""

from __future__ import annotations

from functools import partial

import torch

SITES = {
    "resid_pre": "hook_resid_pre",
    "resid_mid": "hook_resid_mid",
    "resid_post": "hook_resid_post",
    "attn_out": "hook_attn_out",
    "mlp_out": "hook_mlp_out",
    "z": "attn.hook_z",
    "q": "attn.hook_q",
    "k": "attn.hook_k",
    "v": "attn.hook_v",
    "pattern": "attn.hook_pattern",
    "result": "attn.hook_result",
}


def name(site, layer):
    return f"blocks.{layer}.{SITES[site]}"


def at_pos(value, hook, pos, clean_cache):
    value[:, pos] = clean_cache[hook.name][:, pos]
    return value


def at_head(value, hook, head, clean_cache):
    value[:, :, head] = clean_cache[hook.name][:, :, head]
    return value


def at_pattern(value, hook, head, clean_cache):
    value[:, head] = clean_cache[hook.name][:, head]
    return value


def at_head_pos(value, hook, pos, head, clean_cache):
    value[:, pos, head] = clean_cache[hook.name][:, pos, head]
    return value


def at_pattern_pos(value, hook, pos, head, clean_cache):
    value[:, head, pos] = clean_cache[hook.name][:, head, pos]
    return value


def by_pos(site="resid_pre", patch=at_pos, **more):
    """A sweep by layer and position."""

    def sweep(model, corrupted_tokens, clean_cache, patching_metric):
        n_layers, n_pos = model.cfg.n_layers, corrupted_tokens.shape[1]
        results = torch.zeros(n_layers, n_pos)
        for layer in range(n_layers):
            for pos in range(n_pos):
                hook = partial(patch, pos=pos, clean_cache=clean_cache, **more)
                logits = model.run_with_hooks(
                    corrupted_tokens, fwd_hooks=[(name(site, layer), hook)]
                )
                results[layer, pos] = patching_metric(logits)
        return results

    return sweep


def by_head(site="z", patch=at_head):
    """A sweep by layer and head."""

    def sweep(model, corrupted_tokens, clean_cache, patching_metric):
        results = torch.zeros(model.cfg.n_layers, model.cfg.n_heads)
        for layer in range(model.cfg.n_layers):
            for head in range(model.cfg.n_heads):
                hook = partial(patch, head=head, clean_cache=clean_cache)
                logits = model.run_with_hooks(
                    corrupted_tokens, fwd_hooks=[(name(site, layer), hook)]
                )
                results[layer, head] = patching_metric(logits)
        return results

    return sweep


def by_head_pos(site="z", patch=at_head_pos):
    """A sweep by layer, position and head."""

    def sweep(model, corrupted_tokens, clean_cache, patching_metric):
        sizes = model.cfg.n_layers, corrupted_tokens.shape[1], model.cfg.n_heads
        results = torch.zeros(sizes)
        for layer, pos, head in torch.cartesian_prod(*map(torch.arange, sizes)):
            hook = partial(patch, pos=int(pos), head=int(head), clean_cache=clean_cache)
            logits = model.run_with_hooks(
                corrupted_tokens, fwd_hooks=[(name(site, int(layer)), hook)]
            )
            results[layer, pos, head] = patching_metric(logits)
        return results

    return sweep


def stacked(*sweeps, dim=0):
    def every(model, corrupted_tokens, clean_cache, patching_metric):
        arguments = model, corrupted_tokens, clean_cache, patching_metric
        return torch.stack([sweep(*arguments) for sweep in sweeps], dim)

    return every


def block_sweeps():
    return [by_pos(site) for site in ("resid_pre", "attn_out", "mlp_out")]


def head_sweeps():
    return [*(by_head(site) for site in "zqkv"), by_head("pattern", at_pattern)]


def head_pos_sweeps():
    sweeps = [by_head_pos(site) for site in "zqkv"]
    return [*sweeps, by_head_pos("pattern", at_pattern_pos)]


def then(function, change):
    """A solution whose result is changed at the end."""

    def changed(*args, **kwargs):
        return change(function(*args, **kwargs))

    return changed


# ---- estimates ---------------------------------------------------------------------------


def gradients(model, tokens, metric, site):
    """With backward hooks, as chapters do it."""
    found = {}

    def keep(gradient, hook, layer):
        found[layer] = gradient.detach().clone()

    model.reset_hooks()
    for layer in range(model.cfg.n_layers):
        model.add_hook(name(site, layer), partial(keep, layer=layer), "bwd")
    with torch.enable_grad():
        metric(model(tokens)).backward()
    model.reset_hooks()
    return found


def probed(model, tokens, metric, site):
    """With zeros that are added and differentiated."""
    probes = []

    def add(value, hook):
        probes.append(torch.zeros_like(value, requires_grad=True))
        return value + probes[-1]

    with torch.enable_grad():
        hooks = [(name(site, layer), add) for layer in range(model.cfg.n_layers)]
        logits = model.run_with_hooks(tokens, fwd_hooks=hooks)
        return dict(enumerate(torch.autograd.grad(metric(logits), probes)))


def attribution(
    site="z",
    *,
    grads=gradients,
    step=lambda clean, corrupted: clean - corrupted,
    on="corrupted",
    total=lambda term: term.sum((0, 1, 3)),
):
    def attribution_patch(model, clean_tokens, corrupted_tokens, patching_metric):
        with torch.no_grad():
            _, clean = model.run_with_cache(clean_tokens)
            _, corrupted = model.run_with_cache(corrupted_tokens)
        tokens = corrupted_tokens if on == "corrupted" else clean_tokens
        gradient = grads(model, tokens, patching_metric, site)
        rows = []
        for layer in range(model.cfg.n_layers):
            here = name(site, layer)
            rows.append(total(gradient[layer] * step(clean[here], corrupted[here])))
        return torch.stack(rows)

    return attribution_patch


def fix(
    *,
    q="clean",
    k="corrupted",
    on="corrupted",
    scale=True,
    mask=True,
    subtract=True,
    sign=1,
    grads=gradients,
    attend=None,
):
    def query_fix(model, clean_tokens, corrupted_tokens, patching_metric):
        with torch.no_grad():
            runs = {
                "clean": model.run_with_cache(clean_tokens)[1],
                "corrupted": model.run_with_cache(corrupted_tokens)[1],
            }
        tokens = corrupted_tokens if on == "corrupted" else clean_tokens
        gradient = grads(model, tokens, patching_metric, "pattern")
        rows = []
        for layer in range(model.cfg.n_layers):
            query, key = runs[q][name("q", layer)], runs[k][name("k", layer)]
            scores = torch.einsum("bihd,bjhd->bhij", query, key)
            if scale:
                scores = scores / query.shape[-1] ** 0.5
            n_pos = scores.shape[-1]
            ahead = torch.arange(n_pos)[None] > torch.arange(n_pos)[:, None]
            if attend:
                change = attend(scores, ahead, query.shape[-1])
            elif mask:
                change = scores.masked_fill(ahead, float("-inf")).softmax(-1)
            else:
                change = scores.softmax(-1)
            if subtract:
                change = change - runs["corrupted"][name("pattern", layer)]
            rows.append(sign * (change * gradient[layer]).sum((0, 2, 3)))
        return torch.stack(rows)

    return query_fix


def noise(base="clean", source="corrupted", patch=at_head, site="z"):
    def noising(model, clean_tokens, corrupted_tokens, patching_metric):
        tokens = {"clean": clean_tokens, "corrupted": corrupted_tokens}
        _, cache = model.run_with_cache(tokens[source])
        return by_head(site, patch)(model, tokens[base], cache, patching_metric)

    return noising


# ---- the metric --------------------------------------------------------------------------


def metric(
    *,
    values=lambda logits: logits[:, -1],
    mean=lambda difference: difference.mean(),
    scale=lambda d, corrupted, clean: (d - corrupted) / (clean - corrupted),
    last=lambda value: value,
    right=0,
):
    def ioi_metric(logits, answer_tokens, corrupted_logit_diff, clean_logit_diff):
        both = values(logits).gather(1, answer_tokens)
        difference = mean(both[:, right] - both[:, 1 - right])
        return last(scale(difference, corrupted_logit_diff, clean_logit_diff))

    return ioi_metric
