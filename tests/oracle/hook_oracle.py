"""The oracle: one forward of the whole model a patch, with TransformerLens' own hooks.

Written from TransformerLens' interface alone; it shares no code with the package.
"""

from __future__ import annotations

import torch

# In the order of computation: of two patches in one layer the later one has the last word.
HOOKS = {
    "resid_pre": "hook_resid_pre",
    "q": "attn.hook_q",
    "k": "attn.hook_k",
    "v": "attn.hook_v",
    "pattern": "attn.hook_pattern",
    "z": "attn.hook_z",
    "attn_out": "hook_attn_out",
    "resid_mid": "hook_resid_mid",
    "neuron": "mlp.hook_post",
    "mlp_out": "hook_mlp_out",
    "resid_post": "hook_resid_post",
}


def logit_diff(logits, answers):
    final = logits[:, -1]
    if final.dtype.itemsize < 4:  # a difference of half numbers would be rounded again
        final = final.float()
    return (final.gather(1, answers[:, :1]) - final.gather(1, answers[:, 1:]))[:, 0]


class Oracle:
    def __init__(self, model, base, source, answers):
        self.model, self.tokens, self.answers = model, base, answers
        self.bridge = type(model).__name__ == "TransformerBridge"
        with torch.no_grad():
            self.base = {k: v.clone() for k, v in self._cache(base).items()}
            self.source = {k: v.clone() for k, v in self._cache(source).items()}
            self.base_metric = logit_diff(model(base), answers)

    def _cache(self, tokens):
        return self.model.run_with_cache(tokens)[1]

    def raw(self, node):
        """Change of the logit difference `[B]` when one node is patched."""
        name = f"blocks.{node.layer}.{HOOKS[node.kind]}"
        base, source = self.base[name], self.source[name]
        target = name
        if node.kind == "resid_mid" and self.bridge:
            # A Bridge's hook there reaches only the second norm: edit what attention
            # writes by the same difference instead.
            target = f"blocks.{node.layer}.hook_attn_out"

        def edit(value, hook):
            value = value.clone()
            index = self._index(node)
            if target != name:
                value[index] += source[index] - base[index]
            else:
                value[index] = source[index]
            return value

        with torch.no_grad():
            logits = self.model.run_with_hooks(
                self.tokens, fwd_hooks=[(target, edit)], return_type="logits"
            )
        return logit_diff(logits, self.answers) - self.base_metric

    def together(self, nodes):
        """Change of the logit difference `[B]` when nodes are patched in one run.

        Each is replaced by the source's value in the run that the others changed.
        """
        hooks, streams = [], {}

        def remember(layer):
            def hook(value, hook):
                streams[layer] = value
                return value

            return hook

        def put(node, name):
            def hook(value, hook):
                value, index = value.clone(), self._index(node)
                value[index] = self.source[name][index]
                return value

            return hook

        def put_middle(node, name):
            def hook(value, hook):
                value, index = value.clone(), self._index(node)
                value[index] = self.source[name][index] - streams[node.layer][index]
                return value

            return hook

        for kind, hook in HOOKS.items():
            for node in [node for node in nodes if node.kind == kind]:
                name = f"blocks.{node.layer}.{hook}"
                if kind == "resid_mid" and self.bridge:
                    start = f"blocks.{node.layer}."
                    hooks.append((start + "hook_resid_pre", remember(node.layer)))
                    hooks.append((start + "hook_attn_out", put_middle(node, name)))
                else:
                    hooks.append((name, put(node, name)))
        with torch.no_grad():
            logits = self.model.run_with_hooks(
                self.tokens, fwd_hooks=hooks, return_type="logits"
            )
        return logit_diff(logits, self.answers) - self.base_metric

    @staticmethod
    def _index(node):
        every = slice(None)
        pos = every if node.pos is None else node.pos
        if node.kind == "pattern":
            return every, node.head, pos, every if node.src is None else node.src
        if node.kind == "neuron":
            return every, pos, node.neuron
        if node.kind in ("z", "q", "k", "v"):
            return every, pos, node.head
        return every, pos


class PatternThroughZ:
    """A pattern patched where its own hook is dead: as the z that it gives."""

    def __init__(self, oracle):
        self.oracle = oracle

    def raw(self, node):
        oracle = self.oracle
        start = f"blocks.{node.layer}.attn."
        pattern = oracle.base[start + "hook_pattern"].clone()
        index = oracle._index(node)
        pattern[index] = oracle.source[start + "hook_pattern"][index]
        v = oracle.base[start + "hook_v"]

        def edit(z, hook):
            z = z.clone()
            z[:, :, node.head] = pattern[:, node.head] @ v[:, :, node.head]
            return z

        with torch.no_grad():
            logits = oracle.model.run_with_hooks(
                oracle.tokens,
                fwd_hooks=[(start + "hook_z", edit)],
                return_type="logits",
            )
        return logit_diff(logits, oracle.answers) - oracle.base_metric
