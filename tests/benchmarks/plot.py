"""The picture of the benchmark of estimators."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from estimators import CURVE, TOP, Scores

from patchwidget.nodes import Node

# Okabe and Ito's colours, which colour-blind people tell apart too.
COLOURS = {
    "atp": "#D55E00",
    "atp_qk": "#0072B2",
    "graddrop": "#E69F00",
    "atp_star": "#56B4E9",
    "ig": "#009E73",
    "ig_input": "#CC79A7",
    "hierarchical": "#000000",
    "blocks": "#555555",
    "subsampling": "#888888",
    "random": "#BBBBBB",
}
SCATTERED = ("atp", "atp_qk")


def picture(scored: Mapping[str, Scores], shown: str, path: Path) -> None:
    """Draw it.

    Args:
        scored: the joint list of every case.
        shown: the case that the first two panels are about.
        path: where it is kept; its ending is its format.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    # Names in a file would otherwise be drawn at random: another file each time.
    mpl.rcParams.update({"svg.hashsalt": "estimates", "font.size": 9})
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    queries(axes[0], scored[shown])
    curves(axes[1], scored[shown])
    every_case(axes[2], scored)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def queries(ax, scores: Scores) -> None:
    """Estimates of queries against their exact effects, and what the fix moves."""
    points = {method: _points(scores, method) for method in SCATTERED}
    for method, (x, y) in points.items():
        ax.scatter(x, y, s=24, color=COLOURS[method], lw=0, label=method, zorder=2)
    (before, exact), (after, _) = points.values()
    ax.hlines(exact, before, after, color="lightgrey", lw=1, zorder=1)
    low, high = min(ax.get_xlim()[0], ax.get_ylim()[0]), ax.get_ylim()[1]
    ax.plot([low, high], [low, high], color="grey", lw=0.8, zorder=0)
    ax.text(0.7 * high, 0.63 * high, "exact = estimate", color="grey")
    ax.set(xlabel="estimated effect", ylabel="exact effect", aspect="equal")
    ax.set_title("Queries by position, bundled model")
    ax.legend(frameon=False, loc="lower right")


def _points(scores: Scores, method: str) -> tuple[list[float], list[float]]:
    grid = next(one for one in scores.grids[method] if one.kind == "q")
    nodes: list[Node] = [node for node in scores.effects if node.kind == "q"]
    return [grid[node] for node in nodes], [scores.effects[node] for node in nodes]


def curves(ax, scores: Scores) -> None:
    """C_K of every method."""
    for method, colour in COLOURS.items():
        costs = scores.by_method[method].costs
        places = range(1, len(costs) + 1)
        style = "-" if method in scores.grids else "--"
        ax.plot(places, costs, style, color=colour, label=method, lw=1.5)
    ax.plot([1, CURVE], [1, CURVE], ":", color="grey", label="an oracle")
    ax.set(xscale="log", yscale="log", xlim=(1, CURVE))
    every = len(scores.effects)
    ax.axhline(every, color="grey", lw=0.8)
    ax.text(1.1, 1.05 * every, f"all {every} patches", color="grey")
    ax.set(xlabel="K", ylabel="runs until the true top K is verified")
    ax.set_title("Cost of verified recall: z, q, k by position")
    ax.legend(frameon=False, fontsize=8, ncols=2, loc="lower right")
    _plain(ax.xaxis, ax.yaxis)


def every_case(ax, scored: Mapping[str, Scores]) -> None:
    """Cost of the top ten in every case, as a share of all patches."""
    names = list(scored)
    for method, colour in COLOURS.items():
        shares = [
            scored[name].by_method[method].cost / len(scored[name].effects)
            for name in names
        ]
        marker = "o" if method in scored[names[0]].grids else "x"
        ax.plot(shares, names, marker, color=colour, ms=6, alpha=0.9)
    ax.axvline(1, color="grey", lw=0.8)
    ax.set(xscale="log", xlabel=f"cost of the top {TOP} / cost of all patches")
    ax.invert_yaxis()
    ax.set_title("The same, every model (x: rankings by runs)")
    _plain(ax.xaxis)


def _plain(*every) -> None:
    """1, 10, 100 instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    for axis in every:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
