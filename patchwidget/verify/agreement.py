"""How well estimates agree with exact effects, where both are known.

Two kinds of figures, since neither tells the other: do the sizes fit (Pearson's r, the
slope), and does the order (Spearman's r, recall@k)?
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from patchwidget.nodes import Node

Numbers = NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)

RECALLED = (1, 5, 10, 20)


@dataclass(frozen=True)
class Check:
    """An estimate beside the exact effect, both means over the pairs.

    Attributes:
        node: of which node.
        estimate: its estimated effect.
        size: what it was ranked by: the mean over pairs of the estimates' sizes.
        exact: its exact effect.
        signed: False if the estimate is a size, to be compared with the effect's.

    Example:
        >>> Check(Node("z", 2, head=1), 0.3, 0.3, 0.5).miss
        0.2
    """

    node: Node
    estimate: float
    size: float
    exact: float
    signed: bool = True

    @property
    def compared(self) -> float:
        """The exact effect as the estimate would give it: its size, if that is one."""
        return self.exact if self.signed else abs(self.exact)

    @property
    def miss(self) -> float:
        """|exact - estimate|."""
        return abs(self.compared - self.estimate)

    def __repr__(self) -> str:
        return (
            f"{self.node}: estimate {self.estimate:+.4f}, exact {self.exact:+.4f}, "
            f"miss {self.miss:.4f}"
        )


@dataclass(frozen=True)
class Figures:
    """Agreement on some nodes; None where a figure is not defined.

    Attributes:
        n: how many nodes.
        pearson: correlation; None below 2 nodes, or where either does not vary.
        slope: of the line that predicts exact effects from estimates, with an intercept
            (least squares): below 1, estimates are too large. None where they do not vary.
        spearman: correlation of the ranks, ties sharing theirs; None as `pearson`.
        recall: by k, the share of the k largest exact effects that is among the k largest
            estimates *of these nodes*; None where k is not below n, or fewer than k
            effects differ from 0.
    """

    n: int
    pearson: float | None
    slope: float | None
    spearman: float | None
    recall: Mapping[int, float | None]

    def __repr__(self) -> str:
        recall = ", ".join(f"@{k} {_text(value)}" for k, value in self.recall.items())
        return (
            f"n {self.n}, Pearson {_text(self.pearson)}, slope {_text(self.slope)}, "
            f"Spearman {_text(self.spearman)}, recall {recall}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, None where not defined."""
        recall = {str(k): value for k, value in self.recall.items()}
        own = {name: getattr(self, name) for name in ("n", "pearson", "slope")}
        return {**own, "spearman": self.spearman, "recall": recall}


@dataclass(frozen=True, eq=False)
class Agreement:
    """Agreement on what is verified: overall, by kind, by layer.

    What is verified was mostly chosen by the estimate: nodes that it overlooks are
    missing here, and recall among the verified says nothing about them. The bound does.

    Example:
        >>> nodes = [Node("z", 0, head=head) for head in range(3)]
        >>> checks = [Check(n, x, abs(x), 2 * x) for n, x in zip(nodes, (0.1, -0.2, 0.4))]
        >>> round(Agreement(checks).overall.slope, 6)
        2.0
    """

    checks: Sequence[Check]

    @cached_property
    def overall(self) -> Figures:
        """On all of them."""
        return _of(self.checks)

    @cached_property
    def by_kind(self) -> dict[str, Figures]:
        """On the nodes of each kind."""
        return self._by(lambda check: check.node.kind)

    @cached_property
    def by_layer(self) -> dict[int, Figures]:
        """On the nodes of each layer, all kinds together."""
        return self._by(lambda check: check.node.layer)

    def of(self, kind: str | None = None, layer: int | None = None) -> Figures:
        """On the nodes of one kind, one layer, or one kind in one layer."""
        chosen = [
            check
            for check in self.checks
            if kind in (None, check.node.kind) and layer in (None, check.node.layer)
        ]
        return _of(chosen)

    def _by(self, key: Callable[[Check], Key]) -> dict[Key, Figures]:
        groups: dict[Key, list[Check]] = {}
        for check in self.checks:
            groups.setdefault(key(check), []).append(check)
        return {name: _of(groups[name]) for name in sorted(groups, key=str)}

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, None where not defined."""
        return {
            "overall": self.overall.to_dict(),
            "by_kind": {name: one.to_dict() for name, one in self.by_kind.items()},
            "by_layer": {
                str(name): one.to_dict() for name, one in self.by_layer.items()
            },
        }

    def __repr__(self) -> str:
        rows = [("all", self.overall), *self.by_kind.items()]
        rows += [(f"layer {layer}", one) for layer, one in self.by_layer.items()]
        return "\n".join(f"{name}: {one}" for name, one in rows)


def _of(checks: Sequence[Check]) -> Figures:
    return figures(
        [check.estimate for check in checks],
        [check.compared for check in checks],
        [check.size for check in checks],
    )


def figures(
    estimates: ArrayLike,
    effects: ArrayLike,
    sizes: ArrayLike | None = None,
    recalled: Sequence[int] = RECALLED,
) -> Figures:
    """Agreement of estimates with effects, `[n]` each.

    Args:
        estimates: of each node.
        effects: exact ones.
        sizes: what nodes are ranked by; by default the sizes of the estimates.
        recalled: which k to give recall@k for.

    Raises:
        ValueError: if a value is not finite, or there are not as many of each.
    """
    x, y = (np.asarray(one, dtype=np.float64) for one in (estimates, effects))
    z = np.abs(x) if sizes is None else np.asarray(sizes, dtype=np.float64)
    if not len(x) == len(y) == len(z):
        raise ValueError(f"{len(x)} estimates, {len(y)} effects, {len(z)} sizes")
    if not all(np.isfinite(one).all() for one in (x, y, z)):
        raise ValueError("an estimate or an effect is not finite")
    return Figures(
        len(x),
        _correlation(x, y),
        _slope(x, y),
        _correlation(_ranks(x), _ranks(y)),
        {k: _recall(z, y, k) for k in recalled},
    )


def _varies(values: Numbers) -> bool:
    return len(values) > 1 and bool(values.min() < values.max())


def _correlation(x: Numbers, y: Numbers) -> float | None:
    if not (_varies(x) and _varies(y)):
        return None
    a, b = _centred(x), _centred(y)
    return float(np.clip(a @ b, -1.0, 1.0))


def _centred(values: Numbers) -> Numbers:
    """Less the mean, and of length 1: scaled first, lest squares vanish or overflow."""
    away = values - values.mean()
    away = away / np.abs(away).max()
    return np.asarray(away / np.sqrt(away @ away))


def _slope(x: Numbers, y: Numbers) -> float | None:
    if not _varies(x):
        return None
    away = x - x.mean()
    largest = np.abs(away).max()
    return float((away / largest) @ (y - y.mean()) / ((away / largest) @ away))


def _ranks(values: Numbers) -> Numbers:
    """Ranks from 0; values that are alike share the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts) - 1
    found: Numbers = (last - (counts - 1) / 2)[places]
    return found


def _recall(sizes: Numbers, effects: Numbers, k: int) -> float | None:
    if k >= len(effects) or np.count_nonzero(effects) < k:
        return None
    true, thought = (
        set(np.argsort(-np.abs(one), kind="stable")[:k].tolist())
        for one in (effects, sizes)
    )
    return len(true & thought) / k


def _text(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"
