"""How good the estimates are, and what it costs to check them: figures and a picture."""

from __future__ import annotations

import time

import pytest
from bound_coverage import CONFIDENCE, of_runs, of_sums
from estimators import (
    CORRECTED,
    ESTIMATES,
    JOINT,
    LISTS,
    MOST_CORRECTED,
    MOST_RUNS,
    TOP,
    published_scores,
    scores,
)
from machine import RESULTS, Table
from plot import picture
from published import published
from studies import bundled, cases
from tables import NONE, of_case, of_cases, row, runs
from top_ten import verified

from patchwidget.rank.subsampling import RUNS, SHARE

pytestmark = pytest.mark.bench

REPETITIONS = 200
IOI = "indirect objects"
PUBLISHED = "GPT-2 small, published"
WORDS = f"""\
Denoising; effects are means over the pairs. *Nodes that can matter* are those at which
clean and corrupted run differ: only these are counted and patched. *Pearson* and *slope*
compare estimates with exact effects, by `graddrop` and `atp_star` sizes with sizes; the
slope is that of the line that predicts exact effects, so that below 1 estimates are too
large. *recall@k*: share of the k largest exact effects that is among the k largest
estimates. *Cost of the top {TOP}*: patched runs, in rank order, until the true {TOP} largest
effects are found and verified, with what the ranking took before (a backward counts as two
forward passes). It is our reconstruction of AtP*'s "cost of verified recall", whose text was
not at hand: comparable within this file, not with the paper. `ig` is integrated gradients along
activations, `ig_input` along the input, 5 points each, and `ig_20` along activations with 20.
`graddrop_sublayer` and `atp_star_sublayer` cut what attention and what the MLP writes
separately. `{CORRECTED}` is `atp` with the second-order term of every node, up to
{MOST_CORRECTED:,} nodes: that takes more than to patch them all, so that its cost only says that it
is for chosen nodes. `subsampling` draws {MOST_RUNS["subsampling"]} sets and
`hierarchical` stops after {MOST_RUNS["hierarchical"]} runs, or after as many as there are nodes; `random` is the mean
over all orders.
*{PUBLISHED}*: exact effects and `atp` as others have printed them, and so `random`; the other
methods are not known there, since they need the model itself, which is not downloaded.
{NONE}: not defined for that kind, fewer nodes than it takes, or not known."""


@pytest.fixture(scope="module")
def scored():
    """By case and list: every method."""
    found = {
        case.name: {nodes: scores(study, nodes) for nodes in LISTS}
        for case in cases()
        for study in [case.make()]
    }
    printed = {nodes: published_scores(nodes) for nodes in LISTS}
    found[PUBLISHED] = {
        nodes: known for nodes, known in printed.items() if known is not None
    }
    return found


@pytest.fixture(scope="module")
def joint(scored):
    return {name: lists[JOINT] for name, lists in scored.items()}


@pytest.fixture(scope="module")
def table():
    made = Table("estimates", "How good the estimates are", "make bench-estimates")
    made.add(*WORDS.splitlines(), "", "![z, q and k by position](estimates.svg)", "")
    yield made
    minutes = time.process_time() / 60
    made.add(f"All of this took {minutes:.1f} minutes of processor time.")
    made.save()


def test_every_model(joint, table):
    cost = f"cost of the top {TOP}"
    table.add(f"## {JOINT}, every model: {cost}", "", *of_cases(joint, cost), "")
    for figure in ("Pearson", "slope"):
        rows = of_cases(joint, figure, (*ESTIMATES, CORRECTED))
        table.add(f"## {JOINT}, every model: {figure}", "", *rows, "")
    for scores_of_case in joint.values():
        assert scores_of_case.by_method["atp"].cost is not None


def test_the_top_ten_is_verified(joint, table):
    scores_of_ioi = joint[IOI]
    table.add(
        f"## Bundled model, {IOI}: `verify` of the top {TOP} of {JOINT}",
        "",
        f"A tenth of the exhaustive patches is {scores_of_ioi.total // 10}, or "
        f"{len(scores_of_ioi.effects) // 10} of those that can matter.",
        "",
        row(
            "method", "passes before", "patches", "of true ten verified", "says settled"
        ),
        row(*["---"] * 5),
    )
    every = (
        f"{scores_of_ioi.total:,}, or {len(scores_of_ioi.effects):,} that can matter"
    )
    table.add(row("exhaustive", "0", every, str(TOP), "yes"))
    for method in ESTIMATES:
        found = verified(bundled(), method, scores_of_ioi.effects)
        if found is None:
            table.add(row(method, *[NONE] * 4))
            continue
        answer = "yes" if found.settled else "no"
        cells = runs(found.passes), runs(found.patches), runs(found.right), answer
        table.add(row(method, *cells))
        assert found.right == TOP
        assert found.patches <= scores_of_ioi.total // 10
    table.add("")


def test_how_often_the_bound_holds(joint, table):
    study = bundled()
    report = study.verify(JOINT.kinds, by=JOINT.by, top=TOP, bound_runs=0)
    known = {check.node for check in report.checks}
    rest = {node: e for node, e in joint[IOI].effects.items() if node not in known}
    seeds = range(REPETITIONS)
    table.add(
        f"## Bundled model, {IOI}: how often the bound on the rest holds",
        "",
        f"After `verify` of the top {TOP} of {JOINT} by `atp`: {len(rest)} nodes are not "
        f"verified. Bounds of {CONFIDENCE:.0%} confidence from {RUNS} random sets, each node "
        f"in {SHARE:.0%} of them, for {REPETITIONS} seeds.",
        "",
        row("what a set does", "bounds that hold", "bound / largest effect, median"),
        row(*["---"] * 3),
    )
    summed = of_sums(rest, seeds)
    for name, found in {
        "it is run: effects interact": of_runs(study, rest, seeds),
        "the sum of what its nodes do alone": summed,
    }.items():
        table.add(row(name, f"{found.held:.1%}", f"{found.ratio:.2f}"))
    table.add("")
    assert summed.held >= CONFIDENCE


def test_every_kind(scored, table):
    source = published()["source"]
    about = {case.name: case.about for case in cases()}
    about[PUBLISHED] = (
        f"Indirect objects, 8 prompts; as printed by {source['repo']} (commit "
        f"{source['commit']}) in {' and '.join(source['paths'])}. The figures are ours. Means "
        "over the prompts alone were printed: by their size nodes are ranked here."
    )
    for name, lists in scored.items():
        table.add(f"## {name}: every kind", "", about[name], "", *of_case(lists), "")


def test_picture(joint):
    # Of what is published alone, too little is known to be drawn beside the rest.
    drawn = {name: found for name, found in joint.items() if name != PUBLISHED}
    picture(drawn, IOI, RESULTS / "estimates.svg")
