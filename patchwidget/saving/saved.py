"""A study that was loaded without its model: it answers from what was saved."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

import torch
from torch import Tensor

from patchwidget.attention import Attention, query_heads
from patchwidget.effects import Effect, Effects, Joint
from patchwidget.estimate import Asked
from patchwidget.exact import Listener, Patch, filled, together
from patchwidget.grids import Grid, Scale
from patchwidget.nodes import (
    Extent,
    Node,
    Nodes,
    cut_of,
    is_kind_name,
    kind_name,
    nodes_of,
)
from patchwidget.pairs import TokenPairs
from patchwidget.runs import Direction
from patchwidget.saving.contents import Contents, SavedSource
from patchwidget.saving.errors import NeedsModelError
from patchwidget.saving.files import write_contents
from patchwidget.slices import Slices
from patchwidget.windows import Windows


class SavedStudy:
    """What `PatchStudy.load(path)` gives: the same questions, answered from a file.

    Whatever was not saved raises `NeedsModelError`.

    Args:
        contents: what was saved; the first direction is this study's.
        live: the class of studies that have their model.

    Attributes:
        pairs: the prompts as tokens.
        notice: one line to show the user, or None.
        model_name: what the model was called.
        source: the ablation, if it was one.
        provenance: versions of packages when it was saved, and the date (UTC).

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from patchwidget import PatchStudy, demo
        >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "ioi.patchwidget")
        ...     found = study.estimate("z")
        ...     study.save(path)
        ...     saved = PatchStudy.load(path)
        >>> saved.estimate("z").values.equal(found.values)
        True
    """

    def __init__(self, contents: Contents, live: type) -> None:
        self._contents, self._live = contents, live
        self._side = contents.sides[0]
        self.pairs: TokenPairs = contents.pairs
        self.notice: str | None = contents.notice
        self.model_name: str = contents.model.name
        self.source: SavedSource | None = contents.source
        self.provenance: Mapping[str, str] = contents.provenance

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        """Whatever else a study can be asked runs the model."""
        if name.startswith("_") or not hasattr(self._live, name):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return partial(_refuse, name)

    @property
    def model(self) -> Any:
        """The model is not there.

        Raises:
            NeedsModelError: always.
        """
        return _refuse("the model itself")

    @property
    def direction(self) -> Direction:
        """Which run the values are put into."""
        return self._side.direction

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Those that were saved."""
        saved = {side.direction for side in self._contents.sides}
        return tuple(one for one in ("denoising", "noising") if one in saved)

    @property
    def metric(self) -> str:
        """Name of the metric; of several, the first."""
        return self.metrics[0]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of all metrics."""
        return tuple(self._contents.metrics)

    @property
    def extent(self) -> Extent:
        """How many layers, heads, positions and neurons there are."""
        return self._contents.extent

    @property
    def baselines(self) -> tuple[Tensor, Tensor]:
        """The metric on the clean and on the corrupted prompts, `[B]` each."""
        return self._scale(None).of_prompts(self.direction)

    @property
    def scale(self) -> float | None:
        """What an effect of 1 is in the metric's units; None if the runs do not differ."""
        return self._scale(None).value

    def _scale(self, metric: str | None) -> Scale:
        return self._side.scales[self._metric(metric)]

    def _metric(self, name: str | None) -> str:
        if name is not None and name not in self.metrics:
            raise ValueError(
                f"there is no metric {name!r}: choose one of {', '.join(self.metrics)}"
            )
        return name or self.metric

    @property
    def verified(self) -> Effects:
        """Every exact effect of a single node that was known."""
        effects = self._effects(None)
        singles = {patch[0]: one for patch, one in effects.items() if len(patch) == 1}
        return Effects(singles, self.pairs.labels)

    def _effects(self, metric: str | None) -> Mapping[Patch, Effect]:
        return self._side.effects[self._metric(metric)]

    def estimate(
        self,
        kind: str,
        method: str = "atp",
        *,
        by: str | None = None,
        metric: str | None = None,
        **options: Any,
    ) -> Grid:
        """Estimates that were saved; see `PatchStudy.estimate`.

        Raises:
            NeedsModelError: if they were not.
            ValueError: if there is no such kind or metric.
        """
        kind, by, metric = kind_name(kind), cut_of(kind, by), self._metric(metric)
        asked = Asked.of(method, kind, by, metric, options)
        return self._side.grids.get(asked) or _refuse(str(asked))

    def estimating(
        self,
        kind: str,
        method: str = "atp",
        *,
        by: str | None = None,
        metric: str | None = None,
        **options: Any,
    ) -> Slices[Grid]:
        """`estimate`, which has nothing to wait for."""
        yield from ()
        return self.estimate(kind, method, by=by, metric=metric, **options)

    def methods(self, kind: str, *, by: str | None = None) -> tuple[str, ...]:
        """Names of the methods of which estimates of a kind, so cut, were saved."""
        kind, by = kind_name(kind), cut_of(kind, by)
        return tuple(
            asked.method
            for asked in self._side.grids
            if asked == Asked(asked.method, kind, by, self.metric)
        )

    def exact(
        self,
        what: Nodes,
        *,
        by: str | None = None,
        window: int | None = None,
        metric: str | None = None,
    ) -> Grid | Effects:
        """Exact effects that were known; see `PatchStudy.exact`.

        Raises:
            NeedsModelError: if one of them was not.
            ValueError, IndexError: see `PatchStudy.exact`.
        """
        effects, is_kind = self._effects(metric), is_kind_name(what)
        if is_kind:
            width = 1 if window is None else window
            patches = list(Windows(self.extent, str(what), by, width))
        elif by is not None or window is not None:
            raise ValueError(
                "by and window cut a kind; nodes say themselves what they are"
            )
        else:
            patches = [(node,) for node in self.nodes(what)]
        for patch in patches:
            self._require(patch, effects)
        if is_kind:
            return self.known(str(what), by, window=window, metric=metric)
        found = {patch[0]: effects[patch] for patch in patches}
        return Effects(found, self.pairs.labels)

    def joint(self, nodes: Nodes, *, metric: str | None = None) -> Joint:
        """A joint effect that was known; see `PatchStudy.joint`.

        Raises:
            NeedsModelError: if it, or a node's own, was not.
            ValueError, IndexError: see `PatchStudy.joint`.
        """
        effects, patch = self._effects(metric), together(self.nodes(nodes))
        self._require(patch, effects)
        singles = self.exact(patch, metric=metric)
        assert isinstance(singles, Effects)  # noqa: S101 - nodes give Effects
        return Joint(effects[patch], singles)

    def _require(self, patch: Patch, effects: Mapping[Patch, Effect]) -> None:
        if patch not in effects:
            shown = " + ".join(map(str, patch[:3])) + (" ..." if patch[3:] else "")
            _refuse(f"the exact effect of {shown}")

    def known(
        self,
        kind: str,
        by: str | None = None,
        *,
        window: int | None = None,
        metric: str | None = None,
    ) -> Grid:
        """Exact effects where they were known, NaN elsewhere."""
        metric = self._metric(metric)
        scale = self._scale(metric)
        empty = Grid(
            kind,
            scale.base.new_empty(len(scale.base), *self.extent.shape(kind, by)),
            by=by,
            scale=scale if self._contents.has_unit else None,
            direction=self.direction,
            metric=metric,
            window=1 if window is None else window,
        )
        return filled(empty, self._effects(metric), self.extent)

    def moving(self, kind: str, *, by: str | None = None) -> list[Node]:
        """The nodes of a kind that can have an effect: base and source differ there.

        Raises:
            NeedsModelError: if that was not saved: of neurons, and of finer cuts.
            ValueError: if the kind is unknown, or cannot be cut that way.
        """
        kind, by = kind_name(kind), cut_of(kind, by)
        if by is not None or kind not in self._contents.moving:
            _refuse(f"which {kind} nodes can have an effect")
        can_move = self._contents.moving[kind]
        return [node for node in self.extent.nodes(kind) if can_move[node.cell]]

    def can_patch(self, kind: str) -> bool:
        """Whether a kind existed and could be patched."""
        return self.obstacle(kind) is None

    def obstacle(self, kind: str) -> str | None:
        """Why a kind could not be patched; None if it could."""
        return self._contents.obstacles.get(kind_name(kind))

    def attention(self, heads: Nodes) -> Attention:
        """Attention patterns of heads that were saved.

        Raises:
            NeedsModelError: if a head's was not.
            ValueError: if a node is not part of a head, or there is none.
            IndexError: if there is no such head.
        """
        saved, wanted = self._contents.attention, dict[tuple[int, int], None]()
        for node in self.nodes(heads):
            wanted.update(dict.fromkeys(query_heads(self.extent, node)))
        if not wanted:
            raise ValueError("no head is named whose attention could be shown")
        for layer, head in wanted:
            if saved is None or (layer, head) not in saved.heads:
                _refuse(
                    f"the attention of L{layer}H{head} (save(path, attention=[heads]) "
                    "keeps it)"
                )
        assert saved is not None  # noqa: S101 - refused above
        rows = torch.tensor([saved.heads.index(one) for one in wanted])
        return replace(
            saved,
            heads=tuple(wanted),
            clean=saved.clean[rows],
            corrupted=saved.corrupted[rows],
            clean_norms=saved.clean_norms[rows],
            corrupted_norms=saved.corrupted_norms[rows],
        )

    def node(self, name: str) -> Node:
        """A node by its name."""
        return self.nodes(name)[0]

    def nodes(self, what: Nodes) -> list[Node]:
        """Nodes from nodes or names, each checked to exist.

        Raises:
            ValueError, IndexError, TypeError: see `PatchStudy.nodes`.
        """
        return nodes_of(what, self.pairs.labels, self.extent)

    def reversed(self) -> SavedStudy:
        """The other direction, if anything was known in it.

        Raises:
            NeedsModelError: if nothing was.
        """
        if len(self._contents.sides) == 1:
            _refuse("the other direction")
        turned = self._contents.with_sides(self._contents.sides[::-1])
        return SavedStudy(turned, self._live)

    def subscribe(self, listener: Listener) -> Callable[[], None]:  # noqa: ARG002 - the question's form
        """Nothing new becomes known without the model: a listener is never told."""
        return _nothing

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the same once more; see `PatchStudy.save`."""
        write_contents(path, self._contents)

    def __repr__(self) -> str:
        clean, corrupted = (float(values.mean()) for values in self.baselines)
        return (
            f"SavedStudy({self.model_name}, {len(self.pairs)} pairs of "
            f"{self.extent.n_pos} tokens, {self.direction}, {self.metric}: "
            f"clean {clean:.3g}, corrupted {corrupted:.3g}; {len(self._side.grids)} "
            f"estimates, {len(self.verified)} verified nodes)"
        )


def _nothing() -> None:
    """End a subscription that there is not."""


def _refuse(what: str, *_: Any, **__: Any) -> NoReturn:
    raise NeedsModelError(
        f"{what} was not saved, and needs the model: PatchStudy.load(path, model=model)"
    )
