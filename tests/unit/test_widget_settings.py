"""What the page and Python may set, and what the widget then does."""

from __future__ import annotations

import asyncio

import pytest
import torch
from page import decoded, floats, page_sets
from toy_models import STYLES, random_model, random_tokens
from traitlets import TraitError

from patchwidget import Head, PatchStudy, PatchWidget, engines
from patchwidget.hooks import HookedModel
from patchwidget.spread import spread
from patchwidget.widget.estimates import SHOWN_KINDS

pytestmark = pytest.mark.usefixtures("recorded")


def shown_methods(widget):
    return {record["kind"]: record["method"] for record in widget.grids.values()}


def test_settings_can_be_given_beside_a_study(labelled):
    widget = PatchWidget(
        labelled,
        selection=["0.1"],
        shown="known",
        pair=-1,
        method="relp",
        direction="noising",
        kind="attn.hook_q",
        names={"1.2": "mover"},
        folds=["scatter"],
        wide=True,
    )
    assert widget.selection == ["L0H1.z"]
    assert list(widget.verified) == ["L0H1.z"], "a given pick is a pick"
    assert (widget.shown, widget.pair, widget.method) == ("known", -1, "relp")
    assert widget.study["direction"] == widget.direction == "noising"
    assert (widget.kind, widget.names) == ("q", {"L1H2": "mover"})
    assert (widget.folds, widget.wide) == (["scatter"], True)
    assert shown_methods(widget)["z"] == "relp"
    assert shown_methods(widget)["q"] == "atp"


def test_settings_can_be_given_where_a_study_is_made(model, tokens):
    widget = PatchWidget(
        model, *tokens, metric="prob", method="ig", direction="noising"
    )
    assert widget.study["metric"]["name"] == "prob"
    assert widget.direction == widget.study["direction"] == "noising"
    assert set(shown_methods(widget).values()) == {"ig"}


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        ({"method": "atpp"}, ValueError, "no method 'atpp' for this model: choose one"),
        ({"direction": "up"}, ValueError, "no direction 'up' .* denoising or noising"),
        ({"kind": "heads"}, ValueError, "unknown kind 'heads'"),
        ({"kind": "neuron"}, ValueError, "no map of neuron"),
        ({"names": {"L9H9": "x"}}, IndexError, "no layer 9"),
        ({"names": {"L0.resid_pre@1": "x"}}, ValueError, "is no head"),
        ({"names": {"mover": "x"}}, ValueError, "'mover' is not a node"),
    ],
)
def test_what_there_is_not_is_refused_visibly(
    widget, labelled, setting, error, message
):
    ((name, value),) = setting.items()
    before = getattr(widget, name)
    with pytest.raises(error, match=message):
        setattr(widget, name, value)
    assert getattr(widget, name) == before
    assert widget.job["state"] == "failed"
    assert widget.job["error"]["type"] == error.__name__
    with pytest.raises(error, match=message):
        PatchWidget(labelled, **setting)


@pytest.mark.parametrize(
    "setting",
    [
        {"method": "atpp"},
        {"method": 3},
        {"direction": "up"},
        {"kind": "heads"},
        {"names": {"L9H9": "x"}},
        {"names": ["L0H0"]},
        {"names": {"L0H0": 3}},
        {"folds": [1]},
        {"folds": "scatter"},
        {"wide": "yes"},
        {"shown": "truth"},
        {"pair": "first"},
        {"pair": None},
        {"selection": ["L9H9.z"]},
        {"selection": [3]},
        {"selection": "L0H0.z"},
        {"selection": None},
    ],
    ids=str,
)
def test_a_page_that_sets_what_cannot_be_is_told_what_is(widget, setting):
    (name,) = setting
    before = getattr(widget, name)
    widget.comm.published.clear()
    page_sets(widget, **{"shown": "exact", **setting})
    assert getattr(widget, name) == before
    assert widget.comm.states(name) == [before], "it goes back on the page"
    assert widget.job["state"] == "failed"
    assert widget.job["error"]["message"]
    if name != "shown":
        assert widget.shown == "exact", "what else it set is taken"


def test_a_page_cannot_write_what_is_the_kernels(widget, caplog):
    before = widget.verified
    page_sets(widget, verified={"L0H0.z": {}}, job={})
    assert widget.verified == before
    assert widget.job["state"] == "idle"
    assert "'verified' is not for a page to set" in caplog.text


def test_what_the_page_sets_is_not_sent_back(widget):
    widget.comm.published.clear()
    page_sets(widget, selection=["L0H1.z"], shown="known", wide=True, folds=["grids"])
    assert list(widget.verified) == ["L0H1.z"]
    for name in ("selection", "shown", "wide", "folds"):
        assert widget.comm.states(name) == []
    page_sets(widget, selection=["0.1.q"])
    assert widget.comm.states("selection") == [["L0H1.q"]], "but the kernel's spelling"


# --- maps -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["atp_qk", "graddrop", "atp_star", "ig", "relp"])
def test_a_method_is_shown_where_it_gives_a_kind_and_atp_elsewhere(
    widget, labelled, method
):
    widget.method = method
    assert widget.job["state"] == "done"
    assert widget.job["label"].startswith("estimates: ")
    assert widget.job["done"] == widget.job["total"] == len(SHOWN_KINDS)
    given = dict.fromkeys(SHOWN_KINDS, "atp")
    (listed,) = [one for one in widget.study["methods"] if one["name"] == method]
    assert listed["kinds"]
    given |= dict.fromkeys(listed["kinds"], method)
    assert shown_methods(widget) == given
    for key, record in widget.grids.items():
        grid = labelled.estimate(record["kind"], record["method"])
        assert key == f"{grid.method}/{grid.kind}"
        assert record["signed"] == grid.signed
        assert torch.equal(decoded(record), grid.values)
        assert record["cost"] == {
            "forwards": grid.cost.forwards,
            "backwards": grid.cost.backwards,
        }


def test_a_map_has_the_spread_over_pairs(widget, labelled):
    for record in widget.grids.values():
        shown = labelled.estimate(record["kind"]).shown
        sent = floats(record["spread"]).reshape(4, *record["shape"])
        assert torch.equal(sent, spread(shown).float())
    assert widget.study["interval"] == {"level": 0.9, "draws": 1000}


def test_one_pair_has_no_spread(model):
    clean, corrupted, answers = random_tokens(1)
    widget = PatchWidget(model, clean, corrupted, answers)
    widget.selection = ["L0H0.z"]
    assert all(record["spread"] is None for record in widget.grids.values())
    assert widget.verified["L0H0.z"]["interval"] is None


def test_a_verified_node_has_the_interval_of_its_mean(widget, labelled):
    widget.selection = ["L0H1.z", "L0H2.q@5"]
    for name, record in widget.verified.items():
        per_pair = labelled.verified[name].per_pair
        expected = spread(per_pair[:, None])[2:, 0].tolist()
        assert record["interval"] == pytest.approx(expected, rel=1e-12)
        assert expected[0] < record["exact"] < expected[1]


def test_verified_nodes_get_the_methods_estimate(widget, labelled):
    widget.selection = ["L0H2.q", "L0H2.q@5", "L0H0.pattern"]
    exact = {name: one["exact"] for name, one in widget.verified.items()}
    widget.selection = []
    widget.method = "atp_qk"
    assert {name: one["exact"] for name, one in widget.verified.items()} == exact
    for name, by in (("L0H2.q", None), ("L0H2.q@5", "pos")):
        expected = labelled.estimate("q", "atp_qk", by=by)[name]
        assert widget.verified[name]["estimate"] == pytest.approx(expected, rel=1e-5)
        assert expected != pytest.approx(labelled.estimate("q", by=by)[name], rel=1e-3)


def test_an_estimate_is_made_once(widget, monkeypatch):
    calls = []
    estimating = PatchStudy.estimating

    def counted(self, kind, method="atp", **options):
        calls.append((self.direction, method, kind))
        return estimating(self, kind, method, **options)

    monkeypatch.setattr(PatchStudy, "estimating", counted)
    for method in ("atp_qk", "atp", "atp_qk", "relp"):
        widget.method = method
    widget.direction = "noising"
    widget.direction = "denoising"
    assert len(calls) == len(set(calls))
    assert {(way, name) for way, name, _ in calls} == {
        ("denoising", "atp_qk"),
        ("denoising", "relp"),
        ("noising", "relp"),
        ("noising", "atp"),
    }


def test_a_model_that_its_hooks_run_has_one_method(model, tokens, monkeypatch):
    monkeypatch.setattr(
        engines, "choose", lambda model: (HookedModel(model), "hooks are asked for")
    )
    widget = PatchWidget(model, *tokens)
    assert [one["name"] for one in widget.study["methods"]] == ["atp"]
    with pytest.raises(ValueError, match="no method 'relp' for this model: choose"):
        widget.method = "relp"


# --- a method that fails, or is given up ------------------------------------------------


def fail_for(monkeypatch, method):
    estimating = PatchStudy.estimating

    def failing(self, kind, name="atp", **options):
        if (name, kind) == (method, "z"):
            raise RuntimeError("no memory for this")
        return estimating(self, kind, name, **options)

    monkeypatch.setattr(PatchStudy, "estimating", failing)


def test_a_method_that_fails_goes_back(widget, monkeypatch):
    fail_for(monkeypatch, "ig")
    before = widget.grids
    widget.method = "ig"
    assert widget.job["state"] == "failed"
    assert widget.job["error"]["message"] == "no memory for this"
    assert widget.method == "atp"
    assert widget.comm.states("method")[-1] == "atp", "on the page, too"
    assert widget.grids is before
    widget.selection = ["L0H0.z"]
    assert widget.job["state"] == "done", "and is not tried again by itself"


def test_a_direction_that_fails_goes_back(widget, monkeypatch):
    widget.selection = ["L0H1.z"]
    fail_for(monkeypatch, "atp")
    before = widget.study, widget.grids, widget.verified
    widget.direction = "noising"
    assert widget.job["state"] == "failed"
    assert widget.direction == "denoising"
    assert (widget.study, widget.grids, widget.verified) == before


def test_cancelled_estimates_leave_the_old_ones(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        before = widget.grids
        widget.method = "ig"
        while widget.job["state"] != "running":  # noqa: ASYNC110 - a turn at a time
            await asyncio.sleep(0)
        widget.cancel()
        await widget.settled()
        assert widget.job["state"] == "cancelled"
        assert widget.method == "atp"
        assert widget.grids is before

    asyncio.run(cell())


def test_estimates_are_made_a_kind_at_a_step(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        widget.method = "relp"
        turns, total = 0, len(SHOWN_KINDS)
        while widget.job["state"] in ("idle", "running"):
            turns += 1
            assert {one["method"] for one in widget.grids.values()} == {"atp"}
            await asyncio.sleep(0)
        assert turns > total
        assert shown_methods(widget)["z"] == "relp"

    asyncio.run(cell())


def test_a_pick_while_estimates_are_made_loses_neither(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        widget.method = "ig"
        while widget.job["state"] != "running":  # noqa: ASYNC110 - a turn at a time
            await asyncio.sleep(0)
        widget.selection = ["L0H1.z"]
        await widget.settled()
        assert set(shown_methods(widget).values()) == {"ig"}
        ig = labelled.estimate("z", "ig")["L0H1.z"]
        assert widget.verified["L0H1.z"]["estimate"] == pytest.approx(ig, rel=1e-5)

    asyncio.run(cell())


# --- direction --------------------------------------------------------------------------


def test_the_other_direction_is_the_reversed_study(widget, labelled):
    widget.selection = ["L0H1.z"]
    other = labelled.reversed()
    other.exact([Head(1, 1)])
    assert "L1H1.z" not in widget.verified, (
        "another direction's result is not this one's"
    )
    widget.direction = "noising"
    assert widget.study["direction"] == "noising"
    assert widget.study["directions"] == ["denoising", "noising"]
    assert widget.selection == ["L0H1.z"]
    assert set(widget.verified) == {"L1H1.z", "L0H1.z"}
    for name, record in widget.verified.items():
        assert record["exact"] == pytest.approx(other.verified[name].value, rel=1e-6)
    for record in widget.grids.values():
        assert torch.equal(decoded(record), other.estimate(record["kind"]).values)
    widget.direction = "denoising"
    assert set(widget.verified) == {"L0H1.z"}
    exact = labelled.verified["L0H1.z"].value
    assert widget.verified["L0H1.z"]["exact"] == pytest.approx(exact, rel=1e-6)


def test_all_of_a_direction_comes_in_one_message(widget):
    widget.selection = ["L0H1.z"]
    widget.comm.published.clear()
    widget.direction = "noising"
    (state,) = [
        data["state"]
        for _, data, _ in widget.comm.published
        if "study" in data.get("state", {})
    ]
    assert {"study", "grids", "verified", "report"} <= set(state)


def test_results_of_the_direction_that_was_left_are_dropped(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        widget.selection = [f"L1H{head}.{kind}" for head in (0, 1) for kind in "qkvz"]
        while not labelled.verified:  # noqa: ASYNC110 - a turn at a time
            await asyncio.sleep(0)
        widget.direction = "noising"
        await widget.settled()
        other = labelled.reversed()
        assert set(widget.verified) == set(widget.selection), "picks are run there"
        labelled.exact("v")
        assert not any(
            name.endswith("v") for name in set(widget.verified) - set(widget.selection)
        )
        for name, record in widget.verified.items():
            assert record["exact"] == pytest.approx(
                other.verified[name].value, rel=1e-6
            )

    asyncio.run(cell())


def test_an_ablation_has_one_direction(model, tokens):
    study = PatchStudy(model, tokens[0], answers=tokens[2], source="zero")
    widget = PatchWidget(study)
    assert widget.direction == "noising"
    assert widget.study["directions"] == ["noising"]
    with pytest.raises(ValueError, match="an ablation has only this one"):
        widget.direction = "denoising"
    assert widget.direction == "noising"


def test_a_closed_widget_hears_no_direction(widget, labelled):
    widget.direction = "noising"
    widget.close()
    assert labelled._runner.known._listeners == []
    assert labelled.reversed()._runner.known._listeners == []


def test_shown_is_one_of_four(widget):
    for shown in ("estimate", "exact", "known", "miss"):
        widget.shown = shown
    with pytest.raises(TraitError):
        widget.shown = "truth"


def test_one_layer_offers_no_method_that_compares_layers(tokens):
    widget = PatchWidget(random_model(STYLES[-1], n_layers=1), *tokens)
    names = [one["name"] for one in widget.study["methods"]]
    assert names == ["atp", "atp_qk", "ig", "relp"]
