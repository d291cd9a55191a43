"""How methods fare on one list of nodes of which every exact effect is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from published import effects as published_effects
from published import grids as published_grids

from patchwidget.estimate import METHODS, Curvature
from patchwidget.grids import Grid
from patchwidget.nodes import HEAD_KINDS, STREAM_KINDS, Node, cut_of
from patchwidget.rank import RANKINGS, Ranking, means_of, ranking_of, sizes_of
from patchwidget.study import PatchStudy
from patchwidget.verify import Agreement, Check, Figures, cost_of_verified_recall

# What an option makes of a method is a method of its own here.
ESTIMATES = {
    **{name: (name, {}) for name in METHODS},
    "ig_20": ("ig", {"steps": 20}),
    "ig_input": ("ig", {"path": "input"}),
    "graddrop_sublayer": ("graddrop", {"cuts": "sublayer"}),
    "atp_star_sublayer": ("atp_star", {"cuts": "sublayer"}),
}
# AtP with the second-order term of every node, which takes more than to patch them all.
CORRECTED = "hvp"
MOST_CORRECTED = 1000
TOP = 10
CURVE = 100  # K up to which costs are kept, for the picture
MOST_RUNS = {"subsampling": 200, "hierarchical": 500}


@dataclass(frozen=True)
class NodeList:
    """Nodes that are ranked together: of these kinds, so finely cut."""

    kinds: tuple[str, ...]
    by: str | None = None

    def __str__(self):
        kinds = ", ".join(self.kinds)
        if self.by is None and self.kinds[0] in HEAD_KINDS:
            return f"{kinds} by head"
        return f"{kinds} by position"


JOINT = NodeList(("z", "q", "k"), "pos")
LISTS = (
    *(NodeList((kind,)) for kind in (*STREAM_KINDS, *HEAD_KINDS)),
    *(NodeList((kind,), "pos") for kind in HEAD_KINDS),
    NodeList(("neuron",)),
    JOINT,
)


@dataclass(frozen=True, eq=False)
class Score:
    """One method on one list.

    Attributes:
        figures: agreement with the exact effects; None for what only ranks.
        costs: C_K for K = 1, 2, ...: see `cost_of_verified_recall`.
    """

    figures: Figures | None
    costs: Sequence[float]

    @property
    def cost(self):
        """Of the true top ten, verified; None where fewer nodes have an effect."""
        return self.costs[TOP - 1] if len(self.costs) >= TOP else None


@dataclass(frozen=True, eq=False)
class Scores:
    """All methods on one list.

    Attributes:
        total: nodes of the list.
        effects: exact effects of those that can have one: base and source differ there.
        by_method: a method that is not defined for a kind is not in it.
        grids: what the estimates gave.
    """

    total: int
    effects: Mapping[Node, float]
    by_method: Mapping[str, Score]
    grids: Mapping[str, Sequence[Grid]] = field(default_factory=dict)


def scores(study: PatchStudy, nodes: NodeList) -> Scores:
    """Every method on a list; all its exact patches are run."""
    every = [
        node for kind in nodes.kinds for node in study.extent.nodes(kind, nodes.by)
    ]
    moving = study._runner.moving(every)
    exact = study.exact(moving)
    effects = {node: exact[node].value for node in moving}
    grids = {
        method: found
        for method in ESTIMATES
        if (found := estimates(study, nodes, method)) is not None
    }
    by_method = {method: score(found, effects) for method, found in grids.items()}
    if len(moving) <= MOST_CORRECTED:
        by_method[CORRECTED] = corrected(study, nodes, effects)
    by_method |= {name: ranked(study, nodes, name, effects) for name in RANKINGS}
    return Scores(len(every), effects, by_method, grids)


def published_scores(nodes: NodeList) -> Scores | None:
    """Plain AtP on GPT-2 small as others have printed it; None where they did not.

    Of the rivals, only a random order can be had without the model.
    """
    names = [(kind, cut_of(kind, nodes.by)) for kind in nodes.kinds]
    printed = published_grids("atp")
    if not set(names) <= set(printed):
        return None
    grids, effects = [printed[name] for name in names], published_effects(names)
    by_method = {
        "atp": score(grids, effects),
        "random": Score(None, expected_costs(effects)),
    }
    total = sum(grid.values.numel() for grid in grids)
    return Scores(total, effects, by_method, {"atp": grids})


def estimates(study: PatchStudy, nodes: NodeList, method: str) -> list[Grid] | None:
    """A grid of each kind; None if the method is not defined for one of them."""
    name, options = ESTIMATES[method]
    try:
        return [
            study.estimate(kind, name, by=nodes.by, **options) for kind in nodes.kinds
        ]
    except ValueError as error:
        if "is not defined for" in str(error):
            return None
        raise


def score(grids: Sequence[Grid], effects: Mapping[Node, float]) -> Score:
    """Estimates on the nodes whose effects are given."""
    checks = [
        Check(node, float(mean), float(size), effects[node], grid.signed)
        for grid in grids
        for node, mean, size in zip(
            grid.nodes(), means_of(grid), sizes_of(grid), strict=True
        )
        if node in effects
    ]
    return Score(Agreement(checks).overall, costs(ranking_of(*grids), effects))


def corrected(
    study: PatchStudy, nodes: NodeList, effects: Mapping[Node, float]
) -> Score:
    """AtP with every node's second-order term, at the cost of all these terms."""
    found = study.hvp(effects)
    atp = study.estimate(nodes.kinds[0], by=nodes.by)
    checks = [
        Check(node, one.value, _size(one), effects[node]) for node, one in found.items()
    ]
    sizes = [check.size for check in checks]
    spent = atp.cost.passes + sum(one.cost.passes for one in found.values())
    ranking = Ranking(CORRECTED, tuple(found), sizes, spent)
    return Score(Agreement(checks).overall, costs(ranking, effects))


def _size(found: Curvature) -> float:
    """As `sizes_of` a grid."""
    return float(found.scale.normalise(found.raw).abs().mean())


def ranked(
    study: PatchStudy, nodes: NodeList, name: str, effects: Mapping[Node, float]
) -> Score:
    """A ranking that spends runs."""
    if name == "random":
        return Score(None, expected_costs(effects))
    # A ranking that takes more runs than there are nodes is dearer than all exact patches.
    runs = {"runs": min(MOST_RUNS[name], len(effects))} if name in MOST_RUNS else {}
    return Score(
        None, costs(study.rank(nodes.kinds, name, by=nodes.by, **runs), effects)
    )


def expected_costs(effects: Mapping[Node, float]) -> list[float]:
    """C_K of a random order, the mean over all orders.

    The last of K nodes that lie at random among N has place K (N + 1) / (K + 1) on average.
    """
    return [k * (len(effects) + 1) / (k + 1) for k in range(1, _up_to(effects) + 1)]


def costs(ranking: Ranking, effects: Mapping[Node, float]) -> list[float]:
    """C_K up to `CURVE`, or up to the last node with an effect."""
    return cost_of_verified_recall(ranking, effects, _up_to(effects))


def _up_to(effects: Mapping[Node, float]) -> int:
    return min(CURVE, sum(effect != 0 for effect in effects.values()))
