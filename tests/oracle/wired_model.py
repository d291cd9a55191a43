"""Circuits of paths by hooks on the model itself: one run a reader, and one a head.

Written from what a circuit of paths is, read by read; it shares no code with the package.
"""

from __future__ import annotations

import torch
from hook_oracle import logit_diff


class WiredModel:
    """The metric of a model in which only some paths carry what the clean run has.

    Args:
        model: the model.
        clean: tokens `[B, T]`.
        others: tokens whose values are the ablated ones.
        answers: `[B, 2]`.
        parallel: whether MLPs read the same stream as the heads of their layer.
        ablation: `"prompts"` for the values of `others`, one for each clean prompt;
            `"mean"` for their mean; `"zero"` for a run in which nobody writes.
    """

    def __init__(self, model, clean, others, answers, *, parallel, ablation="prompts"):
        self.model, self.tokens, self.answers = model, clean, answers
        self.parallel, self.n_layers = parallel, model.cfg.n_layers
        with torch.no_grad():
            self.clean = self._cache(clean)
            self.ablated = self._silent() if ablation == "zero" else self._cache(others)
            if ablation == "mean":
                self.ablated = {
                    name: value.mean(0, keepdim=True).expand(
                        len(clean), *value.shape[1:]
                    )
                    for name, value in self.ablated.items()
                    if value.is_floating_point()
                }

    def _silent(self):
        """A run in which the embedding, heads and MLPs write nothing."""
        sites = ["blocks.0.hook_resid_pre"]
        for layer in range(self.n_layers):
            sites += [
                f"blocks.{layer}.{one}" for one in ("attn.hook_z", "hook_mlp_out")
            ]
        hooks = [(site, lambda value, hook: torch.zeros_like(value)) for site in sites]
        with self.model.hooks(fwd_hooks=hooks):
            return self._cache(self.tokens)

    def _cache(self, tokens):
        cache = self.model.run_with_cache(tokens)[1]
        return {name: value.clone() for name, value in cache.items()}

    def metric(self, paths):
        """The logit difference `[B]` of a circuit: `(writer, reader)`s."""
        self.paths, self.changes, self.values = paths, {}, {}
        with torch.no_grad():
            last = f"blocks.{self.n_layers - 1}.hook_resid_post"
            end = self.ablated[last] + self._brought("final")
            logits = self._run([(last, lambda value, hook: end)])
        return logit_diff(logits, self.answers)

    def _run(self, hooks):
        return self.model.run_with_hooks(
            self.tokens, fwd_hooks=hooks, return_type="logits"
        )

    def _brought(self, reader):
        """What the circuit's paths bring to a reader, by its name."""
        total = torch.zeros_like(self.clean["blocks.0.hook_resid_pre"])
        for writer, end in self.paths:
            if str(end) == reader:
                change = self._change(writer)
                if writer.pos is None:
                    total = total + change
                else:
                    total[:, writer.pos] += change[:, writer.pos]
        return total

    def _change(self, writer):
        """What a writer writes differently in the circuit's run."""
        key = writer.part, writer.layer, writer.head
        if key not in self.changes:
            self.changes[key] = self._changed(*key)
        return self.changes[key]

    def _changed(self, part, layer, head):
        if part == "embed":
            name = "blocks.0.hook_resid_pre"
            return self.clean[name] - self.ablated[name]
        if part == "mlp":
            out = self._value("mlp", layer, None)
            return out - self.ablated[f"blocks.{layer}.hook_mlp_out"]
        z = self._z(layer, head) - self.ablated[f"blocks.{layer}.attn.hook_z"]
        W_O = self.model.blocks[layer].attn.W_O[head].detach()
        return z[:, :, head] @ W_O

    def _value(self, part, layer, head):
        """What a reader makes of its input: all heads' values, one of which is its."""
        name = f"L{layer}.mlp" if head is None else f"L{layer}H{head}.{part}"
        if name not in self.values:
            seen = []
            site = "hook_mlp_out" if part == "mlp" else f"attn.hook_{part}"

            def record(value, hook):
                seen.append(value.clone())
                return value

            hooks = self._reading(layer, name, part)
            self._run([*hooks, (f"blocks.{layer}.{site}", record)])
            self.values[name] = seen[0]
        return self.values[name]

    def _reading(self, layer, name, part):
        """Hooks that give a layer the input of one reader."""
        before = f"blocks.{layer}.hook_resid_pre"
        start = self.ablated[before] + self._brought(name)
        if part != "mlp" or self.parallel:
            return [(before, lambda value, hook: start)]
        # What the heads write is what makes the stream that the MLP reads.
        written = f"blocks.{layer}.hook_attn_out"
        middle = start + self.ablated[written]
        base = self.clean[before]
        return [
            (before, lambda value, hook: base.clone()),
            (written, lambda value, hook: middle - base),
        ]

    def _z(self, layer, head):
        """All heads' z, of which one head's is made of its own q, k and v."""
        kv_heads = self.clean[f"blocks.{layer}.attn.hook_k"].shape[2]
        group = head * kv_heads // self.model.cfg.n_heads
        hooks, seen = [], []
        for part, own in (("q", head), ("k", group), ("v", group)):
            value = self._value(part, layer, own)
            hooks.append((f"blocks.{layer}.attn.hook_{part}", _given(value)))

        def record(value, hook):
            seen.append(value.clone())
            return value

        self._run([*hooks, (f"blocks.{layer}.attn.hook_z", record)])
        return seen[0]


def _given(value):
    return lambda old, hook: value
