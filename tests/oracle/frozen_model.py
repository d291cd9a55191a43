"""Path patching through TransformerLens' own hooks: it shares no code with the package."""

from __future__ import annotations

import torch
from hook_oracle import logit_diff

HALVES = ("hook_attn_out", "hook_mlp_out")


class FrozenModel:
    """Path patching by hooks on the model itself, in two runs.

    In the first, the writer has the source's value and all other writes are frozen to the
    base run's: readers are recorded there. In the second, they are put into the base run.
    """

    def __init__(self, model, base, source, answers):
        self.model, self.tokens, self.answers = model, base, answers
        self.n_layers = model.cfg.n_layers
        with torch.no_grad():
            self.base = self._cache(base)
            self.source = self._cache(source)
            self.base_metric = logit_diff(model(base), answers)

    def _cache(self, tokens):
        cache = self.model.run_with_cache(tokens)[1]
        return {name: value.clone() for name, value in cache.items()}

    def raw(self, writer, readers):
        """Change of the logit difference `[B]`."""
        with torch.no_grad():
            logits, seen = self._frozen_run(writer, readers)
            if readers[0].part != "final":
                logits = self._run([self._put(name, seen, readers) for name in seen])
        return logit_diff(logits, self.answers) - self.base_metric

    def _run(self, hooks):
        return self.model.run_with_hooks(
            self.tokens, fwd_hooks=hooks, return_type="logits"
        )

    def _frozen_run(self, writer, readers):
        """Logits of a run in which only the writer writes anew; what readers are in it."""
        names, seen = {self._hook(reader) for reader in readers}, {}
        hooks = [self._record(name, seen) for name in names if name]
        hooks.append(self._write(writer))
        own = self._written_at(writer)
        for layer in range(self.n_layers):
            for half in HALVES:
                name = f"blocks.{layer}.{half}"
                if name in self.base and name != own:
                    hooks.append(self._freeze(name))
        return self._run(hooks), seen

    @staticmethod
    def _hook(reader):
        if reader.part == "final":
            return None
        place = "hook_mlp_out" if reader.part == "mlp" else f"attn.hook_{reader.part}"
        return f"blocks.{reader.layer}.{place}"

    @staticmethod
    def _written_at(writer):
        half = {"head": "hook_attn_out", "mlp": "hook_mlp_out"}.get(writer.part)
        return half and f"blocks.{writer.layer}.{half}"

    def _write(self, writer):
        name = {
            "embed": "blocks.0.hook_resid_pre",
            "head": f"blocks.{writer.layer}.attn.hook_z",
            "mlp": f"blocks.{writer.layer}.hook_mlp_out",
        }[writer.part]
        at = slice(None) if writer.pos is None else writer.pos

        def hook(value, hook):
            value = value.clone()
            index = (slice(None), at, writer.head)[: 3 if writer.part == "head" else 2]
            value[index] = self.source[name][index]
            return value

        return name, hook

    def _record(self, name, seen):
        # Before it is frozen: hooks of one name run in the order in which they are given.
        def hook(value, hook):
            seen[name] = value.clone()
            return value

        return name, hook

    def _freeze(self, name):
        return name, lambda value, hook: self.base[name].clone()

    def _put(self, name, seen, readers):
        def hook(value, hook):
            value = value.clone()
            for reader in readers:
                if self._hook(reader) == name:
                    index = (
                        ... if reader.part == "mlp" else (..., reader.head, slice(None))
                    )
                    value[index] = seen[name][index]
            return value

        return name, hook
