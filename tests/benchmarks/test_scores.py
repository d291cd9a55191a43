"""The benchmark's own arithmetic, by hand; no figure of a model is measured here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from additive import Additive, last_of, nodes_of
from bound_coverage import coverage, of_runs, of_sums
from estimators import (
    CURVE,
    ESTIMATES,
    JOINT,
    LISTS,
    MOST_RUNS,
    NodeList,
    costs,
    estimates,
    expected_costs,
    score,
    scores,
)
from plot import picture
from studies import canceller, parameters, random_native, saturated
from tables import METHODS, NONE, of_case, of_cases, runs
from top_ten import verified
from toy_models import random_tokens

from patchwidget import PatchStudy
from patchwidget.grids import Cost, Grid
from patchwidget.rank import Ranking, random_order
from patchwidget.verify import cost_of_verified_recall


@pytest.fixture(scope="module")
def study():
    return PatchStudy(random_native(n_layers=2), *random_tokens(2, 5, differ=(1, 3)))


@pytest.fixture(scope="module")
def joint(study):
    return scores(study, JOINT)


def test_the_score_of_a_grid_by_hand():
    values = torch.tensor([[0.1, -0.7, 0.2], [0.4, 0.0, 0.3]])
    grid = replace(Grid.from_tensor("z", values), method="atp", cost=Cost(2, 1))
    true = (0.0, -0.8, 0.3, 0.2, 0.1, 0.9)
    effects = dict(zip(grid.nodes(), true, strict=True))
    found = score([grid], effects)
    x, y = values.flatten().numpy(), np.array(true)
    assert found.figures.pearson == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert found.figures.slope == pytest.approx(np.polyfit(x, y, 1)[0])
    # The true order is 5, 1, 2, 3, 4; ours is 1, 3, 5, 2, 0, 4; four passes before.
    assert found.costs == [4 + 3, 4 + 3, 4 + 4, 4 + 4, 4 + 6]
    assert found.cost is None, "there is no true top ten of five"


def test_nodes_that_cannot_matter_do_not_count():
    values = torch.tensor([[0.1, -0.7, 0.2, 0.0]])
    grid = replace(Grid.from_tensor("z", values), method="atp")
    effects = dict(zip(list(grid.nodes())[:3], (0.2, 0.1, 0.3), strict=True))
    assert score([grid], effects).figures.n == 3


def test_sizes_are_compared_with_sizes():
    values = torch.tensor([[0.1, 0.2, 0.3]])
    grid = replace(Grid.from_tensor("z", values), method="graddrop", signed=False)
    effects = dict(zip(grid.nodes(), (-0.1, 0.2, -0.3), strict=True))
    assert score([grid], effects).figures.pearson == pytest.approx(1)


def test_every_method_is_scored_on_its_own_ranking(study, joint):
    assert joint.total == sum(study.extent.size("head", k) * 2 * 5 for k in JOINT.kinds)
    assert 0 < len(joint.effects) < joint.total
    exact = {
        node: grid[node]
        for grid in (study.exact(kind, by="pos") for kind in JOINT.kinds)
        for node in grid.nodes()
    }
    assert joint.effects.items() <= exact.items()
    assert all(e == 0 for node, e in exact.items() if node not in joint.effects)
    assert set(joint.by_method) == set(METHODS) - {"relp"}
    for method in ("atp", "atp_qk", "blocks"):
        ranking = study.rank(JOINT.kinds, method, by="pos")
        expected = cost_of_verified_recall(ranking, exact, 10)
        assert joint.by_method[method].costs[:10] == expected
        assert joint.by_method[method].cost == expected[-1]


def test_a_correction_is_scored_with_what_all_its_terms_take(study, joint):
    found = study.hvp(joint.effects)
    score_of_all = joint.by_method["hvp"]
    estimated = [found[node].value for node in joint.effects]
    expected = np.corrcoef(estimated, list(joint.effects.values()))[0, 1]
    assert score_of_all.figures.pearson == pytest.approx(expected)
    terms = sum(one.cost.passes for one in found.values())
    assert score_of_all.costs[0] >= 4 + terms + 1
    assert score_of_all.cost > len(joint.effects), "dearer than to patch them all"


def test_a_random_order_costs_what_the_mean_of_many_does():
    nodes = nodes_of(12)
    effects = {node: float(i + 1) for i, node in enumerate(nodes)}
    patched = Additive(effects)
    curves = [
        costs(last_of(random_order(nodes, patched, seed=seed)), effects)
        for seed in range(2000)
    ]
    np.testing.assert_allclose(expected_costs(effects), np.mean(curves, 0), rtol=0.03)
    assert len(expected_costs(dict.fromkeys(nodes[:3], 0.0) | {nodes[3]: 1.0})) == 1


def test_a_ranking_is_not_given_more_runs_than_there_are_nodes(study, joint):
    for name, most in MOST_RUNS.items():
        runs_ = min(most, len(joint.effects))
        assert runs_ < most
        ranking = study.rank(JOINT.kinds, name, by="pos", runs=runs_)
        assert joint.by_method[name].costs == costs(ranking, joint.effects)


def test_costs_end_where_effects_do():
    nodes = nodes_of(CURVE + 50)
    ranking = Ranking("mine", nodes, range(len(nodes)))
    assert len(costs(ranking, dict.fromkeys(nodes, 1.0))) == CURVE
    few = {node: float(i < 3) for i, node in enumerate(nodes)}
    assert len(costs(ranking, few)) == 3


@pytest.mark.parametrize("nodes", LISTS, ids=str)
def test_a_method_is_left_out_where_it_is_not_defined(study, nodes):
    left_out = {m for m in ESTIMATES if estimates(study, nodes, m) is None}
    expected = set()
    if {"q", "k", "pattern"} & set(nodes.kinds):
        expected.add("relp")
    if nodes.kinds[0].startswith("resid"):
        expected |= {m for m in ESTIMATES if m.startswith(("graddrop", "atp_star"))}
    assert left_out == expected


def test_other_refusals_are_not_taken_for_that():
    study = PatchStudy(random_native(n_layers=1), *random_tokens(1, 4, differ=(1,)))
    with pytest.raises(ValueError, match="writes to the stream once"):
        estimates(study, NodeList(("z",)), "graddrop")


def test_tables_have_a_column_for_every_method(joint):
    few = of_cases({"one": joint}, "Pearson", tuple(ESTIMATES))
    assert {line.count("|") for line in few} == {len(ESTIMATES) + 3}
    rows = of_cases({"one": joint}, "Pearson") + of_case({JOINT: joint})
    assert {line.count("|") for line in rows[:3]} == {len(METHODS) + 3}
    assert {line.count("|") for line in rows[3:]} == {len(METHODS) + 4}
    atp = joint.by_method["atp"]
    assert rows[2].startswith(
        f"| one | {len(joint.effects)} | {atp.figures.pearson:.2f} |"
    )
    assert rows[-1].endswith(f"| {runs(joint.by_method['random'].cost)} |")
    relp = rows[2].split(" | ")[2 + METHODS.index("relp")]
    assert relp == NONE


def test_the_verification_of_the_top_ten_is_judged_by_the_truth(joint):
    def fresh():
        return PatchStudy(
            random_native(n_layers=2), *random_tokens(2, 5, differ=(1, 3))
        )

    found = verified(fresh(), "atp_qk", joint.effects)
    assert 0 < found.patches <= len(joint.effects)
    assert found.passes == 4
    assert found.settled
    assert found.right == 10
    # Turned round, the smallest effects are the true top.
    wrong = {node: 1 / effect for node, effect in joint.effects.items() if effect}
    assert verified(fresh(), "atp_qk", wrong).right == 0
    assert verified(fresh(), "relp", joint.effects) is None


def test_coverage_counts_bounds_that_are_not_too_low():
    found = coverage([0.9, 1.0, 1.5, 3.0], [0.2, -1.0])
    assert (found.held, found.ratio, found.largest, found.n) == (0.75, 1.25, 1.0, 4)


def test_runs_that_add_up_have_the_coverage_of_sums(monkeypatch):
    nodes = nodes_of(12)
    effects = dict(zip(nodes, np.random.default_rng(0).standard_t(3, 12), strict=True))
    runs_of = Additive(effects)
    monkeypatch.setattr("bound_coverage.patched_by", lambda runner: runner)
    study = type("Study", (), {"_runner": staticmethod(runs_of)})
    by_runs, by_sums = of_runs(study, effects, range(5)), of_sums(effects, range(5))
    assert by_runs.held == by_sums.held
    assert by_runs.ratio == pytest.approx(by_sums.ratio)
    assert by_runs.n == 5


def test_saturated_layers_have_made_up_their_mind():
    runs_ = PatchStudy(saturated((1,)), *random_tokens(4, 10, differ=(3, 6)))._runs
    share = [
        float(
            (runs_.base.values["pattern", layer][:, :, 1:].amax(-1) > 0.99)
            .float()
            .mean()
        )
        for layer in range(3)
    ]
    assert share[1] > 0.5
    assert max(share[0], share[2]) < 0.1


def test_what_the_canceller_undoes_has_an_effect_that_plain_atp_misses():
    study = PatchStudy(canceller(), *random_tokens(1, 10, differ=(9,)))
    assert study.notice is None
    exact = study.exact("neuron")
    node, effect = exact.top(1)[0]
    assert node.layer == 0
    assert abs(study.estimate("neuron")[node]) < 0.2 * abs(effect)
    assert study.estimate("neuron", "graddrop")[node] > 0.5 * abs(effect)


def test_construction_writes_to_the_model():
    own = parameters(canceller())
    undone = own["layers.1.mlp.fc_out.weight"] @ own["layers.1.mlp.fc_in.weight"]
    torch.testing.assert_close(undone, -torch.eye(32))


@pytest.mark.filterwarnings("ignore::DeprecationWarning:matplotlib")  # theirs
def test_the_picture_is_the_same_file_each_time(joint, tmp_path):
    scored = {"one": joint, "another": joint}
    for name in ("a.svg", "b.svg"):
        picture(scored, "one", tmp_path / name)
    first, second = (tmp_path / name for name in ("a.svg", "b.svg"))
    assert first.read_bytes() == second.read_bytes()
