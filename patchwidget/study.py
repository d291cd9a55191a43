"""The façade for scripts: one model, its pairs, and everything that can be asked of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor

from patchwidget.attention import Attention, attention
from patchwidget.circuits import QUESTIONS, Circuits, Repair, circuit_steps
from patchwidget.circuits.path_runner import PathRunner
from patchwidget.decoder import model_class
from patchwidget.effects import Effects, Joint
from patchwidget.engines import captured, refuse_dropout, refuse_split
from patchwidget.estimate import Estimating, Kept
from patchwidget.exact import (
    Listener,
    Patch,
    PatchCost,
    Patches,
    Progress,
    Runner,
    checked_budget,
    together,
)
from patchwidget.generality import Generalising
from patchwidget.grids import Grid
from patchwidget.metrics import MetricLike, metrics_of
from patchwidget.nodes import Extent, Node, Nodes, is_kind_name, kind_name, nodes_of
from patchwidget.pairs import Answers, Pairs, Prompts, pairs_of
from patchwidget.paths import Tracing
from patchwidget.runs import Direction, Runs, ablated, computing
from patchwidget.saving import Saving
from patchwidget.sources import Source, make_source
from patchwidget.verify import Verifying, loop_of
from patchwidget.watch import Watch
from patchwidget.windows import Windows


class PatchStudy(Estimating, Tracing, Verifying, Circuits, Generalising, Saving):
    """Activation patching of one model on pairs of prompts.

    Args:
        model: a TransformerLens `HookedTransformer` or `TransformerBridge`. It is left
            as it is found: hooks, grad mode, train/eval state, random numbers.
        pairs: a `Pairs`, or the clean prompts (strings or tokens `[B, T]`).
        corrupted: the corrupted prompts, if `pairs` are the clean ones.
        answers: the answers, if `pairs` are the clean prompts; see `Pairs`.
        metric: `"logit_diff"`, `"logprob"`, `"prob"`, `"kl"`, a function
            `logits [B, T, V] -> scalar or [B]`, or several of them by name: all are read
            from the same patched runs, and the first is the one that pictures show.
        direction: `"denoising"` (clean values into the corrupted run, the default) or
            `"noising"`.
        source: an ablation of the clean run instead of the other prompts' values:
            `"zero"`, or one of `patchwidget.sources`. Corrupted prompts may then be left
            out: effects are raw changes of the metric. If they are given, an ablation's
            effects are fractions of the clean to corrupted gap, as all others.
        budget: bytes that patched runs may take at once; by default a quarter of what is
            free.

    Attributes:
        pairs: the prompts as tokens.
        notice: one line to show the user, or None: why the slower way is taken.

    Raises:
        TypeError: if the model is neither class, or a metric or the budget is no such thing.
        ValueError: if the prompts, answers or metric do not fit, dropout is on, the
            model lies on several devices, or a run has a NaN or infinite value.

    Example:
        >>> from patchwidget import Head, PatchStudy, demo
        >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
        >>> study.estimate("z").values.shape
        torch.Size([5, 8])
        >>> effect = study.exact([Head(0, 0, kind="q")])[Head(0, 0, kind="q")]
    """

    def __init__(
        self,
        model: Any,
        pairs: Pairs | Prompts,
        corrupted: Prompts | None = None,
        answers: Answers = None,
        *,
        metric: MetricLike | Mapping[str, MetricLike] = "logit_diff",
        direction: Direction | None = None,
        source: str | Source | None = None,
        budget: int | None = None,
    ) -> None:
        model_class(model)
        refuse_dropout(model)
        refuse_split(model)
        self.model, self._budget = model, checked_budget(budget)
        alone = source is not None and corrupted is None
        likes = metrics_of(metric)
        way = direction or ("denoising" if source is None else "noising")
        with computing():
            self.pairs = pairs_of(pairs, corrupted, answers, alone=alone).on(model)
            engine, clean, corrupt, self.notice = captured(model, self.pairs, way)
            runs = Runs(engine, self.pairs, clean, corrupt, way, likes)
            if source is not None:
                self._source = make_source(source)
                runs = ablated(runs, self._source, model)
        self._watch = Watch(model, runs)
        self._take(runs)

    def _take(self, runs: Runs) -> None:
        self._runs = runs
        self._runner = Runner(runs, self._watch, self._budget)
        self._kept = Kept()
        self._repairs: dict[tuple[Patch, str], Repair] = {}
        self._path_runners: dict[str | None, PathRunner] = {}
        self._reversed: PatchStudy | None = None

    @property
    def direction(self) -> Direction:
        """Which run the values are put into."""
        return self._runs.direction

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Those that can be had: this one, and `reversed()`'s where there is one."""
        return self._runs.directions

    @property
    def metric(self) -> str:
        """Name of the metric; of several, the first."""
        return self._runs.metric.name

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of all metrics that are read from each run."""
        return tuple(self._runs.metrics)

    @property
    def extent(self) -> Extent:
        """How many layers, heads, positions and neurons there are."""
        return self._runs.extent

    @property
    def baselines(self) -> tuple[Tensor, Tensor]:
        """The metric on the clean and on the corrupted prompts, `[B]` each."""
        return self._runs.scale.of_prompts(self.direction)

    @property
    def scale(self) -> float | None:
        """What an effect of 1 is in the metric's units; None if the runs do not differ."""
        return self._runs.scale.value

    @property
    def verified(self) -> Effects:
        """Every exact effect of a single node that is known so far."""
        return Effects(self._runner.known.of().nodes(), self.pairs.labels)

    def exact(
        self,
        what: Nodes,
        *,
        by: str | None = None,
        window: int | None = None,
        metric: str | None = None,
    ) -> Grid | Effects:
        """Exact effects: a kind gives a grid of all its nodes, nodes give `Effects`.

        What is known already is not computed again; after an interrupt, what was
        finished is known. A bar tells the remaining time of what takes long.

        Args:
            what: a kind, or nodes.
            by: see `estimate`; kinds only.
            window: patch this many layers together, centred on each (Meng et al. 2022),
                fewer at the ends; kinds only. Windows inflate effects.
            metric: one of `metrics`; None is the first.

        Raises:
            ValueError: if the kind is unknown, the metric is not finite at a node, the
                budget is too small for one patch, or nodes are given and a `by`.
            IndexError: if the model has no such node.
            RuntimeError: if the model changed since the study captured its runs.
        """
        patches = self._patches(what, by, window)
        self._runs.reading(metric or self.metric)  # an unknown name is refused first
        self._runner.finish(patches, f"exact {_label(what, by)}")
        if is_kind_name(what):
            return self.known(str(what), by, window=window, metric=metric)
        known = self._runner.known.of(metric)
        found = {patch[0]: known[patch] for patch in patches}
        return Effects(found, self.pairs.labels)

    def joint(self, nodes: Nodes, *, metric: str | None = None) -> Joint:
        """The exact effect of several nodes patched in one run, and each one's alone.

        Raises:
            ValueError, IndexError, RuntimeError: see `exact`.
        """
        self._runs.reading(metric or self.metric)  # an unknown name is refused first
        patch = together(self.nodes(nodes))
        singles = [(node,) for node in patch]
        self._runner.finish([patch, *singles], "joint patch")
        known = self._runner.known.of(metric)
        found = {single[0]: known[single] for single in singles}
        return Joint(known[patch], Effects(found, self.pairs.labels))

    def steps(
        self,
        what: str,
        nodes: Any,
        method: str = "atp",
        *,
        by: str | None = None,
        window: int | None = None,
        **plan: Any,
    ) -> Iterator[Progress]:
        """The steps of a long computation, to be exhausted or closed at any time.

        Args:
            what: `"exact"`, `"joint"`, `"verify"`, `"bound"` (the last part of a
                verification alone, on what is not verified by now), or a question of
                `circuits`: `"interactions"`, `"self_repair"`, `"whole_story"` or
                `"circuit_curve"`. Asked for its result, it is then answered at once.
            nodes: what is patched: for `"exact"` a kind or nodes, for `"joint"` several
                sets of nodes, for a question of `circuits` its own, else kinds. What is
                known is not run again.
            method: see `verify`, whose steps carry its `report` so far.
            by: see `exact`.
            window: see `exact`.
            **plan: see `verify`; or the options of the question.

        Raises:
            RuntimeError: if the model's weights or hooks changed since the study
                captured its runs.
            ValueError: if the model drops activations at random, or see `nodes`.
            TypeError: if a set of `"joint"` is a single node or name.
            IndexError: see `nodes`.
        """
        if what == "verify":
            return loop_of(self, nodes, method, by=by, **plan).steps()
        if what == "bound":
            return loop_of(self, nodes, method, by=by, **plan).bounding()
        if what in QUESTIONS:
            return circuit_steps(self, what, nodes, **plan)
        if plan:
            raise TypeError(f"{what!r} takes no {', '.join(plan)}: 'verify' does")
        if what == "exact":
            return self._runner.steps(self._patches(nodes, by, window))
        if what == "joint":
            return self._runner.steps([self._set(one) for one in nodes])
        known = ", ".join(("exact", "joint", "verify", "bound", *QUESTIONS))
        raise ValueError(f"unknown computation {what!r}: choose one of {known}")

    def _set(self, nodes: Nodes) -> Patch:
        if isinstance(nodes, (Node, str)):
            raise TypeError(
                f"{str(nodes)!r} is one node, and 'joint' takes sets of them: "
                "steps('joint', [[node, node], ...])"
            )
        return together(self.nodes(nodes))

    def cost(
        self, what: Nodes, *, by: str | None = None, window: int | None = None
    ) -> PatchCost:
        """What `exact` would cost, without what is known already.

        The first question runs two layers of the base prompts once more, or all of them
        where the model's own hooks do the work, to learn the machine's pace.
        """
        return self._runner.cost(self._patches(what, by, window))

    def _patches(self, what: Nodes, by: str | None, window: int | None) -> Patches:
        if not is_kind_name(what):
            if by is not None or window is not None:
                given = f"by={by!r}" if by is not None else f"window={window!r}"
                raise ValueError(
                    f"{given} cuts a kind; nodes say themselves what they are"
                )
            return [(node,) for node in self.nodes(what)]
        kind = kind_name(str(what))
        with computing():
            self._runs.require(kind)
        return Windows(self.extent, kind, by, 1 if window is None else window)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Tell a function of every exact effect as it becomes known.

        Args:
            listener: called with what each step found, with nothing at the end of a
                computation.

        Returns:
            A function that ends the subscription.
        """
        return self._runner.known.subscribe(listener)

    def known(
        self,
        kind: str,
        by: str | None = None,
        *,
        window: int | None = None,
        metric: str | None = None,
    ) -> Grid:
        """Exact effects where they are known, NaN elsewhere."""
        return self._runner.grid(kind, by, 1 if window is None else window, metric)

    def can_patch(self, kind: str) -> bool:
        """Whether a kind exists and can be patched in this model."""
        return self.obstacle(kind) is None

    def obstacle(self, kind: str) -> str | None:
        """Why a kind cannot be patched in this model; None if it can.

        Raises:
            ValueError: if there is no such kind in any model.
        """
        kind = kind_name(kind)
        try:
            with computing():
                self._runs.require(kind)
        except ValueError as error:
            return str(error)
        return None

    def attention(self, heads: Nodes) -> Attention:
        """Attention patterns of heads in the clean and the corrupted run."""
        return attention(self._runs, self.nodes(heads))

    def node(self, name: str) -> Node:
        """A node by its name; the pairs' position names count: `"L0H0.q@S2"`."""
        return self.nodes(name)[0]

    def nodes(self, what: Nodes) -> list[Node]:
        """Nodes from nodes or names, each checked to exist in this model.

        Raises:
            IndexError: if a layer, head or position is out of range.
            ValueError: if a name is not a node's.
            TypeError: if it is something else.
        """
        return nodes_of(what, self.pairs.labels, self.extent)

    def reversed(self) -> PatchStudy:
        """The same study in the other direction, from the same two captured runs.

        Raises:
            ValueError: if values come from an ablation, which has no other direction.
        """
        if self._reversed is None:
            other = object.__new__(PatchStudy)
            other.model, other.pairs, other.notice = self.model, self.pairs, self.notice
            other._budget, other._watch = self._budget, self._watch
            other._take(self._runs.reversed())
            self._watch.guard(other._runs)
            other._reversed = self
            self._reversed = other
        return self._reversed

    def __repr__(self) -> str:
        clean, corrupted = (float(values.mean()) for values in self.baselines)
        return (
            f"PatchStudy({self.model_name}, {len(self.pairs)} pair{'s' * (len(self.pairs) > 1)} of "
            f"{self.pairs.clean.shape[1]} tokens, {self.direction}, {self.metric}: "
            f"clean {clean:.3g}, corrupted {corrupted:.3g})"
        )


def _label(what: object, by: str | None) -> str:
    return f"{what} by {by}" if by else str(what) if is_kind_name(what) else "nodes"
