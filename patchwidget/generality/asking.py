"""What a study can be asked about how general it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol, cast

from patchwidget.attention import query_heads
from patchwidget.effects import Effects
from patchwidget.engines import agreeing
from patchwidget.exact.bar import exhaust
from patchwidget.exact.budget import allowed_bytes
from patchwidget.generality.comparison import Generality
from patchwidget.generality.habits import Habits
from patchwidget.generality.pick import Pick
from patchwidget.generality.places import on_other_pairs
from patchwidget.generality.reading import Reading
from patchwidget.generality.text import texts_of
from patchwidget.nodes import Extent, Node, Nodes
from patchwidget.pairs import Answers, Pairs, Prompts, TokenPairs
from patchwidget.runs import Direction, Runs, computing
from patchwidget.sources import Source
from patchwidget.watch import Watch

if TYPE_CHECKING:  # Python's own since 3.11
    from typing_extensions import Self


class _Study(Protocol):
    """What these questions need of a study."""

    model: Any
    pairs: TokenPairs
    notice: str | None
    _runs: Runs
    _watch: Watch
    _source: Source | None
    _budget: int | None

    @property
    def extent(self) -> Extent: ...

    @property
    def direction(self) -> Direction: ...

    @property
    def metric(self) -> str: ...

    def nodes(self, what: Nodes) -> list[Node]: ...

    def exact(self, what: list[Node], *, metric: str | None = None) -> Any: ...

    def on(
        self,
        pairs: Pairs | Prompts,
        corrupted: Prompts | None = None,
        answers: Answers = None,
    ) -> Self: ...


class Generalising:
    """The part of `PatchStudy` that asks whether a finding is general."""

    def on(
        self,
        pairs: Pairs | Prompts,
        corrupted: Prompts | None = None,
        answers: Answers = None,
    ) -> Self:
        """The same study (model, metrics, direction, ablation, budget) on other pairs.

        A metric of one's own is asked about the other prompts: it must not hold the
        answers of these.

        Args:
            pairs: a `Pairs`, or the clean prompts.
            corrupted: the corrupted prompts, if `pairs` are the clean ones.
            answers: the answers, if `pairs` are the clean prompts.

        Raises:
            ValueError, TypeError: see `PatchStudy`.
        """
        study = cast("_Study", self)
        make: Callable[..., Self] = type(self)  # arguments are a `PatchStudy`'s
        return make(
            study.model,
            pairs,
            corrupted,
            answers,
            metric=dict(study._runs.metric_likes),  # noqa: SLF001 - a part of it
            direction=study.direction,
            source=study._source,  # noqa: SLF001 - a part of it
            budget=study._budget,  # noqa: SLF001 - a part of it
        )

    def generality(
        self: _Study,
        nodes: Nodes,
        pairs: Pairs | Prompts,
        corrupted: Prompts | None = None,
        answers: Answers = None,
        *,
        metric: str | None = None,
    ) -> Generality:
        """Exact effects of the same nodes on these pairs and on others, side by side.

        Args:
            nodes: the picks. Of those without a position, or with one that both sets of
                pairs name, the other prompts may have another length.
            pairs: the other pairs, or their clean prompts; see `on`.
            corrupted: see `on`.
            answers: see `on`.
            metric: one of `metrics`; None is the first.

        Raises:
            ValueError: if nothing is picked; if a pick's position is a number and the
                other prompts have another length, or another place of that name; if both
                runs of one of the sets have the same metric.
            IndexError: if the model has no such node, in one of the two sets.
            RuntimeError: if the model changed since the study captured its runs.

        Example:
            >>> from patchwidget import PatchStudy, demo
            >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
            >>> found = study.generality(["L2H1.v", "L4H0"], demo.induction_pairs())
            >>> found["L2H1.v"].verdict
            'gone'
        """
        picks = [nodes] if isinstance(nodes, (Node, str)) else list(nodes)
        if not picks:
            raise ValueError("no node is picked that could hold on other pairs")
        ours = self.nodes(picks)
        other = self.on(pairs, corrupted, answers)
        theirs = [on_other_pairs(pick, self.pairs, other.pairs) for pick in picks]
        for study, whose in ((self, "these"), (other, "the other")):
            _require_gap(study._runs.reading(metric or self.metric), whose)  # noqa: SLF001 - a part of it
        here: Effects = self.exact(ours, metric=metric)
        there: Effects = other.exact(other.nodes(theirs), metric=metric)
        both = tuple(Pick(here[a], there[b]) for a, b in zip(ours, theirs, strict=True))
        return Generality(both, here, there, metric or self.metric)

    def habits(self: _Study, texts: Prompts, heads: Nodes | None = None) -> Habits:
        """Where heads look on ordinary text: before, at duplicates, after these.

        Kept are three scores, and the position most attended to, for each head and
        token: 20 bytes.

        Args:
            texts: strings of any length, or tokens `[N, T]`, padded at the end if at all.
                The bundled model's own: `demo.texts(50)`.
            heads: which; all by default. A KV head stands for its group.

        Raises:
            ValueError: if there are no texts, one is too long for the model or for the
                budget, or is padded before its end; if a node is not part of a head; if
                attention is not finite.
            IndexError: if there is no such head.
            RuntimeError: if the model changed since the study captured its runs.

        Example:
            >>> from patchwidget import PatchStudy, demo
            >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
            >>> habits = study.habits(demo.texts(20), ["L0H4", "L3H5"])
            >>> [example.habit for example in habits.examples("induction", "L3H5", [0.9])]
            ['induction']
        """
        self._watch.check()
        with computing():
            as_tokens = texts_of(self.model, texts)
            wanted = _heads(self.extent, None if heads is None else self.nodes(heads))
            longest = max(as_tokens, key=len).tokens
            engine, notice = agreeing(self.model, self._runs.engine, longest[None])
        runs = replace(self._runs, engine=engine)
        reading = Reading(
            runs, as_tokens, wanted, allowed_bytes(self._budget, longest.device)
        )
        exhaust(reading.steps(self._watch.check), "habits", "tokens")
        return reading.habits(self.notice or notice)


def _heads(extent: Extent, nodes: list[Node] | None) -> list[tuple[int, int]]:
    """(layer, query head) of the heads asked about, each once."""
    if nodes is None:
        return list(product(range(extent.n_layers), range(extent.n_heads)))
    if not nodes:
        raise ValueError("no head is named whose habits could be told")
    found = [head for node in nodes for head in query_heads(extent, node)]
    return list(dict.fromkeys(found))


def _require_gap(runs: Runs, whose: str) -> None:
    scale = runs.unit
    if scale is not None and scale.value is None:
        raise ValueError(
            f"{whose} pairs' clean and corrupted prompts give the same metric "
            f"({float(scale.base.mean()):.6g}): an effect is a fraction of their "
            "difference, so there is nothing to compare"
        )
