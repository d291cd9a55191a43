"""The report: how estimates agree with what is verified, and what may be overlooked."""

from __future__ import annotations

import asyncio
import time
from collections import deque

import pytest
from page import answered, asked, receive
from toy_models import STYLES, random_model, random_tokens

from patchwidget import Head, PatchStudy, PatchWidget
from patchwidget.verify import Agreement
from patchwidget.widget.estimates import SHOWN_KINDS
from patchwidget.widget.side import Side

pytestmark = pytest.mark.usefixtures("recorded")


def expected(study, kind, method):
    """The figures that the study's own verification gives, when all is known."""
    study.exact(kind)
    return study.verify(kind, method)


@pytest.mark.parametrize("method", ["atp", "relp", "graddrop"])
def test_figures_are_those_of_a_verification(labelled, method):
    widget = PatchWidget(labelled, method=method)
    for kind in ("z", "mlp_out", "q"):
        used = method if method in labelled.methods(kind) else "atp"
        found = expected(labelled, kind, used)
        report = widget.report[kind]
        assert report["method"] == used
        assert (report["total"], report["idle"]) == (found.total, found.idle)
        assert report["verified"] == found.verified > 0
        whole, ours = found.agreement.to_dict(), report["all"]
        assert ours["recall"] == whole["overall"]["recall"]
        for name in ("n", "pearson", "slope", "spearman"):
            assert ours[name] == pytest.approx(whole["overall"][name]), name
        assert list(report["layers"]) == list(whole["by_layer"])
        for layer, figures in whole["by_layer"].items():
            assert report["layers"][layer]["slope"] == pytest.approx(figures["slope"])


def test_nothing_verified_has_no_figures(widget):
    assert set(widget.report) == set(SHOWN_KINDS)
    for report in widget.report.values():
        assert report["verified"] == report["all"]["n"] == 0
        assert report["all"]["pearson"] is None
        assert report["bound"] is None
        assert report["without_bound"]


def test_finer_nodes_and_idle_ones_are_not_counted(widget):
    widget.selection = ["L0H1.q@5", "L0.resid_pre@0"]
    assert len(widget.verified) == 2
    assert widget.report["q"]["verified"] == 0
    assert widget.report["resid_pre"]["verified"] == 0, "it cannot matter"
    widget.selection = ["L0H1.q", "L0.resid_pre@2"]
    assert widget.report["q"]["verified"] == 1
    assert widget.report["resid_pre"]["verified"] == 1


def test_the_report_follows_the_method(widget, labelled):
    labelled.exact("q")
    before = widget.report["q"]
    widget.method = "atp_qk"
    after = widget.report["q"]
    assert after["method"] == "atp_qk"
    assert after["all"]["slope"] != before["all"]["slope"]
    checks = labelled.verify("q", "atp_qk").checks
    assert after["all"]["slope"] == pytest.approx(Agreement(checks).overall.slope)


def test_an_estimate_that_is_not_finite_is_left_out(model, tokens):
    def root(logits):
        return (logits[:, -1, 5] - logits[:, -1, 5].detach()).sqrt()

    widget = PatchWidget(model, *tokens[:2], metric=root)
    widget.selection = ["L1H2.z"]
    assert widget.report["z"]["verified"] == 1
    assert widget.report["z"]["all"]["n"] == 0


# --- verification -----------------------------------------------------------------------


@pytest.mark.parametrize("of", ["v", ""])
def test_the_top_is_run_in_rank_order(widget, labelled, of):
    order = []
    labelled.subscribe(lambda found: order.extend(one.node for one in found))
    payload, _ = asked(widget, "verify.start", what="top", of=of, top=4)
    assert payload == {}
    kinds = [of] if of else SHOWN_KINDS
    values = {
        node: abs(value)
        for kind in kinds
        for node, value in labelled.estimate(kind).top(99)
    }
    largest = sorted(values.values(), reverse=True)[:4]
    assert sorted((values[node] for node in order), reverse=True) == largest
    assert widget.job["state"] == "done"
    assert widget.job["label"] == f"top 4 of {of or 'all kinds'}"
    assert set(widget.verified) == set(map(str, order))


def test_picks_can_be_verified_after_a_failure(widget):
    widget.selection = ["L0H1.z"]
    asked(widget, "verify.start", what="picked", of="", top=None)
    assert widget.job["state"] == "done"


@pytest.mark.parametrize("method", ["atp", "relp"])
def test_all_of_a_kind_is_verified(labelled, method):
    widget = PatchWidget(labelled, method=method)
    asked(widget, "verify.start", what="all", of="z", top=None)
    report = widget.report["z"]
    assert report["verified"] == report["total"] - report["idle"] == 6
    assert report["bound"] is None
    assert "nothing is unverified" in report["without_bound"]
    assert widget.job["label"] == "verify z"
    assert (widget.job["state"], widget.job["done"]) == ("done", widget.job["total"])


def test_all_kinds_are_verified_by_the_method_that_each_has(labelled):
    widget = PatchWidget(labelled, method="relp")
    asked(widget, "verify.start", what="all", of="", top=None)
    for kind, report in widget.report.items():
        assert report["verified"] == report["total"] - report["idle"], kind
        assert "nothing is unverified" in report["without_bound"]
    assert widget.report["q"]["method"] == "atp"
    assert widget.report["z"]["method"] == "relp"


def test_a_bound_on_what_is_not_verified(labelled):
    widget = PatchWidget(labelled)
    asked(widget, "verify.start", what="top", of="z", top=2)
    assert widget.report["z"]["bound"] is None
    asked(widget, "verify.start", what="bound", of="z", top=None)
    bound = widget.report["z"]["bound"]
    assert bound["unverified"] == 4
    assert bound["value"] > 0
    assert bound["kinds"] == ["z"]
    assert widget.job["label"] == "bound on z"


def test_a_bound_outlives_a_verification_that_is_given_up(labelled):
    reports = Side(labelled).reports
    plan = {"bound_runs": 60, "share": 0.4}
    (drawn,) = deque(labelled.steps("bound", ["z", "v"], **plan), maxlen=1)
    reports.note(drawn.report)
    bound = reports.of("atp")["z"]["bound"]
    assert bound["value"] > 0
    assert bound["kinds"] == ["z", "v"], "its nodes are those of both"
    steps = labelled.steps("verify", "z", bound_runs=0)
    reports.note(next(steps).report)
    steps.close()
    assert reports.of("atp")["z"]["bound"] == bound
    (done,) = deque(labelled.steps("verify", "z", bound_runs=0), maxlen=1)
    reports.note(done.report)
    assert reports.of("atp")["z"]["bound"] is None, "it was about nodes now verified"
    assert reports.of("atp")["v"]["bound"] == bound


def test_a_bound_is_shown_while_it_is_drawn(labelled, monkeypatch):
    """A budget leaves some nodes, for which sets are run."""
    steps = PatchStudy.steps

    def few(self, what, nodes, method="atp", **options):
        plan = (
            {"patches": 1, "bound_runs": 60, "share": 0.4} if what == "verify" else {}
        )
        return steps(self, what, nodes, method, **options, **plan)

    monkeypatch.setattr(PatchStudy, "steps", few)
    monkeypatch.setattr("patchwidget.widget.board.REPORT_EVERY_S", -1.0)
    widget = PatchWidget(labelled)
    asked(widget, "verify.start", what="all", of="z", top=None)
    bound = widget.report["z"]["bound"]
    assert bound["unverified"] == 5
    assert bound["confidence"] == 0.9
    assert bound["words"].startswith("with 90% confidence")
    assert bound["assumption"]
    assert bound["node"].endswith(".z")
    assert bound["value"] > 0
    assert widget.report["z"]["without_bound"] == ""
    assert widget.report["q"]["bound"] is None
    bounds = [one["z"]["bound"] for one in widget.comm.states("report")]
    assert len([one for one in bounds if one]) > 1, "it tightens before one's eyes"


def test_a_pick_goes_before_a_verification_which_then_goes_on(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        body = {"what": "all", "of": "pattern", "top": None}
        receive(widget, {"kind": "verify.start", "id": "a-0", **body})
        while not labelled.verified:  # noqa: ASYNC110 - a turn at a time
            await asyncio.sleep(0)
        order = []
        labelled.subscribe(lambda found: order.extend(one.node for one in found))
        widget.selection = ["L0H1.q"]
        await widget.settled()
        assert str(order[0]) == "L0H1.q"
        assert widget.job["label"] == "L0H1.q, then verify pattern"
        report = widget.report["pattern"]
        assert report["verified"] == report["total"] - report["idle"]

    asyncio.run(cell())


def test_a_known_pick_leaves_a_verification_alone(labelled):
    async def cell():
        labelled.exact([Head(0, 1)])
        widget = PatchWidget(labelled)
        body = {"what": "all", "of": "pattern", "top": None}
        receive(widget, {"kind": "verify.start", "id": "a-0", **body})
        while widget.job["state"] != "running":  # noqa: ASYNC110 - a turn at a time
            await asyncio.sleep(0)
        number = widget.job["id"]
        widget.selection = ["L0H1.z"]
        widget.selection = []
        await widget.settled()
        assert (widget.job["id"], widget.job["state"]) == (number, "done")

    asyncio.run(cell())


def test_a_cancelled_verification_goes_on_when_it_is_retried(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        body = {"what": "all", "of": "pattern", "top": None}
        receive(widget, {"kind": "verify.start", "id": "a-0", **body})
        while not labelled.verified:  # noqa: ASYNC110 - a turn at a time
            await asyncio.sleep(0)
        receive(widget, {"kind": "job.cancel", "id": "a-1"})
        await widget.settled()
        assert widget.job["state"] == "cancelled"
        report = widget.report["pattern"]
        before = report["verified"]
        assert 0 < before < report["total"]
        widget.selection = ["L0H1.z"]
        await widget.settled()
        assert widget.report["pattern"]["verified"] == before, "not by itself"
        receive(widget, {"kind": "job.retry", "id": "a-2"})
        await widget.settled()
        report = widget.report["pattern"]
        assert report["verified"] == report["total"] - report["idle"]

    asyncio.run(cell())


def test_a_new_method_ends_a_verification_in_the_old_order(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        body = {"what": "all", "of": "pattern", "top": None}
        receive(widget, {"kind": "verify.start", "id": "a-0", **body})
        while not labelled.verified:  # noqa: ASYNC110 - a turn at a time
            await asyncio.sleep(0)
        widget.method = "relp"
        await widget.settled()
        assert widget.job["state"] == "done"
        assert widget.report["pattern"]["verified"] < widget.report["pattern"]["total"]

    asyncio.run(cell())


def test_the_page_is_told_twice_a_second_and_at_the_end(monkeypatch):
    model = random_model(STYLES[-1], n_layers=3, n_heads=4)
    study = PatchStudy(model, *random_tokens())
    widget = PatchWidget(study)
    widget.comm.published.clear()
    started = time.monotonic()
    answered(widget, "verify.start", what="all", of="", top=None)
    seconds = time.monotonic() - started
    assert widget.job["state"] == "done"
    assert 1 <= len(widget.comm.states("report")) <= 2 + 2 * seconds
    assert len(widget.comm.states("verified")) <= 2 + 10 * seconds
    assert len(widget.verified) == len(study.verified)
    reports = widget.report.values()
    assert all(one["verified"] == one["total"] - one["idle"] for one in reports)


def test_what_is_still_being_estimated_is_not_verified_yet(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        widget.direction = "noising"
        body = {"what": "all", "of": "z", "top": None}
        receive(widget, {"kind": "verify.start", "id": "a-0", **body})
        await widget.settled()
        ((reply, _),) = [
            one for one in widget.comm.messages() if one[0]["kind"] == "reply"
        ]
        assert reply["error"]["message"].startswith("the maps of noising are not there")
        assert widget.verified == {}

    asyncio.run(cell())
