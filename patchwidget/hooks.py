"""The model's own hooks, behind the same interface as the decoder.

The slow way, one forward of the whole model a patch: right for every architecture whose
hooks act and mean what their names say. A site is probed before it is trusted, because
an edit through a dead hook changes nothing and would pass for "no effect".
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from patchwidget.decoder import Tap, model_class, untouched
from patchwidget.nodes import Extent

# In the order of computation: of two edits at one hook the later one has the last word.
_HOOKS = {
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
_LIBRARIES = ("transformers.", "transformer_lens.")
Hook = Callable[..., Tensor]
Place = tuple[str, int]


def hook_name(site: str, layer: int) -> str:
    """TransformerLens' name of a site's hook, by which its caches are asked too."""
    return f"blocks.{layer}.{_HOOKS[site]}"


@dataclass(frozen=True)
class LogitsReadout:
    """A run's logits `[rows, T, V]`, all of them computed."""

    all_logits: Tensor

    @property
    def shape(self) -> tuple[int, int, int]:
        """See `logits.Readout.shape`."""
        rows, n_pos, n_tokens = self.all_logits.shape
        return rows, n_pos, n_tokens

    @property
    def like(self) -> Tensor:
        """See `logits.Readout.like`."""
        return self.all_logits

    def logits(
        self, position: int | None = None, vocabulary: Tensor | None = None
    ) -> Tensor:
        """See `logits.Readout.logits`."""
        if position is None:
            return self.all_logits.clone()  # a metric may work in place
        here = self.all_logits[:, position]
        return here.clone() if vocabulary is None else here.gather(-1, vocabulary)

    def rows(self, start: int, stop: int) -> LogitsReadout:
        """The readout of rows `start` to `stop`."""
        return LogitsReadout(self.all_logits[start:stop])


@dataclass(frozen=True)
class HookedModel:
    """A TransformerLens model, run with hooks that are gone when the run ends.

    Args:
        model: a `HookedTransformer` or a `TransformerBridge`.

    Example:
        >>> from patchwidget import demo
        >>> hooked = HookedModel(demo.load_model())
        >>> hooked.extent(n_pos=15).shape("z")
        (5, 8)
    """

    model: Any
    _dead: dict[str, str | None] = field(default_factory=dict, repr=False)

    def extent(self, n_pos: int) -> Extent:
        """How many nodes of each kind there are on prompts of `n_pos` tokens."""
        cfg = self.model.cfg
        return Extent(
            n_layers=cfg.n_layers,
            n_heads=cfg.n_heads,
            n_kv_heads=getattr(cfg, "n_key_value_heads", None) or cfg.n_heads,
            n_pos=n_pos,
            d_mlp=self._d_mlp(),
        )

    def _d_mlp(self) -> int:
        # A Bridge's configuration may name another width than its matrices have.
        mlp = getattr(self.model.blocks[0], "mlp", None)
        return 0 if mlp is None else int(mlp.W_out.shape[0])

    @property
    def places(self) -> list[Place]:
        """Every site and layer that has a hook."""
        names = self.model.hook_dict
        return [
            (site, layer)
            for layer in range(self.model.cfg.n_layers)
            for site in _HOOKS
            if hook_name(site, layer) in names
        ]

    def run(
        self, tokens: Tensor, tap: Tap = untouched, at: Collection[Place] | None = None
    ) -> LogitsReadout:
        """Run tokens `[N, T]`; the tap sees the places `at`, or all there are."""
        hooks = [
            hook
            for place in (self.places if at is None else at)
            for hook in self._hooks(*place, tap)
        ]
        logits = self.model.run_with_hooks(
            tokens, fwd_hooks=hooks, return_type="logits"
        )
        return LogitsReadout(logits)

    def _hooks(self, site: str, layer: int, tap: Tap) -> list[tuple[str, Hook]]:
        if site == "resid_mid" and model_class(self.model) == "TransformerBridge":
            return self._middle_hooks(layer, tap)

        def hook(value: Tensor, **_: Any) -> Tensor:
            return tap(site, layer, value)

        return [(hook_name(site, layer), hook)]

    def _middle_hooks(self, layer: int, tap: Tap) -> list[tuple[str, Hook]]:
        """The stream between attention and MLP, edited as what attention writes.

        A Bridge's `hook_resid_mid` is only the input of the second norm: an edit there
        does not reach the stream (seen in TransformerLens 4.3).
        """
        before: list[Tensor] = []

        def remember(value: Tensor, **_: Any) -> Tensor:
            before.append(value)
            return value

        def edit(value: Tensor, **_: Any) -> Tensor:
            middle = before.pop() + value
            tapped = tap("resid_mid", layer, middle)
            return value if tapped is middle else value + (tapped - middle)

        return [
            (hook_name("resid_pre", layer), remember),
            (hook_name("attn_out", layer), edit),
        ]

    def require(self, site: str, tokens: Tensor) -> None:
        """Make sure that editing a site changes the logits, in every layer.

        Raises:
            ValueError: naming the hook that is missing or does not act.
        """
        if site not in self._dead:
            # With one token no query or key matters: give the probe some to look at.
            probe = tokens[:1] if tokens.shape[1] > 1 else tokens[:1].repeat(1, 3)
            self._dead[site] = self._probe(site, probe)
        dead = self._dead[site]
        if dead is not None:
            raise ValueError(f"{site} cannot be patched: {dead}")

    def _probe(self, site: str, tokens: Tensor) -> str | None:
        """Why a site cannot be edited in some layer, in words; None if it can in all."""
        generator = torch.Generator().manual_seed(0)

        def disturb(_site: str, _layer: int, value: Tensor) -> Tensor:
            # Noise, not a shift: a shift of every key alike leaves softmax unchanged.
            noise = torch.randn(value.shape, generator=generator)
            return value + noise.to(value)

        with torch.no_grad():
            plain = self.run(tokens, at=()).all_logits
            for layer in range(self.model.cfg.n_layers):
                name = hook_name(site, layer)
                if (site, layer) not in self.places:
                    return f"the model has no {name}"
                disturbed = self.run(tokens, disturb, at=[(site, layer)]).all_logits
                if torch.equal(plain, disturbed):
                    return f"an edit through {name} does not reach the logits of this model"
        return None


def user_hooks(model: Any) -> dict[str, tuple[int, ...]]:
    """The modules on which somebody other than the libraries put hooks.

    Returns:
        The numbers of each module's hooks, which torch never gives twice.
    """
    found = {name: _hooks_of(module) for name, module in model.named_modules()}
    return {name: tuple(hooks) for name, hooks in found.items() if hooks}


def _hooks_of(module: Any) -> dict[int, Hook]:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
    hooks = {id_: hook for kind in kinds for id_, hook in getattr(module, kind).items()}
    return {id_: hook for id_, hook in hooks.items() if not _is_theirs(hook)}


def _is_theirs(hook: Hook) -> bool:
    """Whether a library put the hook there: both do, most at the first forward."""
    while getattr(hook, "__qualname__", "").startswith("HookPoint.add_hook"):
        # A wrapper of TransformerLens; what it wraps tells who asked for it. Backward
        # hooks are wrapped twice (seen in 4.3).
        wrapped = inspect.getclosurevars(hook).nonlocals
        inner = wrapped.get("hook", wrapped.get("full_hook"))
        if inner is None:
            break
        hook = inner
    return str(hook.__module__).startswith(_LIBRARIES)
