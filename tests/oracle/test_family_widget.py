"""The widget on the families in use: what it offers, and where grouped heads look."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import comm
import numpy as np
import pytest
import torch
from family_models import FAMILY_CASES, family_model
from toy_models import random_tokens

from patchwidget import PatchStudy, PatchWidget
from patchwidget.estimate import METHODS
from patchwidget.nodes import KINDS

sys.path.append(str(Path(__file__).parents[1] / "unit"))  # pytest adds it only later
from page import RecordingComm, answered, asked, floats


@pytest.fixture(scope="module", params=FAMILY_CASES)
def study(request):
    return PatchStudy(family_model(request.param), *random_tokens(2, 5, differ=(1, 3)))


@pytest.fixture
def widget(study, monkeypatch):
    monkeypatch.setattr(comm, "create_comm", RecordingComm)
    widget = PatchWidget(study)
    yield widget
    widget.close()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_offered_is_given(study, kind):
    given = []
    for method in METHODS:
        try:
            study.estimate(kind, method)
        except ValueError:
            continue
        given.append(method)
    assert study.methods(kind) == tuple(given)


def test_heads_that_share_keys_have_their_own_norms(study, widget):
    """Of the key and value head that their group has, by their own output matrix."""
    extent = study.extent
    group = extent.n_heads // extent.n_kv_heads
    for head in range(extent.n_kv_heads):
        payload, buffers = asked(
            widget, "attention.get", nodes=[f"L1H{head}.k"], pair=1
        )
        heads = [one["head"] for one in payload["heads"]]
        assert heads == [head * group + i for i in range(group)]
        attn = study._runs.engine.weights.layers[1].attn
        value = study._runs.clean.values["v", 1][1, :, head]
        expected = torch.stack([(value @ attn.W_O[one]).norm(dim=-1) for one in heads])
        sent = floats(buffers[2]).reshape(group, 5)
        torch.testing.assert_close(sent, expected, rtol=1e-4, atol=1e-5)
        assert len(np.frombuffer(buffers[0], "<u2")) == group * 15


def test_neurons_where_there_are_any(study, widget):
    reply, buffers = answered(widget, "neurons.get", top=2, layer=1)
    assert reply["ok"] == study.can_patch("neuron")
    if reply["ok"]:
        assert len(floats(buffers[0])) == 2
    else:
        assert "there is no neuron in this model" in reply["error"]["message"]


def test_every_map_has_every_method_that_gives_it(study, widget):
    for method in [one["name"] for one in widget.study["methods"]]:
        widget.method = method
        assert widget.job["state"] in ("idle", "done"), widget.job["error"]
        for record in widget.grids.values():
            offered = study.methods(record["kind"])
            assert record["method"] == (method if method in offered else "atp")


def test_a_saved_page_has_each_head_of_a_group_and_their_row_once(
    study, widget, tmp_path
):
    extent = study.extent
    group = extent.n_heads // extent.n_kv_heads
    page = widget.to_html(tmp_path / "page.html", ["L1H0.k"]).read_text("utf-8")
    inside = set(re.findall(r"get L1H(\d+)\.(\w+)", page))
    for head in range(extent.n_heads):
        assert ((str(head), "pattern") in inside) == (head < group)
        assert ((str(head), "q") in inside) == (head < group)
        assert ((str(head), "k") in inside) == (head == 0)
