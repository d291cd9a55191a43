"""A tensor of the user's own, made to fit a map; what does not fit is explained."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from patchwidget.nodes import HEAD_KINDS, axes_of, cuts_of
from patchwidget.study import PatchStudy

# What a student's functions return for several components at once.
_COMPONENTS = {
    3: "resid_pre, attn_out and mlp_out",
    5: "z, q, k, v and pattern",
}


def fitted(mine: Any, kind: str, study: PatchStudy, *, raw: bool) -> Tensor:
    """A copy of someone's effects of a kind, float32 `[*axes]`, in the study's scale.

    Args:
        mine: torch tensor or numpy array; NaN is a missing value.
        kind: our name of a kind.
        study: what it is compared with.
        raw: whether it holds the metric of patched runs itself, not effects.

    Raises:
        TypeError: if it is no array of real numbers.
        ValueError: if its shape is another, or a value is infinite.
    """
    found = _real(mine)
    shape = study.extent.shape(kind)
    if found.shape != shape:
        raise ValueError(_misfit(tuple(found.shape), kind, study))
    bad = found.isinf().nonzero().tolist()
    if bad:
        cell = ", ".join(map(str, bad[0]))
        raise ValueError(
            f"mine[{cell}] is infinite: something was divided by 0, perhaps clean minus "
            "corrupted metric. NaN stands for a value that is not known"
        )
    return (_effects(found, study) if raw else found).float()


def _real(mine: Any) -> Tensor:
    """Numbers in double precision, in memory of their own."""
    if isinstance(mine, Tensor):
        is_complex, is_bool = mine.is_complex(), mine.dtype == torch.bool
    elif isinstance(mine, np.ndarray):
        is_complex, is_bool = mine.dtype.kind == "c", mine.dtype.kind == "b"
        if mine.dtype.kind not in "biufc":
            raise TypeError(f"mine holds {mine.dtype}, not numbers: mine.astype(float)")
    else:
        raise TypeError(
            f"mine is a torch tensor or a numpy array, got {type(mine).__name__}: "
            "torch.tensor(mine) makes one of nested lists"
        )
    if is_complex:
        raise TypeError(f"mine is {mine.dtype}, and effects are real: mine.real")
    if is_bool:
        raise TypeError(
            "mine is True or False: a comparison's result? Effects are numbers"
        )
    if isinstance(mine, np.ndarray):
        return torch.from_numpy(mine.astype(np.float64, order="C"))
    found: Tensor = mine.detach().cpu().to(torch.float64, copy=True)
    return found


def _effects(metric: Tensor, study: PatchStudy) -> Tensor:
    """Effects from the metric of patched runs, means over the pairs."""
    clean, corrupted = study.baselines
    base = corrupted if study.direction == "denoising" else clean
    return (metric - float(base.cpu().double().mean())) / (study.scale or 1.0)


def _misfit(shape: tuple[int, ...], kind: str, study: PatchStudy) -> str:
    """Why a shape is not the map's, and what would help."""
    axes, sizes = axes_of(kind), study.extent.shape(kind)
    wanted = ", ".join(f"{axis} {size}" for axis, size in zip(axes, sizes, strict=True))
    return f"{_reason(shape, kind, study)} A map of {kind} is [{wanted}]."


def _reason(shape: tuple[int, ...], kind: str, study: PatchStudy) -> str:
    given, sizes = f"mine is {list(shape)}:", study.extent.shape(kind)
    rows, columns = axes_of(kind)
    if shape == sizes[::-1]:
        return (
            f"{given} your rows and columns are swapped: {rows} comes first, as in "
            f"mine[{rows}, {columns}]. mine.T is what fits."
        )
    other = _other_kind(shape, kind, study)
    if other:
        return f"{given} {other}"
    if len(shape) > 2:
        return f"{given} {_extra_axis(shape, kind, study)}"
    if len(shape) < 2:
        return f"{given} {_lost_axis(shape, kind, study)}"
    return f"{given} {_wrong_size(shape, kind, study)}"


def _other_kind(shape: tuple[int, ...], kind: str, study: PatchStudy) -> str | None:
    """A shape that another map, or a finer cut of this kind, has."""
    extent = study.extent
    for by in cuts_of(kind):
        if by is not None and shape == extent.shape(kind, by):
            axes = ", ".join(axes_of(kind, by))
            return (
                f"these are single positions, [{axes}], and the map has whole heads: "
                "all positions patched in one run, which is not the sum of single ones."
            )
    if kind in ("k", "v") and shape == extent.shape("q"):
        return (
            f"a column for every query head; {kind} has {extent.n_kv_heads} KV heads, "
            "each shared by several query heads."
        )
    for one in ("resid_pre", "z", "k"):
        if shape == extent.shape(one) and (one in HEAD_KINDS) != (kind in HEAD_KINDS):
            return f"[{', '.join(axes_of(one))}], as of {one}. Is another kind meant?"
    return None


def _extra_axis(shape: tuple[int, ...], kind: str, study: PatchStudy) -> str:
    sizes, n_pairs = study.extent.shape(kind), len(study.pairs.text)
    if len(shape) == 3 and shape[1:] == sizes:
        lead = shape[0]
        found = [] if lead != 1 else ["an axis of length 1 stands in front: mine[0]"]
        if lead in _COMPONENTS:
            found.append(
                f"an axis of components stands in front, perhaps {_COMPONENTS[lead]}: "
                f"compare one at a time, mine[i] with i the place of {kind}"
            )
        if lead == n_pairs != 1:
            found.append(
                "an axis of pairs stands in front: a map is the mean over them, "
                "mine.mean(0)"
            )
        if found:
            return "; or ".join(found) + "."
        return f"an axis of length {lead} stands in front: mine[i] picks one of them."
    if len(shape) == 3 and shape[:2] == sizes:
        mean = "mine.mean(-1)" if shape[2] == n_pairs else "mine[..., 0]"
        what = "of pairs " if shape[2] == n_pairs else f"of length {shape[2]} "
        return f"an axis {what}stands at the end: {mean}."
    return f"it has {len(shape)} axes, and a map has two."


def _lost_axis(shape: tuple[int, ...], kind: str, study: PatchStudy) -> str:
    (n_rows, n_columns), (rows, columns) = study.extent.shape(kind), axes_of(kind)
    if shape == (n_rows * n_columns,):
        return f"the rows stand one after another: mine.reshape({n_rows}, {n_columns})."
    if shape == (n_columns,):
        return f"one number for every {columns}: which {rows} is it? Stack all of them."
    if shape == (n_rows,):
        return f"one number for every {rows}: the loop over the {columns}s is missing."
    if not shape:
        return "a single number: the loops over the map's cells are missing."
    return "it has one axis, and a map has two."


def _wrong_size(shape: tuple[int, ...], kind: str, study: PatchStudy) -> str:
    sizes = study.extent.shape(kind)
    plural = {"layer": "layers", "pos": "positions", "head": "heads"}
    wrong = [
        f"{got} {plural[axis]}, and there are {size}"
        for got, axis, size in zip(shape, axes_of(kind), sizes, strict=True)
        if got != size
    ]
    hint = (
        " Was it made with other prompts?"
        if shape[0] == sizes[0] and kind not in HEAD_KINDS
        else " Was it made with another model?"
    )
    return "; ".join(wrong) + "." + hint
