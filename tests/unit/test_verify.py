"""The loop on small models: what it finds, where it stops, that it runs nothing twice."""

from __future__ import annotations

import json
from math import inf

import pytest
import torch
from toy_models import STYLES, random_model, random_tokens

from patchwidget import Head, PatchStudy
from patchwidget.estimate import SLICES
from patchwidget.exact import Progress
from patchwidget.verify import Plan, Verification, VerifyProgress
from patchwidget.verify import loop as verify_loop

JOINT = ["z", "q", "k", "v"]


@pytest.fixture(scope="module", params=STYLES)
def style(request):
    return request.param


@pytest.fixture
def runs(monkeypatch):
    """Every patch that an engine was given."""
    from patchwidget.exact import runner

    given, real = [], runner.readings

    def counting(swap, patches):
        given.extend(patches)
        return real(swap, patches)

    monkeypatch.setattr(runner, "readings", counting)
    return given


def fresh(style=STYLES[-1], n_layers=2, n_heads=3, **options):
    model = random_model(style, n_layers=n_layers, n_heads=n_heads)
    return PatchStudy(model, *random_tokens(), **options)


def true_top(study, kinds, by, k):
    """The nodes of largest |mean effect|, by an exhaustive sweep of another study."""
    other = PatchStudy(study.model, *random_tokens(), direction=study.direction)
    found = {
        node: abs(grid[node])
        for grid in (other.exact(kind, by=by) for kind in kinds)
        for node in grid.nodes()
    }
    return sorted(found, key=lambda node: -found[node])[:k]


@pytest.mark.parametrize("direction", ["denoising", "noising"])
@pytest.mark.parametrize("by", [None, "pos"])
def test_the_true_top_is_found_and_verified(style, by, direction):
    study = fresh(style, direction=direction)
    found = study.verify(JOINT, by=by, top=3, bound_runs=0)
    assert found.settled
    best = true_top(study, JOINT, by, 3)
    assert [check.node for check in found.top(3)] == best
    assert found.kinds == tuple(JOINT)
    exact = study.exact(best)
    for check in found.top(3):
        assert check.exact == pytest.approx(exact[check.node].value)


@pytest.mark.parametrize(
    ("n_pairs", "n_pos", "n_layers", "n_heads"),
    [(1, 3, 1, 1), (2, 1, 2, 2), (3, 6, 1, 2)],
)
def test_odd_shapes(n_pairs, n_pos, n_layers, n_heads):
    model = random_model(STYLES[0], n_layers=n_layers, n_heads=n_heads)
    differ = (1,) if n_pos > 1 else (0,)
    study = PatchStudy(model, *random_tokens(n_pairs, n_pos, differ=differ))
    found = study.verify(["z", "resid_pre", "neuron"], top=2, bound_runs=30)
    assert found.settled
    json.dumps(found.to_dict(), allow_nan=False)


def test_everything_is_verified_where_nothing_stops_it(study, runs):
    found = study.verify("z", by="pos")
    assert found.unverified == 0
    assert found.verified + found.idle == found.total == 2 * 3 * 7
    assert found.idle == 2 * 3 * 2, "two positions come before the first difference"
    assert found.patches == len(runs) == 2 * 3 * 5
    assert found.bound is None
    assert "nothing is unverified" in found.without_bound
    assert found.settled is None
    grid = study.known("z", "pos")
    assert {check.node: pytest.approx(grid[check.node]) for check in found.checks} == {
        check.node: check.exact for check in found.checks
    }


def test_patches_are_run_in_rank_order(study, runs):
    found = study.verify(["z", "q"], by="pos", patches=7, bound_runs=0)
    moving = {check.node for check in study.verify(["z", "q"], by="pos").checks}
    ranked = [n for n in study.rank(["z", "q"], by="pos").ordered if n in moving]
    assert {patch[0] for patch in runs[:7]} == set(ranked[:7])
    assert [check.node for check in found.checks] == ranked[:7]


def test_a_budget_of_patches_is_kept_and_added_to(study, runs):
    first = study.verify("z", by="pos", patches=11, bound_runs=0)
    assert (first.patches, first.verified, len(runs)) == (11, 11, 11)
    assert first.why == "the budget of 11 patches is spent"
    again = study.verify("z", by="pos", patches=11, bound_runs=0)
    assert (again.patches, again.verified, len(runs)) == (11, 22, 22)
    assert len(set(runs)) == 22, "nothing ran twice"
    assert set(first.checks) <= set(again.checks)


def test_clicks_and_verification_share_what_is_known(study, runs):
    clicked = Head(1, 2, pos=6)
    study.exact([clicked])
    found = study.verify("z", by="pos", patches=3, bound_runs=0)
    assert found[clicked].exact == pytest.approx(study.verified[clicked].value)
    assert runs.count((clicked,)) == 1
    node = found.checks[0].node
    before = len(runs)
    study.exact([node])
    assert len(runs) == before


def test_a_closed_loop_goes_on_where_it_was(study, runs):
    steps = study.steps("verify", "z", "atp", by="pos", bound_runs=0)
    for step in steps:
        if step.done >= 8:
            break
    steps.close()
    assert isinstance(step, VerifyProgress)
    assert step.report.verified == step.done < 30
    assert "goes on, or was closed" in repr(step.report)
    ran = set(runs[: step.done])
    found = study.verify("z", by="pos", bound_runs=0)
    assert found.patches == 30 - step.done
    assert found.unverified == 0
    assert len(study.verified) == 30
    assert ran <= {(node,) for node in study.verified}


def test_steps_are_progress_with_a_report(study):
    plan = {"by": "pos", "patches": 12, "bound_runs": 40, "share": 0.3}
    steps = list(study.steps("verify", ["z", "v"], **plan))
    assert all(isinstance(step, Progress) for step in steps)
    assert all(isinstance(step.report, Verification) for step in steps)
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert all(0 <= step.work <= 1 and step.done <= step.total for step in steps)
    assert steps[0].done == 0
    last = steps[-1]
    assert last.done == last.total == last.report.runs == 12 + last.report.bound_runs
    assert last.work == 1.0
    assert sum(len(step.found) for step in steps) == 12
    assert 30 <= last.report.bound_runs <= 40, "a set that is drawn twice is run once"
    assert last.report.bound.runs == 40
    mid = next(step.report for step in steps if step.report.verified)
    assert mid.bound is None
    assert "when the patches are done" in mid.without_bound


def test_seconds_stop_it(study, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(verify_loop, "monotonic", lambda: now[0])
    for step in study.steps("verify", "neuron", seconds=60.0, bound_runs=0):
        if step.found:
            now[0] += 25.0
    report = step.report
    assert report.why == "the budget of 60 seconds is spent"
    assert 0 < report.verified < report.total - report.idle
    assert step.work == 1.0


def test_a_late_bound_is_cut_short(study, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(verify_loop, "monotonic", lambda: now[0])
    steps = study.steps(
        "verify", "neuron", patches=3, seconds=9.0, bound_runs=300, share=0.4
    )
    for step in steps:
        now[0] += 1.0 if step.report.bound else 0.0
    report = step.report
    assert report.patches == 3
    assert 4 <= report.bound.runs < 300
    assert report.bound_runs >= report.bound.runs


def test_time_is_kept_for_the_bound(study, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(verify_loop, "monotonic", lambda: now[0])
    cost = type("Cost", (), {"seconds": 1e9})
    monkeypatch.setattr(study._runner, "cost", lambda patches: cost)
    for step in study.steps("verify", "neuron", seconds=60.0, bound_runs=40, share=0.4):
        if step.found:
            now[0] += 31.0  # more than half
            patches = step.report.patches
    assert step.report.patches == patches
    assert step.report.bound is not None


def test_the_bound_counts_its_runs(study, runs):
    found = study.verify("z", by="pos", patches=2, bound_runs=40, share=0.3)
    assert found.patches == 2
    assert found.bound.runs == 40
    assert found.bound.unverified == found.unverified
    verified = {check.node for check in found.checks}
    sets = runs[2:]
    assert found.bound_runs == len(sets) == len(set(sets)) <= 40
    assert not any(verified & set(one) for one in sets)
    assert found.bound.node not in verified


def test_a_bound_that_is_known_is_not_drawn_again(study, runs):
    plan = {"by": "pos", "top": 1, "bound_runs": 40, "share": 0.3}
    found = study.verify("z", **plan)
    assert found.settled
    before = len(runs)
    again = study.verify("z", **plan)
    assert (again.patches, again.bound_runs, len(runs)) == (0, 0, before)
    assert again.bound == found.bound


def test_a_set_of_one_node_verifies_it(study):
    """Few nodes, small sets: the bound's runs tell of some nodes alone."""
    found = study.verify("z", patches=2, bound_runs=40, share=0.3)
    assert found.bound.unverified == 4
    assert found.verified > 2
    assert found.patches == 2


def test_the_bound_is_the_same_under_a_seed():
    def bound(seed):
        return (
            fresh()
            .verify("z", by="pos", patches=4, bound_runs=40, share=0.3, seed=seed)
            .bound
        )

    assert bound(1) == bound(1)
    assert bound(1) != bound(2)


def test_the_bound_says_what_it_assumes(study):
    found = study.verify("z", by="pos", patches=4, bound_runs=60, share=0.3)
    text = repr(found)
    assert "with 90% confidence no effect among the 26 unverified nodes" in text
    assert "where nodes interact" in found.to_dict()["bound"]["assumption"]
    assert found.bound.assumption == found.to_dict()["bound"]["assumption"]


def test_too_few_runs_for_a_bound_are_said(study):
    found = study.verify("neuron", patches=4, bound_runs=5)
    assert found.bound is None
    assert "5 runs are too few" in repr(found)


def test_misses_come_worst_first(study):
    found = study.verify("q", by="pos", bound_runs=0)
    estimates = study.estimate("q", by="pos")
    misses = [abs(check.exact - estimates[check.node]) for check in found.misses(100)]
    assert [check.miss for check in found.misses(100)] == pytest.approx(misses)
    assert misses == sorted(misses, reverse=True)
    assert len(found.misses(3)) == 3
    assert str(found.misses(1)[0].node) in repr(found)
    assert found.misses(0) == []


def test_agreement_is_of_what_is_verified(study):
    found = study.verify(["z", "q"], by="pos", patches=10, bound_runs=0)
    assert found.agreement.overall.n == 10
    assert sum(one.n for one in found.agreement.by_kind.values()) == 10


def test_a_report_is_plain_numbers(study):
    for plan in ({"top": 3, "patches": 5}, {"patches": 1, "bound_runs": 0}, {}):
        found = study.verify(["q", "v"], by="pos", **plan)
        record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert record["verified"] == found.verified
        assert record["why"] in repr(found)


def test_a_node_that_is_not_verified_here_is_named(study):
    study.exact([Head(0, 0, kind="v")])
    found = study.verify("z", patches=1, bound_runs=0)
    with pytest.raises(KeyError, match=r"L0H0\.v is not among the verified nodes of z"):
        _ = found[Head(0, 0, kind="v")]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"top": 0}, "top=0"),
        ({"patches": 0}, "patches=0 verifies nothing"),
        ({"patches": -4}, "patches=-4"),
        ({"seconds": 0}, "seconds=0 verifies nothing"),
        ({"seconds": float("nan")}, "seconds=nan"),
        ({"confidence": 1.0}, "confidence"),
        ({"bound_runs": 3}, "bound_runs=3"),
        ({"bound_runs": -1}, "bound_runs=-1"),
        ({"share": 0.0}, "share"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(study, runs, wrong, message):
    with pytest.raises(ValueError, match=message):
        study.verify("z", **wrong)
    with pytest.raises(ValueError, match=message):
        study.steps("verify", "z", **wrong)
    assert not runs


def test_wrong_questions(study):
    with pytest.raises(ValueError, match="unknown kind 'heads'"):
        study.verify("heads")
    with pytest.raises(ValueError, match="unknown method 'magic'"):
        study.verify("z", "magic")
    with pytest.raises(ValueError, match="no kind"):
        study.verify([])
    with pytest.raises(ValueError, match="twice"):
        study.verify(["z", "attn.hook_z"])
    with pytest.raises(TypeError, match="budget"):
        study.verify("z", budget=3)
    with pytest.raises(TypeError, match="patches"):
        study.steps("exact", "z", patches=3)


def test_effects_that_are_all_zero():
    """A metric that no difference reaches: a plain statement, no division by it."""
    model = random_model(STYLES[0])
    clean, corrupted, _ = random_tokens()

    def before_the_difference(logits):
        return logits[:, 0, 3]

    study = PatchStudy(model, clean, corrupted, metric=before_the_difference)
    some = study.verify("z", by="pos", patches=3, bound_runs=60, share=0.3)
    assert some.bound.value == 0.0
    assert some.agreement.overall.pearson is None
    found = study.verify("z", by="pos", top=2, bound_runs=0)
    assert found.settled
    assert found.unverified == 0, "no estimate is above another: all of them are run"
    json.dumps(found.to_dict(), allow_nan=False)


def test_clean_equal_to_corrupted_has_nothing_to_run(model, runs):
    clean, _, answers = random_tokens()
    found = PatchStudy(model, clean, clean, answers).verify("z", by="pos", top=3)
    assert not runs
    assert (found.verified, found.idle, found.unverified) == (0, found.total, 0)
    assert found.settled
    assert "nothing is left" in repr(found)
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_top_larger_than_the_kind_is_all_of_it(study):
    found = study.verify("z", top=1000, bound_runs=0)
    assert found.settled
    assert found.unverified == 0


def test_settling_follows_its_formula(study):
    found = study.verify("neuron", top=4, patches=40, bound_runs=0)
    ratios = sorted(
        abs(check.exact) / check.size for check in found.checks if check.size
    )
    slack = max(1.0, ratios[min(len(ratios) - 1, -(-95 * (len(ratios) - 1) // 100))])
    assert found.settling.slack == pytest.approx(slack)
    assert found.settling.kth == abs(found.top(4)[-1].exact)
    assert found.settled == (found.settling.next * slack < found.settling.kth)
    assert found.settling.next <= min(check.size for check in found.checks)


def test_an_estimate_that_is_blind_never_settles(study, monkeypatch):
    """All estimates 0, effects not: no slack is wide enough, so all of them are run."""

    def blind(runs, kind, by):
        grid = yield from SLICES["atp"](runs, kind, by)
        return type(grid)(
            grid.kind,
            torch.zeros_like(grid.raw),
            by=grid.by,
            scale=grid.scale,
            method="blind",
        )

    monkeypatch.setitem(SLICES, "blind", blind)
    found = study.verify("z", "blind", by="pos", top=1, patches=5, bound_runs=0)
    assert found.settling.slack == inf
    assert not found.settled
    assert found.to_dict()["settling"]["slack"] is None
    assert study.verify("z", "blind", by="pos", top=1).unverified == 0


def test_a_bound_alone_is_the_last_part_of_a_verification(style):
    whole = fresh(style).verify("z", by="pos", patches=3)
    study = fresh(style)
    study.verify("z", by="pos", patches=3, bound_runs=0)
    *_, last = study.steps("bound", "z", by="pos")
    assert last.report.bound == whole.bound
    assert (last.report.patches, last.report.bound_runs) == (0, whole.bound_runs)
    assert last.report.why == "only a bound was asked for"


def test_a_bound_alone_costs_what_it_then_runs(study, runs):
    cost = study.bound_cost("z", by="pos", bound_runs=50)
    del runs[:]  # the pace was learnt by a run
    list(study.steps("bound", "z", by="pos", bound_runs=50))
    last = study.extent.n_pos - 1  # what the last layer writes elsewhere costs nothing
    free = [
        all(node.layer == 1 and node.pos < last for node in patch) for patch in runs
    ]
    assert cost.patches == len(runs) - sum(free) > 0


def test_several_metrics_are_read_from_the_same_runs(model, tokens, runs):
    def first(logits):
        return logits[:, -1, 3]

    study = PatchStudy(model, *tokens, metric={"main": "logit_diff", "other": first})
    found = study.verify("z", patches=3, bound_runs=8, share=0.4)
    node = found.checks[0].node
    assert found.checks[0].exact == pytest.approx(study.known("z")[node])
    assert torch.isfinite(study.known("z", metric="other").raw).any()


def test_a_scalar_metric_is_verified_too(model):
    clean, corrupted, _ = random_tokens()
    study = PatchStudy(
        model,
        clean,
        corrupted,
        metric=lambda x: x[:, -1, 5].mean() - x[:, -1, 6].mean(),
    )
    found = study.verify("z", top=2, bound_runs=20, share=0.3)
    assert found.settled


def test_a_listener_of_joint_runs_does_not_disturb_the_widget(study):
    from patchwidget import PatchWidget

    widget = PatchWidget(study)
    study.verify("z", by="pos", patches=2, bound_runs=10, share=0.3)
    study.joint([Head(0, 0), Head(1, 1)])
    assert all("+" not in name for name in widget.verified)


def test_a_plan_has_defaults_that_need_nothing():
    assert Plan().bound_runs >= 100
    assert Plan().confidence == 0.9


def test_an_interrupt_keeps_what_was_found(study, monkeypatch):
    real = study._runner.known.learn

    def interrupted(readings):
        found = real(readings)
        if len(study.verified) >= 6:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(study._runner.known, "learn", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study.verify("z", by="pos", bound_runs=0)
    monkeypatch.undo()
    known = len(study.verified)
    assert known >= 6
    assert study.verify("z", by="pos", bound_runs=0).patches == 30 - known
