"""The façade for scripts: one model, its pairs, and everything that can be asked of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from torch import Tensor

from patchwidget import exact
from patchwidget.attention import Attention, attention
from patchwidget.decoder import (
    Decoder,
    difference,
    model_class,
)
from patchwidget.engines import captured, fingerprint, refuse_dropout
from patchwidget.estimate import METHODS
from patchwidget.exact import Progress
from patchwidget.grids import Effect, Effects, Grid
from patchwidget.nodes import Extent, Node, cut_of, kind_name
from patchwidget.pairs import Answers, Pairs, Prompts
from patchwidget.runs import Direction, Runs, computing

Listener = Callable[[tuple[Effect, ...]], None]


class PatchStudy:
    """Activation patching of one model on pairs of prompts.

    Args:
        model: a TransformerLens `HookedTransformer` or `TransformerBridge`. It is left
            as it is found: hooks, grad mode, train/eval state, random numbers.
        pairs: a `Pairs`, or the clean prompts (strings or tokens `[B, T]`).
        corrupted: the corrupted prompts, if `pairs` are the clean ones.
        answers: the answers, if `pairs` are the clean prompts; see `Pairs`.
        metric: `"logit_diff"`, `"logprob"`, `"prob"`, `"kl"`, or a function
            `logits [B, T, V] -> scalar or [B]`.
        direction: `"denoising"` (clean values into the corrupted run) or `"noising"`.

    Attributes:
        pairs: the prompts as tokens.
        notice: one line to show the user, or None: why the slower way is taken.

    Raises:
        TypeError: if the model is neither class.
        ValueError: if the prompts, answers or metric do not fit, or dropout is on.

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
        metric: str | Callable[[Tensor], Tensor] = "logit_diff",
        direction: Direction = "denoising",
    ) -> None:
        model_class(model)
        refuse_dropout(model)
        self.model = model
        with computing():
            self.pairs = _pairs(pairs, corrupted, answers).on(model)
            engine, clean, corrupt, self.notice = captured(model, self.pairs)
        self._fingerprint = fingerprint(model)
        self._take(
            Runs(engine, self.pairs, clean, corrupt, direction, metric_like=metric)
        )

    def _take(self, runs: Runs) -> None:
        self._runs = runs
        # One pair tells whether the model has changed; but a user's hooks may read the
        # batch as a whole. A tensor, since a readout unembeds with today's weights.
        self._rows = 1 if isinstance(runs.engine, Decoder) else len(self.pairs)
        with computing():
            self._logits = runs.base.readout.rows(0, self._rows).logits()
        self._known: dict[Node, Effect] = {}
        self._listeners: list[Listener] = []
        self._reversed: PatchStudy | None = None

    @property
    def direction(self) -> Direction:
        """Which run the values are put into."""
        return self._runs.direction

    @property
    def metric(self) -> str:
        """Name of the metric."""
        return self._runs.metric.name

    @property
    def extent(self) -> Extent:
        """How many layers, heads, positions and neurons there are."""
        return self._runs.extent

    @property
    def baselines(self) -> tuple[Tensor, Tensor]:
        """The metric on the clean and on the corrupted prompts, `[B]` each."""
        scale = self._runs.scale
        if self.direction == "denoising":
            return scale.source, scale.base
        return scale.base, scale.source

    @property
    def scale(self) -> float | None:
        """What an effect of 1 is in the metric's units; None if the runs do not differ."""
        return self._runs.scale.value

    @property
    def verified(self) -> Effects:
        """Every exact effect known so far."""
        return Effects(self._known, self.pairs.labels)

    def estimate(
        self, kind: str, method: str = "atp", *, by: str | None = None
    ) -> Grid:
        """Estimated effects of all nodes of a kind, from one backward for all kinds.

        Args:
            kind: see `nodes.KINDS`.
            method: `"atp"`.
            by: `"pos"` cuts heads by position, `"dest"` and `"dest_src"` patterns.

        Raises:
            ValueError: if the kind or the method is unknown, or the metric cannot be
                differentiated.
            RuntimeError: if the model changed since the study captured its runs.
        """
        if method not in METHODS:
            raise ValueError(
                f"unknown method {method!r}: choose one of {', '.join(METHODS)}"
            )
        kind, by = kind_name(kind), cut_of(kind, by)
        self._check_model()
        if not self._runs.has_gradients:
            self._check_logits()
        with computing():
            return METHODS[method](self._runs, kind, by)

    def exact(
        self, what: str | Node | Iterable[Node | str], *, by: str | None = None
    ) -> Grid | Effects:
        """Exact effects: a kind gives a grid of all its nodes, nodes give `Effects`.

        What is known already is not computed again; after an interrupt, what was
        finished is known.

        Raises:
            ValueError: if the kind is unknown or the metric is not finite at a node, or
                nodes are given and a `by`.
            IndexError: if the model has no such node.
            RuntimeError: if the model changed since the study captured its runs.
        """
        if isinstance(what, str) and not _is_node_name(what):
            with computing():
                self._runs.require(what)
            for _ in self.steps("exact", list(self.extent.nodes(what, by))):
                pass
            return self.known(what, by)
        nodes = self.nodes(what)
        if by is not None:
            raise ValueError(f"by={by!r} cuts a kind; nodes say themselves how fine")
        for _ in self.steps("exact", nodes):
            pass
        known = {node: self._known[node] for node in nodes}
        return Effects(known, self.pairs.labels)

    def steps(
        self, what: str, nodes: Iterable[Node | str] | Node | str
    ) -> Iterator[Progress]:
        """The steps of a long computation, to be exhausted or closed at any time.

        Args:
            what: `"exact"`.
            nodes: what is patched; nodes known already are not run again.

        Raises:
            RuntimeError: if the model's weights or hooks changed since the study
                captured its runs.
            ValueError: if the model drops activations at random, or see `nodes`.
            IndexError: see `nodes`.
        """
        if what != "exact":
            raise ValueError(f"unknown computation {what!r}: choose 'exact'")
        nodes = self.nodes(nodes)
        return self._exact_steps(nodes)

    def _exact_steps(self, nodes: Sequence[Node]) -> Iterator[Progress]:
        new = [node for node in dict.fromkeys(nodes) if node not in self._known]
        known = len(nodes) - len(new)
        yield Progress(known, len(nodes))
        self._check_model()
        try:
            for step in exact.steps(self._runs, new):
                # Nothing found is for listeners the end, and most steps find nothing.
                if step.found:
                    # Between two steps the user's own cells may have changed the model.
                    self._check_model()
                    self._check_logits()
                    self._learn(step.found)
                yield Progress(known + step.done, len(nodes), step.found)
        finally:
            self._learn(())

    def _learn(self, found: tuple[Effect, ...]) -> None:
        self._known.update({effect.node: effect for effect in found})
        for listener in list(self._listeners):
            listener(found)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Tell a function of every exact effect as it becomes known.

        Args:
            listener: called with what each step found, with nothing at the end of a
                computation.

        Returns:
            A function that ends the subscription.
        """
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe

    def known(self, kind: str, by: str | None = None) -> Grid:
        """Exact effects where they are known, NaN elsewhere."""
        kind, by = kind_name(kind), cut_of(kind, by)
        base = self._runs.scale.base
        raw = base.new_full((len(base), *self.extent.shape(kind, by)), float("nan"))
        for node, effect in self._known.items():
            if (node.kind, node.by) == (kind, by):
                cell: tuple[Any, ...] = (slice(None), *node.cell)
                raw[cell] = effect.raw
        return Grid(
            kind,
            raw,
            by=by,
            scale=self._runs.scale,
            direction=self.direction,
            metric=self.metric,
        )

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

    def attention(self, heads: Iterable[Node | str] | Node | str) -> Attention:
        """Attention patterns of heads in the clean and the corrupted run."""
        return attention(self._runs, self.nodes(heads))

    def node(self, name: str) -> Node:
        """A node by its name; the pairs' position names count: `"L0H0.q@S2"`."""
        return self.nodes(name)[0]

    def nodes(self, what: Iterable[Node | str] | Node | str) -> list[Node]:
        """Nodes from nodes or names, each checked to exist in this model.

        Raises:
            IndexError: if a layer, head or position is out of range.
            ValueError: if a name is not a node's.
        """
        given = [what] if isinstance(what, (Node, str)) else list(what)
        nodes = [
            Node.parse(one, self.pairs.labels) if isinstance(one, str) else one
            for one in given
        ]
        for node in nodes:
            if not isinstance(node, Node):
                raise TypeError(f"{node!r} is not a node: use Node, Head or a name")
            self.extent.check(node)
        return nodes

    def reversed(self) -> PatchStudy:
        """The same study in the other direction, from the same two captured runs."""
        if self._reversed is None:
            other = object.__new__(PatchStudy)
            other.model, other.pairs, other.notice = self.model, self.pairs, self.notice
            other._fingerprint = self._fingerprint
            other._take(self._runs.reversed())
            other._reversed = self
            self._reversed = other
        return self._reversed

    def _check_model(self) -> None:
        refuse_dropout(self.model)
        if fingerprint(self.model) != self._fingerprint:
            raise RuntimeError(
                "the model's weights or hooks changed since this study ran it, so its "
                "results would not fit together: make a new PatchStudy"
            )

    def _check_logits(self) -> None:
        """Run the model once more: weights can change without leaving a trace.

        Raises:
            RuntimeError: if its logits are not those of the captured base run.
        """
        tokens = self._runs.base_tokens[: self._rows]
        with computing():
            now = self.model(tokens, return_type="logits")
            found = difference(self._logits, now, self.extent.n_layers)
        if found is not None:
            raise RuntimeError(
                f"the model's logits differ from those this study captured {found}, so "
                "its results would not fit together: make a new PatchStudy"
            )

    def __repr__(self) -> str:
        name = getattr(self.model.cfg, "model_name", "model")
        clean, corrupted = (float(values.mean()) for values in self.baselines)
        return (
            f"PatchStudy({name}, {len(self.pairs)} pair{'s' * (len(self.pairs) > 1)} of "
            f"{self.pairs.clean.shape[1]} tokens, {self.direction}, {self.metric}: "
            f"clean {clean:.3g}, corrupted {corrupted:.3g})"
        )


def _pairs(
    pairs: Pairs | Prompts, corrupted: Prompts | None, answers: Answers
) -> Pairs:
    if isinstance(pairs, Pairs):
        if corrupted is not None or answers is not None:
            raise ValueError("give either a Pairs, or prompts and answers, not both")
        return pairs
    if corrupted is None:
        raise ValueError("the corrupted prompts are missing")
    return Pairs(pairs, corrupted, answers=answers)


def _is_node_name(text: str) -> bool:
    return text[:1].isdigit() or (text[:1] == "L" and text[1:2].isdigit())
