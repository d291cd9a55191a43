"""The widget on a study that was loaded without its model: what was saved, and no more."""

from __future__ import annotations

import pytest
from page import answered, asked, decoded, page_sets

from patchwidget import PatchStudy, PatchWidget
from patchwidget.widget.estimates import SHOWN_KINDS

pytestmark = pytest.mark.usefixtures("recorded")
NEEDS = "needs the model: PatchStudy.load(path, model=model)"


def reloaded(study, tmp_path, **settings):
    study.save(tmp_path / "s", **settings)
    return PatchStudy.load(tmp_path / "s")


@pytest.fixture
def live(labelled):
    widget = PatchWidget(labelled)
    widget.selection = ["L0H0.q", "L1.resid_pre@S2"]
    widget.method = "atp_qk"
    yield widget
    widget.close()


@pytest.fixture
def viewed(live, labelled, tmp_path):
    labelled.reversed().estimate("z")
    labelled.reversed().exact(["L0H1.z"])
    saved = reloaded(labelled, tmp_path, attention=["L0H0.q"])
    widget = PatchWidget(saved, selection=live.selection, method="atp_qk")
    yield widget
    widget.close()


def test_it_shows_what_the_live_one_showed(viewed, live):
    assert viewed.grids == live.grids
    assert viewed.verified == live.verified
    assert viewed.report == live.report
    assert viewed.job["state"] == "idle"
    methods = viewed.study.pop("methods"), live.study.pop("methods")
    assert viewed.study == live.study
    assert [one["name"] for one in methods[0]] == ["atp", "atp_qk"]


def test_methods_that_were_saved_can_be_chosen(viewed, live):
    viewed.method = live.method = "atp"
    assert viewed.grids == live.grids
    with pytest.raises(ValueError, match="no method 'ig'"):
        viewed.method = "ig"


def test_the_other_direction_shows_what_was_known_in_it(viewed, live):
    viewed.direction = "noising"
    assert viewed.study["direction"] == "noising"
    assert viewed.method == "atp"  # atp_qk was not asked for there
    assert NEEDS in viewed.job["error"]["message"]  # nor were the picks
    assert list(viewed.verified) == ["L0H1.z"]
    assert list(viewed.grids) == ["atp/z"]
    live.method, live.direction = "atp", "noising"
    assert decoded(viewed.grids["atp/z"]).equal(decoded(live.grids["atp/z"]))
    viewed.direction = "denoising"
    assert set(viewed.verified) == {"L0H0.q", "L1.resid_pre@3"}


def test_a_pick_that_is_not_known_says_what_is_missing(viewed):
    page_sets(viewed, selection=["L1H1.z"])
    assert viewed.job["state"] == "failed"
    assert NEEDS in viewed.job["error"]["message"]
    assert "L1H1.z" not in viewed.verified
    viewed.selection = ["L0H0.q"]
    assert "L0H0.q" in viewed.verified


def test_attention_that_was_saved_is_shown(viewed, live):
    for pair in (0, -1):
        found, expected = (
            asked(one, "attention.get", nodes=["L0H0.q"], pair=pair)
            for one in (viewed, live)
        )
        assert found == expected


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("attention.get", {"nodes": ["L1H1.z"], "pair": 0}),
        ("circuitsvis.get", {"nodes": ["L1H1.z"], "pair": 0}),
        ("row.get", {"node": "L0H0.q"}),
        ("neurons.get", {"top": 3}),
        ("diagnosis.get", {"node": "L0H0.q"}),
        ("cost.get", {"what": "all"}),
    ],
)
def test_what_needs_the_model_is_answered_so(viewed, kind, body):
    reply, _ = answered(viewed, kind, **body)
    assert not reply["ok"]
    assert NEEDS in reply["error"]["message"]


@pytest.mark.parametrize("what", ["all", "top"])
def test_verifying_needs_the_model(viewed, what):
    asked(viewed, "verify.start", what=what, top=3)
    assert viewed.job["state"] == "failed"
    assert NEEDS in viewed.job["error"]["message"]


def test_a_row_that_was_saved_is_shown(study, tmp_path):
    study.estimate("q")
    grid = study.estimate("q", by="pos")
    study.exact(["L0H0.q@3"])
    widget = PatchWidget(reloaded(study, tmp_path))
    payload, (data,) = asked(widget, "row.get", node="L0H0.q")
    assert payload["method"] == "atp"
    assert decoded({"data": data, "shape": [7]}).equal(grid.values[0, :, 0].float())
    assert list(widget.verified) == ["L0H0.q@3"]


def test_verified_nodes_without_estimates_are_shown(study, tmp_path):
    study.estimate("z")
    study.exact(["L0H0.q", "L0H0.v@3", "L0H1.z"])
    widget = PatchWidget(reloaded(study, tmp_path), selection=["L0H0.q", "L0H0.v@3"])
    assert set(widget.verified) == {"L0H0.q", "L0H0.v@3", "L0H1.z"}
    assert [widget.verified[one]["estimate"] for one in widget.selection] == [
        None,
        None,
    ]
    assert list(widget.grids) == ["atp/z"]


def test_without_atp_the_first_method_that_was_saved_is_shown(study, tmp_path):
    grid = study.estimate("z", "ig")
    widget = PatchWidget(reloaded(study, tmp_path))
    assert widget.method == "ig"
    assert decoded(widget.grids["ig/z"]).equal(grid.values.float())


def test_without_any_estimate_verified_nodes_are_shown(study, tmp_path):
    study.exact(["L0H0.q"])
    widget = PatchWidget(reloaded(study, tmp_path))
    assert (list(widget.grids), list(widget.verified)) == ([], ["L0H0.q"])
    assert widget.study["methods"] == []


def test_a_study_with_its_model_goes_on_in_the_widget(live, labelled, model, tmp_path):
    labelled.save(tmp_path / "s")
    widget = PatchWidget(PatchStudy.load(tmp_path / "s", model), method="atp_qk")
    assert widget.grids == live.grids
    widget.selection = ["L1H1.z"]
    assert "L1H1.z" in widget.verified
    assert set(SHOWN_KINDS) >= {one["kind"] for one in widget.grids.values()}
