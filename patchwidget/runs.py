"""Both runs of a study, captured, and the metric's gradient on the base run.

- The *base* run is the one that is executed again with patches, and differentiated.
- The *source* run is where values are taken from.

Denoising patches clean values into the corrupted run, noising corrupted values into the
clean run; turning a study round swaps the two and runs nothing again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, TypeVar, cast

import torch
from torch import Tensor

from patchwidget.decoder import Decoder, Graph, Sites, SpareGraph, trace, tracing
from patchwidget.differentiate import differentiated, probed
from patchwidget.grids import Scale
from patchwidget.hooks import HookedModel
from patchwidget.logits import Readout
from patchwidget.metrics import (
    Metric,
    MetricFailedError,
    MetricLike,
    check_finite,
    make_metric,
)
from patchwidget.nodes import Extent, kind_name
from patchwidget.once import Once
from patchwidget.padding import check_padding
from patchwidget.pairs import Pairs, Prompts, TokenPairs
from patchwidget.slices import Slices
from patchwidget.sources import Source

Engine = Decoder | HookedModel
Direction = Literal["denoising", "noising"]
Activations = Sites
T = TypeVar("T")


@contextmanager
def computing(*, grad: bool = False) -> Iterator[None]:
    """Our own torch modes, whatever the user's are, and theirs again afterwards."""
    with (
        torch.inference_mode(mode=False),
        torch.set_grad_enabled(grad),
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False),
    ):
        yield


def computed(slices: Slices[T], *, grad: bool = False) -> Slices[T]:
    """Slices in our own torch modes, which are over while others have their turn."""
    with closing(slices):
        while True:
            with computing(grad=grad):
                try:
                    next(slices)
                except StopIteration as end:
                    return cast("T", end.value)
            yield


@dataclass(frozen=True)
class Capture:
    """One run: every site's value by (site, layer), in the order of their computation.

    Attributes:
        values: what was captured.
        readout: the end of the run.
        witness: the model's own logits `[rows, T, V]` on the first rows: if it gives
            others later, it has changed. None where nobody has asked it.
        spare: the run's graph, if it was asked for.
    """

    values: Activations
    readout: Readout
    witness: Tensor | None = None
    spare: SpareGraph | None = None


def capture(engine: Engine, tokens: Tensor, *, graph: bool = False) -> Capture:
    """Run tokens `[B, T]` and keep the value of every site.

    Args:
        engine: what runs them.
        tokens: the prompts.
        graph: keep the graph too where there can be one, so that a gradient asks for no
            second run.
    """
    if graph and isinstance(engine, Decoder):
        with computing(grad=True):
            traced = trace(engine, tokens)
        values = {place: value.detach() for place, value in traced.sites.items()}
        return Capture(values, traced.readout.detached(), spare=SpareGraph(traced))
    values = {}

    def keep(site: str, layer: int, value: Tensor) -> Tensor:
        values[site, layer] = value
        return value

    with computing():
        return Capture(values, engine.run(tokens, keep))


@dataclass(frozen=True)
class Runs:
    """The captured runs of one study in one direction.

    Attributes:
        engine: what runs the model: the decoder, or the model's own hooks.
        pairs: the prompts.
        clean, corrupted: their captured runs.
        direction: which of them is the base.
        metric_likes: the metrics as the user gave them, by name; the first is the main one.
        ablation: values to patch in, where they are not those of the other run.
    """

    engine: Engine
    pairs: TokenPairs
    clean: Capture
    corrupted: Capture
    direction: Direction
    metric_likes: Mapping[str, MetricLike]
    ablation: Activations | None = None
    _once: Once = field(default_factory=Once, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.direction not in ("denoising", "noising"):
            raise ValueError(
                f"unknown direction {self.direction!r}: choose 'denoising' (clean values "
                "into the corrupted run) or 'noising'"
            )
        _ = self.scale  # a metric that is not a number is refused now, not at a click

    @property
    def extent(self) -> Extent:
        """How many nodes of each kind the study has."""
        return self.engine.extent(self.pairs.clean.shape[1])

    def require(self, kind: str) -> None:
        """Make sure that a kind can be patched in this model.

        Raises:
            ValueError: if there is no such kind, or its hook does not act.
        """
        kind = kind_name(kind)
        if isinstance(self.engine, HookedModel):
            self.engine.require(kind, self.base_tokens)
        elif (kind, 0) not in self.base.values:
            raise ValueError(
                f"there is no {kind} in this model: its blocks have no MLP, or run it "
                "beside attention"
            )

    @property
    def base(self) -> Capture:
        """The run that is executed with patches."""
        return self.corrupted if self.direction == "denoising" else self.clean

    @property
    def source(self) -> Capture:
        """The run that values are taken from; under an ablation, the ablated values."""
        other = self.clean if self.direction == "denoising" else self.corrupted
        return other if self.ablation is None else replace(other, values=self.ablation)

    @property
    def base_tokens(self) -> Tensor:
        """Tokens `[B, T]` of the base run."""
        denoising = self.direction == "denoising"
        return self.pairs.corrupted if denoising else self.pairs.clean

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """The metrics by name, reading this study's answers."""
        with computing():
            return {
                name: make_metric(name, like, self.pairs, lambda: self.source.readout)
                for name, like in self.metric_likes.items()
            }

    @property
    def metric(self) -> Metric:
        """The main metric: estimates are of it."""
        return next(iter(self.metrics.values()))

    @cached_property
    def scale(self) -> Scale:
        """The metric of both runs, which effects are a fraction of."""
        base = self._metric_of(self.base, "the base run")
        source = self._metric_of(self.source, "the source run")
        return Scale(base, source, self.base.readout.like.dtype)

    @property
    def unit(self) -> Scale | None:
        """The scale; None where there is no other run, and effects are raw changes."""
        alone = torch.equal(self.pairs.clean, self.pairs.corrupted)
        return None if alone and self.ablation is not None else self.scale

    def _metric_of(self, run: Capture, where: str) -> Tensor:
        with computing():
            try:
                values = self.metric.values(run.readout)[0]
            except MetricFailedError as error:
                raise error.on(where) from error.__cause__
        check_finite(values[None], self.metric.name, where)
        return values

    def reading(self, metric: str) -> Runs:
        """The same runs with another of the metrics as the main one.

        Raises:
            ValueError: if there is no such metric.
        """
        if metric not in self.metric_likes:
            raise ValueError(
                f"there is no metric {metric!r}: choose one of "
                f"{', '.join(self.metric_likes)}"
            )
        if metric not in self._readings:
            only = {metric: self.metric_likes[metric]}
            self._readings[metric] = replace(self, metric_likes=only)
        return self._readings[metric]

    @cached_property
    def _readings(self) -> dict[str, Runs]:
        return {next(iter(self.metric_likes)): self}

    def differentiating(self, graph: Graph | None = None) -> Slices[Activations]:
        """Gradient of the metric, summed over pairs, at every site of the base run.

        One backward, of the run that was captured if its graph is still there, else of
        another. The sum keeps the gradients of the pairs apart. A slice is one layer of
        the run, or of the way back; through the model's own hooks all is one slice.

        Args:
            graph: the base run's, which is to be gone through again; None for one that
                nobody else needs.

        Raises:
            ValueError: if the metric has no gradient with respect to the logits.
        """
        return (
            yield from self.once_in_slices(
                "gradients", lambda: self._differentiating(graph)
            )
        )

    def _differentiating(self, graph: Graph | None) -> Slices[Activations]:
        if isinstance(self.engine, HookedModel):
            with computing(grad=True):
                return probed(self.engine, self.base_tokens, self.metric)
        is_kept = graph is not None
        graph = graph or (yield from self.tracing())
        back = differentiated(graph.sites, graph.readout, self.metric, keep=is_kept)
        return (yield from computed(back, grad=True))

    def tracing(self) -> Slices[Graph]:
        """The base run with its graph, which is the caller's: nothing else holds it.

        A slice is one layer of the run, if it has to be made.
        """
        engine = cast("Decoder", self.engine)
        spare = self.base.spare
        taken = None if spare is None else spare.take(engine)
        if taken is not None:
            return taken
        return (yield from computed(tracing(engine, self.base_tokens), grad=True))

    def drop_graphs(self) -> None:
        """Hold no graph any longer: memory is wanted for something else."""
        for run in (self.clean, self.corrupted):
            if run.spare is not None:
                run.spare.drop()

    def once_in_slices(
        self, key: Hashable, compute: Callable[[], Slices[T]]
    ) -> Slices[T]:
        """What `compute` gives, computed the first time: passes that serve all kinds.

        All who ask meanwhile make the same slices, in our own torch modes.
        """
        return self._once.slices(key, lambda: computed(compute()))

    def has(self, key: Hashable) -> bool:
        """Whether `once_in_slices` has something, or is making it."""
        return key in self._once

    def forget(self) -> None:
        """Keep nothing that was computed once, of any metric: the model was another."""
        for one in self._readings.values():
            one._once.forget()  # noqa: SLF001 - the same runs

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Those that these runs can be read in: an ablation has only its own."""
        both: tuple[Direction, ...] = ("denoising", "noising")
        return both if self.ablation is None else (self.direction,)

    def reversed(self) -> Runs:
        """The other direction, from the same two runs."""
        if self.ablation is not None:
            raise ValueError("an ablation of the clean run has no other direction")
        other: Direction = "noising" if self.direction == "denoising" else "denoising"
        return replace(self, direction=other)


def ablated(runs: Runs, source: Source, model: Any) -> Runs:
    """The same runs, with the values of an ablation to put into the clean one.

    Raises:
        ValueError: if the base run is not the clean one, or the source's prompts have
            another length than the study's.
    """
    if runs.direction != "noising":
        raise ValueError(
            f"an ablation changes the clean run: direction={runs.direction!r} does not fit"
        )

    def capture_prompts(prompts: Prompts) -> Activations:
        others = Pairs(prompts, prompts).on(model).clean
        n_pos = runs.base_tokens.shape[1]
        if others.shape[1] != n_pos:
            raise ValueError(
                f"the source's prompts have {others.shape[1]} tokens, the study's {n_pos}"
            )
        study = runs.base_tokens[:1].expand_as(others).clone()
        rows = zip(others, study, strict=True)
        check_padding(getattr(model, "tokenizer", None), list(rows))
        return capture(runs.engine, others).values

    values = source.values(runs.base.values, capture_prompts)
    _check_ablation(source, values, runs.base.values)
    return replace(runs, ablation=values)


def _check_ablation(source: Source, values: Activations, base: Activations) -> None:
    for (site, layer), value in base.items():
        given = values.get((site, layer))
        where = f"source {source.name} at layer {layer}'s {site}"
        if given is None:
            raise ValueError(f"{where} has no values")
        if given.shape != value.shape:
            raise ValueError(
                f"{where} has shape {list(given.shape)}, {list(value.shape)} is needed"
            )
        if not bool(given.isfinite().all()):
            raise ValueError(f"{where} has values that are not finite")
