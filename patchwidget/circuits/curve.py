"""Faithfulness over the size of a circuit: CPR and CMD, as MIB defines them.

Mueller et al. (arXiv 2504.13151): the k first of a ranking make a circuit, for k of .1, .2,
.5, 1, 2, 5, 10, 20, 50 and 100 % of the parts, rounded down. Over these shares

- CPR (circuit performance ratio) is the area under f, the larger the better;
- CMD (circuit-model distance) is the area of |1 - f|, the smaller the better,

both by trapezoids from the first share to the last, in shares as they are (no logarithm),
of f of the means over the pairs, and divided by nothing: a ranking whose every circuit
does all of the work has CPR .999 and CMD 0. Each part counts as one, whatever its size.

MIB ranks by signed scores for CPR, so that f may pass 1 where parts that work against the
answer are left out, and by their sizes for CMD: `absolute=` says which. Its circuits are
cut out of heads, MLPs and the embedding: name `"embed"` and every `"L0.mlp"` in the ranking
to have the same parts. Most MIB figures are of edges: those are to be compared with curves
over paths. Where heads are grouped, MIB counts the keys and values of every query head;
here they are those of KV heads, which are fewer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from patchwidget.circuits.kept import Chosen, Kept, Key
from patchwidget.circuits.parts import Part
from patchwidget.circuits.spending import Run
from patchwidget.effects import Effect
from patchwidget.paths import Path
from patchwidget.spread import spread

MIB_SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True, eq=False)
class CircuitCurve:
    """How faithful the circuits of a ranking are.

    Attributes:
        order: the parts or paths, those ranked first before others; a `Path` of a grid
            is made when it is asked for.
        shares: sizes as shares of all parts.
        sizes: how many parts each circuit has.
        per_pair: faithfulness of each circuit on each pair, `[B, sizes]`.

    Example:
        >>> from patchwidget import PatchStudy, demo
        >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
        >>> curve = study.circuit_curve(study.estimate("z"))
        >>> curve.sizes
        (0, 0, 0, 0, 0, 2, 4, 8, 20, 40)
        >>> curve.cpr > 0.8, curve.cmd < 0.2
        (True, True)
    """

    order: Sequence[Part | Path]
    shares: tuple[float, ...]
    sizes: tuple[int, ...]
    per_pair: Tensor

    @property
    def values(self) -> Tensor:
        """Faithfulness of each circuit `[sizes]`."""
        return self.per_pair.mean(0)

    @property
    def spread(self) -> Tensor | None:
        """Range and interval of the mean over pairs `[4, sizes]`; see `spread.spread`."""
        return spread(self.per_pair)

    @property
    def cpr(self) -> float:
        """Area under faithfulness; MIB's where the shares are its own."""
        return self._area(self.values)

    @property
    def cmd(self) -> float:
        """Area between faithfulness and 1; MIB's where the shares are its own."""
        return self._area((1 - self.values).abs())

    def _area(self, values: Tensor) -> float:
        shares = torch.tensor(self.shares, dtype=torch.float64)
        return float(torch.trapezoid(values.detach().cpu().double(), shares))

    def __repr__(self) -> str:
        cells = zip(self.sizes, self.values.tolist(), strict=True)
        known = dict(cells)
        told = ", ".join(f"{size}: {value:.3f}" for size, value in known.items())
        return f"CPR {self.cpr:.3f}, CMD {self.cmd:.3f}; faithfulness by size {told}"


def curve_sizes(chosen: Chosen[Key, Run], shares: Sequence[float]) -> tuple[int, ...]:
    """How many parts each circuit has.

    Args:
        chosen: the parts in the order in which they join.
        shares: see `CircuitCurve`.

    Raises:
        ValueError: if shares are not ascending numbers in (0, 1], or a circuit has more
            parts than are ranked, and not all.
    """
    shares = tuple(shares)
    within = all(0 < share <= 1 for share in shares)
    if len(shares) < 2 or not within or list(shares) != sorted(set(shares)):
        raise ValueError(
            f"shares={shares!r}: give two or more ascending numbers above 0 and up to 1"
        )
    n_parts, n_ranked = len(chosen.whole), len(chosen.keys)
    sizes = tuple(int(share * n_parts) for share in shares)
    too_large = [size for size in sizes if n_ranked < size < n_parts]
    if too_large:
        raise ValueError(
            f"a circuit of {too_large[0]} of the {n_parts} parts is asked for, and only "
            f"{n_ranked} are ranked: rank all of them, or give smaller shares=(...)"
        )
    return sizes


def curve_runs(chosen: Chosen[Key, Run], shares: Sequence[float]) -> list[Run]:
    """The runs of the circuits of a curve.

    Raises:
        ValueError: see `curve_sizes`.
    """
    whole = chosen.whole
    return [
        whole.without(()) if size == len(whole) else whole.only(chosen.keys[:size])
        for size in curve_sizes(chosen, shares)
    ]


def circuit_curve(
    chosen: Chosen[Key, Run],
    runs: Sequence[Run],
    effects: Mapping[Run, Effect],
    shares: Sequence[float],
) -> CircuitCurve:
    """A curve, from the effects of the runs of `curve_runs`.

    Raises:
        ValueError: see `curve_sizes`; if all parts together change nothing.
    """
    kept, sizes = Kept(chosen.whole, effects), curve_sizes(chosen, shares)
    values = torch.stack(list(map(kept.of, runs)), 1)
    return CircuitCurve(chosen.members, tuple(shares), sizes, values)
