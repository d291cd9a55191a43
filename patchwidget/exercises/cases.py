"""What functions are tried on: two small odd models, and the chapter's own case."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from patchwidget.runs import computing

Side = Literal["clean", "corrupted"]
_VOCABULARY = 23


class Watched(dict[str, Tensor]):
    """Activations by hook name, which remember whether anybody looked."""

    seen = False

    def __getitem__(self, name: str) -> Tensor:
        self.seen = True
        return super().__getitem__(name)

    def values(self) -> Any:
        """As a dictionary's."""
        self.seen = True
        return super().values()

    def items(self) -> Any:
        """As a dictionary's."""
        self.seen = True
        return super().items()


@dataclass(frozen=True, eq=False)
class Case:
    """A model and a clean and a corrupted batch of prompts.

    Attributes:
        name: what to call it in a sentence.
        model: a model that is nobody's but the checkers'.
        clean: tokens `[B, T]`.
        corrupted: tokens `[B, T]`.
        answers: right and wrong answer `[B, 2]`.
        offset: what the metric is on the corrupted prompts; on the clean ones it is 1
            more. Other than 0, it tells an unpatched run from a cell never filled in.
        large: whether one forward pass a patch takes long.

    Example:
        >>> case = small_cases()[0]
        >>> case.corrupted.shape
        torch.Size([3, 5])
    """

    name: str
    model: Any
    clean: Tensor
    corrupted: Tensor
    answers: Tensor
    offset: float = 0.0
    large: bool = False
    _made: dict[Any, Tensor] = field(default_factory=dict, repr=False)

    def tokens(self, side: Side) -> Tensor:
        """One side's tokens."""
        return self.clean if side == "clean" else self.corrupted

    @cached_property
    def activations(self) -> Mapping[Side, dict[str, Tensor]]:
        """Everything that TransformerLens caches, of both runs."""
        with computing():
            return {"clean": self._run("clean"), "corrupted": self._run("corrupted")}

    def _run(self, side: Side) -> dict[str, Tensor]:
        cached = self.model.run_with_cache(self.tokens(side))[1]
        return {name: value.clone() for name, value in cached.items()}

    @cached_property
    def logits(self) -> Mapping[Side, Tensor]:
        """Logits of both runs `[B, T, V]`."""
        with computing():
            return {
                "clean": self.model(self.clean).clone(),
                "corrupted": self.model(self.corrupted).clone(),
            }

    def cache(self, side: Side) -> Any:
        """A copy of a run's cache, of TransformerLens' own class."""
        from transformer_lens import ActivationCache

        with computing():
            copies = {k: v.clone() for k, v in self.activations[side].items()}
        return ActivationCache(Watched(copies), self.model)

    def difference(self, logits: Tensor) -> Tensor:
        """Mean logit difference at the last position, a scalar."""
        final = logits[:, -1]
        both = final.gather(-1, self.answers.to(final.device))
        return (both[:, 0] - both[:, 1]).mean()

    def metric(self, logits: Tensor) -> Tensor:
        """What the student's function gets as `patching_metric`.

        Raises:
            ValueError: if it is given anything else than logits.
        """
        expected = self.logits["clean"].shape
        if not isinstance(logits, Tensor) or logits.shape != expected:
            shape = list(logits.shape) if isinstance(logits, Tensor) else type(logits)
            raise ValueError(
                "patching_metric takes the logits of a whole run, [batch, pos, d_vocab] "
                f"= {list(expected)}, and was given {shape}"
            )
        corrupted = self.difference(self.logits["corrupted"])
        clean = self.difference(self.logits["clean"])
        return self.offset + (self.difference(logits) - corrupted) / (clean - corrupted)

    def size(self, axis: str) -> int:
        """Length of an axis of a result."""
        cfg = self.model.cfg
        sizes = {
            "layer": cfg.n_layers,
            "head": cfg.n_heads,
            "pos": self.corrupted.shape[1],
        }
        return int(sizes[axis])

    def once(self, key: Any, make: Any) -> Tensor:
        """A result that is computed when it is first asked for."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


@cache
def small_cases() -> tuple[Case, ...]:
    """Random models in which no two sizes that could be confused are the same."""
    return (
        _small(layers=2, heads=3, d_head=4, batch=3, n_pos=5, seed=7),
        _small(layers=3, heads=2, d_head=5, batch=1, n_pos=4, seed=7),
    )


@cache
def chapter_case() -> Case:
    """The bundled model on indirect objects, 2 pairs of 15 tokens."""
    from patchwidget import demo

    with computing():
        model = demo.load_model()
        pairs = demo.ioi_pairs(2).on(model)
    answers = pairs.answers
    if answers is None:
        raise ValueError("indirect objects without answers")
    name = "the bundled model, 2 pairs of 15 tokens"
    return Case(name, model, pairs.clean, pairs.corrupted, answers, large=True)


@cache
def short_case() -> Case:
    """The bundled model on one pair about facts, where a sweep by position is short."""
    from patchwidget import demo

    with computing():
        model = chapter_case().model
        pairs = demo.fact_pairs(1).on(model)
    if pairs.answers is None:
        raise ValueError("facts without answers")
    name = f"the bundled model, a pair of {pairs.clean.shape[1]} tokens"
    return Case(name, model, pairs.clean, pairs.corrupted, pairs.answers, large=True)


def all_cases() -> tuple[Case, ...]:
    """The small ones, then the chapter's."""
    return (*small_cases(), chapter_case())


def _small(
    *, layers: int, heads: int, d_head: int, batch: int, n_pos: int, seed: int
) -> Case:
    with computing(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _random_model(layers, heads, heads * d_head)
        clean = torch.randint(1, _VOCABULARY, (batch, n_pos))
        corrupted = clean.clone()
        corrupted[:, 1::2] = (clean[:, 1::2] + 6) % _VOCABULARY
        answers = torch.randperm(_VOCABULARY)[: 2 * batch].reshape(batch, 2)
    name = (
        f"a small model of {layers} layers and {heads} heads, "
        f"{batch} prompt{'s' * (batch > 1)} of {n_pos} tokens"
    )
    return Case(name, model, clean, corrupted, answers, offset=0.4)


def _random_model(layers: int, heads: int, width: int) -> Any:
    from patchwidget.demo.loader import load_model
    from patchwidget.demo.net import Net, Shape, save_net

    net = Net(Shape(_VOCABULARY, context=8, layers=layers, heads=heads, width=width))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    with tempfile.TemporaryDirectory() as name:
        save_net(net, Path(name))
        return load_model(folder=Path(name))
