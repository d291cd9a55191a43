"""What a live study has to be saved, and how it is put back into another one."""

# ruff: noqa: SLF001 - the study's own other half

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any, Protocol

import torch
from torch import Tensor

from patchwidget.attention import Attention
from patchwidget.decoder.agreement import tolerance
from patchwidget.effects import Effect
from patchwidget.estimate import Kept
from patchwidget.exact import Runner
from patchwidget.grids import Scale
from patchwidget.nodes import KINDS, Node
from patchwidget.pairs import TokenPairs
from patchwidget.runs import Runs
from patchwidget.saving.ablations import saved_source
from patchwidget.saving.contents import Contents, Model, Side
from patchwidget.saving.models import fingerprint
from patchwidget.sources import Source
from patchwidget.watch import Watch

Heads = Iterable[Node | str] | Node | str
_PACKAGES = ("patchwidget", "torch", "transformer_lens")
# A metric reads few logits: their difference rounds twice, once more for what is summed.
_ROUNDINGS = 4


class Live(Protocol):
    """What saving asks of a study that has its model."""

    model: Any
    pairs: TokenPairs
    notice: str | None
    _runs: Runs
    _runner: Runner
    _kept: Kept
    _watch: Watch
    _source: Source | None
    _reversed: Any

    def obstacle(self, kind: str) -> str | None:
        """Why a kind cannot be patched; None if it can."""
        ...

    def moving(self, kind: str) -> list[Node]:
        """The nodes that can have an effect."""
        ...

    def attention(self, heads: Heads) -> Attention:
        """Attention patterns of heads."""
        ...

    def reversed(self) -> Any:
        """The other direction."""
        ...


def gather(study: Live, heads: Heads) -> Contents:
    """All that is known, with the attention of some heads."""
    runs, other = study._runs, study._reversed
    wanted = [heads] if isinstance(heads, (Node, str)) else list(heads)
    reasons = {kind: study.obstacle(kind) for kind in KINDS}
    source = study._source
    return Contents(
        pairs=study.pairs,
        extent=runs.extent,
        metrics={
            name: like if isinstance(like, str) else None
            for name, like in runs.metric_likes.items()
        },
        source=None if source is None else saved_source(source, study.model),
        has_unit=runs.unit is not None,
        sides=tuple(_sides(study, other)),
        attention=study.attention(wanted) if wanted else None,
        moving={
            kind: _moving(study, kind)
            for kind, reason in reasons.items()
            if reason is None and kind != "neuron"  # millions, and on no map
        },
        obstacles={kind: why for kind, why in reasons.items() if why is not None},
        notice=study.notice,
        model=_model(study),
        provenance=_provenance(),
    )


def _sides(study: Live, other: Live | None) -> Iterable[Side]:
    yield _side(study)
    if other is not None:
        side = _side(other)
        if side.grids or any(side.effects.values()):
            yield side


def _side(study: Live) -> Side:
    runs, kept = study._runs, study._kept
    for asked in kept.dropped:
        warnings.warn(
            f"not saved: {asked}, which was given up for newer estimates; ask it again "
            "just before you save",
            RuntimeWarning,
            stacklevel=2,
        )
    known = study._runner.known
    return Side(
        runs.direction,
        {name: runs.reading(name).scale for name in runs.metrics},
        dict(kept.items()),
        {name: dict(known.of(name)) for name in runs.metrics},
    )


def _moving(study: Live, kind: str) -> Tensor:
    can_move = torch.zeros(study._runs.extent.shape(kind), dtype=torch.bool)
    for node in study.moving(kind):
        can_move[node.cell] = True
    return can_move


def _model(study: Live) -> Model:
    """The model, unless it is no longer the one that the results are of."""
    try:
        study._watch.check()
    except (RuntimeError, ValueError) as error:
        return fingerprint(study.model, str(error))
    return fingerprint(study.model)


def _provenance() -> dict[str, str]:
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {**{name: version(name) for name in _PACKAGES}, "saved": now}


def put_back(study: Live, contents: Contents) -> None:
    """Give a study the results of another one on the same prompts.

    Raises:
        ValueError: if its metric differs from the saved one.
    """
    for side in contents.sides:
        is_same = side.direction == study._runs.direction
        into = study if is_same else study.reversed()
        _compare(into._runs, side)
        _put(into, side)


def _compare(runs: Runs, side: Side) -> None:
    for name, saved in side.scales.items():
        scale = runs.reading(name).scale
        allowed = _allowed(runs, scale)
        for run in ("base", "source"):
            ours, theirs = getattr(scale, run), getattr(saved, run)
            fits = ours.shape == theirs.shape
            gap = float((ours.cpu() - theirs).abs().max()) if fits else float("nan")
            if not gap <= allowed:
                raise ValueError(
                    f"metric {name} on the {run} run differs from the saved one by "
                    f"{gap:.2g}, where rounding explains {allowed:.2g}: its model, or "
                    "one of its hooks, or a metric of its own, was another one"
                )


def _allowed(runs: Runs, scale: Scale) -> float:
    """Largest difference of a metric that rounding explains: see `decoder.tolerance`."""
    logits = runs.base.witness
    assert logits is not None  # noqa: S101 - `engines.captured` asked for it
    largest = max(1.0, float(logits.abs().max()))
    values = torch.cat([scale.base, scale.source])
    size = max(1.0, float(values.abs().max()) / largest)
    return _ROUNDINGS * size * tolerance(logits, runs.extent.n_layers)


def _put(study: Live, side: Side) -> None:
    runs, kept = study._runs, study._kept
    for name, effects in side.effects.items():
        reading = runs.reading(name)
        device = reading.scale.base.device
        found = [_effect(one, reading.unit, device) for one in effects.values()]
        study._runner.known.put_back(name, found)
    for asked, grid in side.grids.items():
        reading = runs.reading(asked.metric)
        raw = grid.raw.to(reading.scale.base.device)
        kept.keep(asked, replace(grid, raw=raw, scale=reading.unit))


def _effect(one: Effect, unit: Scale | None, device: torch.device) -> Effect:
    halves = one.halves and (one.halves[0].to(device), one.halves[1].to(device))
    return replace(one, raw=one.raw.to(device), scale=unit, halves=halves)
