"""What it costs to find the largest effects, and to know that they are.

Our reconstruction of the AtP* paper's "cost of verified recall" (arXiv 2403.00745): its
text was not at hand. Held to the definition below, the figures are comparable with each
other; do not compare them with the paper's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, log

from patchwidget.nodes import Node
from patchwidget.rank import Ranking


def cost_of_verified_recall(
    ranking: Ranking, effects: Mapping[Node, float], up_to: int | None = None
) -> list[float]:
    """C_K for K = 1 to `up_to`: runs until the true K largest are found and verified.

    C_K = C_est + max over k <= K of the rank of the node with the k-th largest true effect:
    what the ranking cost, and an exact patch of every node down to the lowest of them.
    A node that the ranking patched alone on its way is known from then on.

    Args:
        ranking: how nodes are looked at.
        effects: the exact effect of every node that is not known to be 0.
        up_to: the last K; None is as many as have an effect.

    Raises:
        ValueError: if fewer than `up_to` nodes have an effect, or none has.
        KeyError: if one of them is not ranked.
    """
    true = sorted(
        (node for node, effect in effects.items() if effect),
        key=lambda node: -abs(effects[node]),
    )
    up_to = len(true) if up_to is None else up_to
    if not 1 <= up_to <= len(true):
        raise ValueError(
            f"{len(true)} nodes have an effect: there is no true top {up_to}"
        )
    costs: list[float] = []
    for node in true[:up_to]:
        costs.append(max([ranking.price(node), *costs[-1:]]))
    return costs


def irwrgm(costs: Sequence[float]) -> float:
    """One number for a cost curve: 1 is an oracle, 2 twice its cost.

    The inverse-rank-weighted geometric mean of C_K / K, relative to the oracle's K: the
    first few effects count most.

    Raises:
        ValueError: if there is no cost.
    """
    if not costs:
        raise ValueError("there is no cost to take the mean of")
    logs = sum(log(cost / k) / k for k, cost in enumerate(costs, 1))
    return exp(logs / sum(1 / k for k in range(1, len(costs) + 1)))
