"""A widget in words: one line of what is studied, and the numbers that are known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from patchwidget.widget.wire import Record

_MOST_LINES = 5
_MOST_CHARACTERS = 120


def model_name(study: Record) -> str:
    """The model's name; of a folder the last part, since others are nobody's business."""
    name = str(study["model"])
    for form in (PurePosixPath, PureWindowsPath):
        if form(name).is_absolute():
            name = form(name).name
    return name


def facts(study: Record) -> str:
    """What is studied: model, metric, direction, and the prompts."""
    metric, pairs = study["metric"], study["pairs"]
    clean, corrupted = (
        sum(values) / len(values) for values in (metric["clean"], metric["corrupted"])
    )
    return (
        f"{model_name(study)}, {study['direction']}, {metric['name']} "
        f"(clean {clean:+.3g}, corrupted {corrupted:+.3g}), {_counted(len(pairs), 'pair')} of "
        f"{_counted(study['n_pos'], 'token')}"
    )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def prompts(study: Record) -> str:
    """The first pair's prompts, shortened."""
    first = study["pairs"][0]
    clean, corrupted = (_short("".join(first[run])) for run in ("clean", "corrupted"))
    which = "" if len(study["pairs"]) == 1 else "first "
    return f"{which}clean prompt “{clean}”, corrupted “{corrupted}”"


def _short(text: str) -> str:
    text = " ".join(text.split())
    if len(text) <= _MOST_CHARACTERS:
        return text
    return text[: _MOST_CHARACTERS - 1] + "…"


def summary(study: Record, method: str, verified: Mapping[str, Record]) -> str:
    """What is studied and how it is estimated, then exact effects, largest first."""
    ranked = sorted(verified.items(), key=lambda item: -abs(item[1]["exact"]))
    lines = [f"PatchWidget: {facts(study)}", f"estimates by {method}"]
    lines[1] += f"; {len(ranked)} verified" if ranked else "; nothing verified yet"
    lines += [_line(name, one) for name, one in ranked[:_MOST_LINES]]
    if ranked[_MOST_LINES:]:
        lines.append(f"  and {len(ranked) - _MOST_LINES} more in widget.verified")
    return "\n".join(lines)


def _line(name: str, record: Mapping[str, Any]) -> str:
    estimate = record["estimate"]
    text = "none" if estimate is None else f"{estimate:+.3f}"
    return f"  {name:<12} estimate {text:>7}   exact {record['exact']:+.3f}"
