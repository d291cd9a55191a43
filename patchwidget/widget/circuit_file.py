"""Verified paths as JSON text, which loads again where it is of the same study.

A number is only as good as what it was measured on. The text tells model, metric,
direction, source of the patched values and prompts, and the metric of both runs: another
model of the same name would give another one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from math import isfinite
from typing import Any

from patchwidget.paths import Path
from patchwidget.paths.chosen import paths_of
from patchwidget.paths.path import obstacle
from patchwidget.study import PatchStudy
from patchwidget.widget.circuit import FILE, Verified
from patchwidget.widget.messages import short
from patchwidget.widget.summary import model_name
from patchwidget.widget.wire import Record

FORMAT, VERSION = "patchwidget-circuit", 1
# Devices and precisions round in their own ways.
ROUNDING = 0.01


def text_of(study: PatchStudy, paths: Mapping[str, Record]) -> str:
    """Verified paths as text.

    Args:
        study: whose they are, in its direction.
        paths: by name, as in the `circuit` trait.
    """
    record = {"format": FORMAT, "version": VERSION, **_origin(study), "paths": paths}
    return json.dumps(record, indent=1, allow_nan=False)


def paths_in(text: str, study: PatchStudy) -> dict[Path, Verified]:
    """The paths that a text holds.

    Raises:
        ValueError: if it is no such text, damaged, or of another study, with the reason.
        IndexError: if it names what the model does not have.
    """
    record = _parsed(text)
    _compare(record, _origin(study))
    paths = record.get("paths")
    if not isinstance(paths, dict):
        raise _damaged(f"paths is {short(paths)}")
    return {_path(name, study): _verified(name, one) for name, one in paths.items()}


def _origin(study: PatchStudy) -> Record:
    """What numbers were measured on."""
    clean, corrupted = (values.tolist() for values in study.baselines)
    return {
        "model": model_name({"model": study.model_name}),
        "metric": study.metric,
        "direction": study.direction,
        "pairs": _digest(study),
        "baselines": {"clean": clean, "corrupted": corrupted},
    }


def _digest(study: PatchStudy) -> str:
    """Of prompts, answers and where they are read, and an ablation and its prompts."""
    pairs, source = study.pairs, study.source
    told: list[Any] = [pairs.clean, pairs.corrupted, pairs.answers, pairs.position]
    if source is not None:
        told += [source.name, source.seed, source.sigma, source.prompts]
    plain = [one.tolist() if hasattr(one, "tolist") else one for one in told]
    return sha256(json.dumps(plain).encode()).hexdigest()


def _parsed(text: str) -> Record:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"this is no circuit: it is not JSON ({error})") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ValueError(
            f"this is no circuit: load what 'copy JSON' gives, which says {FORMAT!r}"
        )
    if record.get("version") != VERSION:
        raise ValueError(
            f"this circuit is of version {short(record.get('version'))}, and this "
            f"patchwidget reads version {VERSION}"
        )
    return record


def _compare(record: Record, ours: Record) -> None:
    for name in ("model", "metric", "direction"):
        if record.get(name) != ours[name]:
            raise ValueError(
                f"this circuit is of another {name}: {short(record.get(name))}, and this "
                f"study's is {short(ours[name])}"
            )
    if record.get("pairs") != ours["pairs"]:
        raise ValueError(
            "this circuit is of other prompts, or of other answers or another ablation"
        )
    theirs = record.get("baselines")
    for run, values in ours["baselines"].items():
        if not isinstance(theirs, dict) or not _alike(theirs.get(run), values):
            raise ValueError(
                f"this circuit is of another model of that name, or another metric: the "
                f"{run} prompts gave another one than here"
            )


def _alike(theirs: Any, ours: list[float]) -> bool:
    if not isinstance(theirs, list) or len(theirs) != len(ours):
        return False
    allowed = ROUNDING * max(map(abs, ours))
    both = zip(theirs, ours, strict=True)
    return all(_is_number(t) and abs(t - o) <= allowed for t, o in both)


def _path(name: str, study: PatchStudy) -> Path:
    (path,) = paths_of(name, study.extent, study.pairs.labels)
    (writer,), (reader,) = path.writers, path.readers
    reason = obstacle(writer, reader, parallel=False)
    if reason is not None:
        raise ValueError(reason)
    return path


def _verified(name: str, record: Any) -> Verified:
    found = record if isinstance(record, dict) else {}
    exact: Any = found.get("exact")
    ends: Any = found.get("interval")
    is_interval = isinstance(ends, list) and len(ends) == 2
    if not _is_number(exact) or not (
        ends is None or (is_interval and all(map(_is_number, ends)))
    ):
        raise _damaged(f"{short(name)} is {short(record)}")
    interval = None if ends is None else (float(ends[0]), float(ends[1]))
    return Verified(float(exact), interval, FILE)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def _damaged(what: str) -> ValueError:
    return ValueError(f"this circuit is damaged: {what}")
