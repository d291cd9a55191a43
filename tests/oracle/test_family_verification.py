"""The model families in use: verification finds the true top, direct effects are right."""

from __future__ import annotations

import json

import pytest
from direct import assert_direct_effects, patched_values
from estimate_oracles import in_double
from family_models import FAMILY_CASES, family_model
from toy_models import random_tokens

from patchwidget import Head, PatchStudy


@pytest.fixture(scope="module", params=FAMILY_CASES)
def study(request):
    tokens = random_tokens(2, 6, differ=(1, 3))
    return PatchStudy(family_model(request.param), *tokens)


def test_the_true_top_is_verified(study):
    kinds = ["z", "q", "k", "v"]
    found = study.verify(kinds, "atp_qk", by="pos", top=3, bound_runs=60, share=0.3)
    assert found.settled
    json.dumps(found.to_dict(), allow_nan=False)
    exact = {
        node: grid[node]
        for grid in (study.exact(kind, by="pos") for kind in kinds)
        for node in grid.nodes()
    }
    assert found.total == len(exact), "keys and values have KV heads"
    best = sorted(exact, key=lambda node: -abs(exact[node]))[:3]
    assert [check.node for check in found.top(3)] == best


@pytest.mark.parametrize("kind", ["z", "q", "k", "v"])
def test_direct_effects_are_those_with_all_later_writes_frozen(study, kind):
    assert_direct_effects(in_double(study._runs), Head(0, 1, kind=kind))


@pytest.mark.parametrize("kind", ["q", "k"])
def test_the_weight_that_moves_is_read_from_the_patched_run(study, kind):
    node = Head(1, 0, kind=kind, pos=3)
    before = study._runs.base.values["pattern", 1].flatten(1)
    after = patched_values(study._runs, node)["pattern", 1].flatten(1)
    places = (after - before).abs().argmax(1, keepdim=True)
    evidence = study.diagnose(node).causes[0].evidence
    for name, run in (("weight_before", before), ("weight_after", after)):
        expected = float(run.gather(1, places).mean())
        assert evidence[name] == pytest.approx(expected, rel=1e-4, abs=1e-6)
