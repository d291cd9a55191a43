"""From a file's record and tensors to what was saved of a study, all of it checked."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

from patchwidget.attention import Attention
from patchwidget.effects import Effect
from patchwidget.estimate import METHODS, Asked
from patchwidget.exact import Patch
from patchwidget.grids import Cost, Grid, Scale
from patchwidget.nodes import Extent, Node, cut_of, kind_name
from patchwidget.pairs import TokenPairs
from patchwidget.runs import Direction
from patchwidget.saving.contents import Contents, Model, SavedSource, Side
from patchwidget.saving.encode import NODE_PARTS, NORMS, PATTERNS, PRECISIONS
from patchwidget.saving.fields import MOST, Fields, Tensors, check

_DIRECTIONS: tuple[Direction, ...] = ("denoising", "noising")
_MOST_LAYERS = _MOST_HEADS = 2**14
_MOST_NEURONS = 2**24


def decode(record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Contents:
    """What was saved.

    Raises:
        ValueError, IndexError: if it is not what a study can be.
    """
    fields, values = Fields(record, "record"), Tensors(tensors)
    pairs = _pairs(fields.part("pairs"), values)
    extent = _extent(fields.part("extent"), pairs)
    contents = Contents(
        pairs=pairs,
        extent=extent,
        metrics=_metrics(fields),
        source=_source(fields, values),
        has_unit=fields.flag("has_unit"),
        sides=(),
        attention=_attention(fields, values, pairs, extent),
        moving=_moving(fields, values, extent),
        obstacles=fields.texts_by_name("obstacles"),
        notice=fields.text_or_none("notice"),
        model=_model(fields.part("model")),
        provenance=fields.texts_by_name("provenance"),
    )
    kinds = [kind_name(kind) for kind in fields.texts("kinds")]
    reader = _Sides(contents, kinds, values)
    sides = tuple(reader.side(one) for one in fields.parts("sides"))
    directions = {side.direction for side in sides}
    check(
        sides and len(directions) == len(sides), "a direction is missing or twice there"
    )
    check(
        contents.source is None or directions == {"noising"}, "an ablation turned round"
    )
    values.finish()
    return contents.with_sides(sides)


def _pairs(fields: Fields, values: Tensors) -> TokenPairs:
    clean = values.wholes("clean", (None, None), 0, MOST)
    check(clean.numel(), "there are no prompts")
    n_pairs, n_pos = clean.shape
    answers = None
    if values.has("answers"):
        answers = values.wholes("answers", (n_pairs, None), 0, MOST)
        check(answers.shape[1] in (1, 2), "answers are one or two a pair")
    text = [
        (one.texts("clean", n_pos), one.texts("corrupted", n_pos))
        for one in fields.parts("text")
    ]
    width = 0 if answers is None else answers.shape[1]
    answer_text = [one.texts("text", width) for one in fields.parts("answers")]
    check(len(text) == n_pairs, "not as many texts as pairs")
    expected = 0 if answers is None else n_pairs
    check(len(answer_text) == expected, "not as many answers as pairs")
    return TokenPairs(
        clean=clean,
        corrupted=values.wholes("corrupted", (n_pairs, n_pos), 0, MOST),
        answers=answers,
        labels=fields.wholes_by_name("labels"),
        position=fields.whole("position", 0, n_pos - 1),
        text=tuple(text),
        answer_text=tuple(answer_text),
    )


def _extent(fields: Fields, pairs: TokenPairs) -> Extent:
    extent = Extent(
        n_layers=fields.whole("n_layers", 1, _MOST_LAYERS),
        n_heads=fields.whole("n_heads", 1, _MOST_HEADS),
        n_kv_heads=fields.whole("n_kv_heads", 1, _MOST_HEADS),
        n_pos=fields.whole("n_pos", 1),
        d_mlp=fields.whole("d_mlp", 0, _MOST_NEURONS),
    )
    check(extent.n_pos == pairs.clean.shape[1], "prompts of another length")
    check(extent.n_heads % extent.n_kv_heads == 0, "heads do not make groups")
    return extent


def _metrics(fields: Fields) -> dict[str, str | None]:
    found = fields.parts("metrics")
    metrics = {one.text("name"): one.text_or_none("means") for one in found}
    check(metrics and len(metrics) == len(found), "a metric is missing or twice there")
    return metrics


def _source(fields: Fields, values: Tensors) -> SavedSource | None:
    if not fields.has("source"):
        return None
    one = fields.part("source")
    prompts = None
    if values.has("source"):
        prompts = values.wholes("source", (None, None), 0, MOST)
    return SavedSource(
        one.text("name"),
        one.flag("is_own"),
        one.whole("seed", -MOST) if one.has("seed") else None,
        one.real("sigma") if one.has("sigma") else None,
        prompts,
    )


def _model(fields: Fields) -> Model:
    return Model(
        fields.text("name"),
        fields.texts_by_name("config"),
        fields.text("weights"),
        fields.text("unsure"),
    )


def _attention(
    fields: Fields, values: Tensors, pairs: TokenPairs, extent: Extent
) -> Attention | None:
    heads = tuple(
        (
            one.whole("layer", 0, extent.n_layers - 1),
            one.whole("head", 0, extent.n_heads - 1),
        )
        for one in fields.parts("attention")
    )
    if not heads:
        return None
    check(len(set(heads)) == len(heads), "a head is there twice")
    n_pos, n_pairs = extent.n_pos, len(pairs)
    shape = (len(heads), n_pairs, n_pos, n_pos)
    found = {one: values.floats(f"attention.{one}", shape) for one in PATTERNS}
    found |= {one: values.floats(f"attention.{one}", shape[:3]) for one in NORMS}
    return Attention(heads, **found, text=pairs.text)


def _moving(fields: Fields, values: Tensors, extent: Extent) -> dict[str, Tensor]:
    kinds = [kind_name(kind) for kind in fields.texts("moving")]
    return {
        kind: values.wholes(f"moving.{kind}", extent.shape(kind), 0, 1).bool()
        for kind in dict.fromkeys(kinds)
    }


class _Sides:
    """Reads the directions of a file.

    Args:
        contents: all but the directions.
        kinds: what the numbers of kinds mean.
        values: the file's tensors.
    """

    def __init__(self, contents: Contents, kinds: list[str], values: Tensors) -> None:
        self._contents, self._kinds, self._values = contents, kinds, values

    def side(self, fields: Fields) -> Side:
        """The results in one direction."""
        direction = fields.one_of("direction", _DIRECTIONS)
        metrics = list(self._contents.metrics)
        scales = {
            name: self._scale(direction, number, _dtype(fields))
            for number, name in enumerate(metrics)
        }
        units = scales if self._contents.has_unit else dict.fromkeys(metrics)
        patches = self._patches(direction)
        effects = {
            name: self._effects(direction, number, patches, scales[name], units[name])
            for number, name in enumerate(metrics)
        }
        grids: dict[Asked, Grid] = {}
        for number, one in enumerate(fields.parts("grids")):
            asked = _asked(one, metrics)
            check(asked not in grids, f"{asked} is there twice")
            place = f"{direction}.grid.{number}"
            grids[asked] = self._grid(one, asked, place, units[asked.metric], direction)
        return Side(direction, scales, grids, effects)

    def _scale(self, direction: str, number: int, dtype: torch.dtype | None) -> Scale:
        base = self._per_pair(f"{direction}.base.{number}", ())
        source = self._per_pair(f"{direction}.source.{number}", ())
        check(base.shape == source.shape, "two runs of different pairs")
        check(base.dtype == source.dtype, "two runs of different precision")
        return Scale(base, source, dtype)

    def _per_pair(self, name: str, before: tuple[int, ...]) -> Tensor:
        """Numbers `[..., B]`, or `[..., 1]` where only the mean is known."""
        found = self._values.floats(name, (*before, None), finite=True)
        check(
            found.shape[-1] in (1, len(self._contents.pairs)),
            f"{name} is of other pairs",
        )
        return found

    def _patches(self, direction: str) -> list[Patch]:
        sizes = self._values.wholes(f"{direction}.sizes", (None,), 1, MOST)
        shape = (None, 1 + len(NODE_PARTS))
        rows = self._values.wholes(f"{direction}.nodes", shape, -1, MOST)
        ends = [0, *accumulate(sizes.tolist())]
        check(ends[-1] == len(rows), "nodes are missing in a patch")
        nodes = [self._node(row) for row in rows.tolist()]
        patches = [tuple(nodes[start:stop]) for start, stop in pairwise(ends)]
        check(len(set(patches)) == len(patches), "a patch is there twice")
        return patches

    def _node(self, row: list[int]) -> Node:
        check(0 <= row[0] < len(self._kinds), "a node of no kind")
        parts = zip(NODE_PARTS, row[1:], strict=True)
        given = {name: value for name, value in parts if value >= 0}
        check("layer" in given, "a node of no layer")
        node = Node(self._kinds[row[0]], **given)
        self._contents.extent.check(node)
        return node

    def _effects(
        self,
        direction: str,
        number: int,
        patches: list[Patch],
        scale: Scale,
        unit: Scale | None,
    ) -> dict[Patch, Effect]:
        if not patches:
            return {}
        raw = self._per_pair(f"{direction}.raw.{number}", (len(patches),))
        check(raw.shape[-1] == len(scale.base), "effects and runs of other pairs")
        name = f"{direction}.halves.{number}"
        halves: list[Any] = [None] * len(patches)
        if self._values.has(name):
            both = self._per_pair(name, (2, len(patches)))
            halves = list(zip(both[0], both[1], strict=True))
        return {
            patch: Effect(patch, one, unit, half)
            for patch, one, half in zip(patches, raw, halves, strict=True)
        }

    def _grid(
        self,
        fields: Fields,
        asked: Asked,
        place: str,
        unit: Scale | None,
        direction: Direction,
    ) -> Grid:
        shape = self._contents.extent.shape(asked.kind, asked.by)
        raw = self._values.floats(place, (None, *shape))
        check(len(raw) in (1, len(self._contents.pairs)), f"{asked} is of other pairs")
        return Grid(
            asked.kind,
            raw,
            by=asked.by,
            scale=unit,
            method=asked.method,
            direction=direction,
            metric=asked.metric,
            signed=fields.flag("signed"),
            cost=_cost(fields),
        )


def _dtype(fields: Fields) -> torch.dtype | None:
    """The model's precision, by which it is told what rounding explains."""
    if not fields.has("dtype"):
        return None
    name = fields.one_of("dtype", tuple(PRECISIONS.values()))
    return next(dtype for dtype, one in PRECISIONS.items() if one == name)


def _cost(fields: Fields) -> Cost | None:
    if not fields.has("cost"):
        return None
    cost = fields.part("cost")
    return Cost(cost.real("forwards"), cost.real("backwards"))


def _asked(fields: Fields, metrics: list[str]) -> Asked:
    kind = kind_name(fields.text("kind"))
    by = cut_of(kind, fields.text_or_none("by"))
    metric = fields.one_of("metric", tuple(metrics))
    method = fields.one_of("method", tuple(METHODS))
    return Asked(method, kind, by, metric, fields.json_object("options"))
