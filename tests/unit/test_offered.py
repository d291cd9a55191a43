"""What is said to be offered is given, and nothing else is."""

from __future__ import annotations

import pytest
import torch
from toy_models import STYLES, random_model, random_tokens

from patchwidget import PatchStudy, engines
from patchwidget.estimate import METHODS
from patchwidget.hooks import HookedModel
from patchwidget.nodes import KINDS


def given(study, kind):
    """The methods that do give a kind: each is tried."""
    found = []
    for method in METHODS:
        try:
            study.estimate(kind, method)
        except ValueError:
            continue
        found.append(method)
    return tuple(found)


def check(study):
    assert {kind: study.methods(kind) for kind in KINDS} == {
        kind: given(study, kind) for kind in KINDS
    }


@pytest.mark.parametrize("n_layers", [1, 2])
def test_of_a_plain_model(n_layers):
    check(PatchStudy(random_model(STYLES[0], n_layers=n_layers), *random_tokens()))


def test_through_hooks(model, tokens, monkeypatch):
    monkeypatch.setattr(engines, "choose", lambda one: (HookedModel(one), "asked for"))
    study = PatchStudy(model, *tokens)
    check(study)
    assert study.methods("z") == ("atp",)


def test_of_an_ablation(model, tokens):
    check(PatchStudy(model, tokens[0], answers=tokens[2], source="zero"))


def test_an_unknown_kind_is_refused(study):
    with pytest.raises(ValueError, match="unknown kind 'heads'"):
        study.methods("heads")


def test_nodes_that_can_matter_are_those_whose_values_differ(study):
    runs = study._runs
    for kind, by in (("z", None), ("z", "pos"), ("resid_pre", None), ("k", None)):
        moving = set(study.moving(kind, by=by))
        for node in study.extent.nodes(kind, by):
            base, source = (
                run.values[kind, node.layer][node.index]
                for run in (runs.base, runs.source)
            )
            assert (node in moving) == (not torch.equal(base, source)), node
    assert [str(node) for node in study.moving("resid_pre")][:2] == [
        "L0.resid_pre@2",
        "L0.resid_pre@5",
    ], "where the prompts differ"
