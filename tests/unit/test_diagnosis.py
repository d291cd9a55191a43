"""Causes of a miss: their evidence is what brute force says, and each shows where it should."""

from __future__ import annotations

from math import isfinite

import pytest
from built_models import OUT, SUM, A, axis, backed_up, built, built_pairs
from direct import assert_direct_effects, patched_values
from estimate_oracles import in_double
from toy_models import STYLES, random_model, random_tokens

from patchwidget import Head, Node, PatchStudy, demo
from patchwidget.verify import diagnosing, self_repair
from patchwidget.verify.agreement import Check

NODES = [
    Head(0, 1),
    Head(0, 2, kind="q", pos=5),
    Head(1, 0, kind="k"),
    Head(0, 0, kind="v", pos=3),
    Node("pattern", 1, head=1, pos=4),
    Node("mlp_out", 0, pos=5),
    Node("neuron", 1, pos=2, neuron=7),
    Node("attn_out", 1, pos=6),
    Node("resid_pre", 0, pos=2),
    Node("resid_mid", 1, pos=5),
]


@pytest.fixture(scope="module", params=STYLES)
def toy(request):
    model = random_model(request.param, n_layers=3, n_heads=3)
    return PatchStudy(model, *random_tokens(3, 7))


@pytest.fixture(scope="module")
def bundled():
    return PatchStudy(demo.load_model(), demo.ioi_pairs())


@pytest.mark.parametrize("node", NODES, ids=str)
def test_direct_effects_are_those_with_all_later_writes_frozen(toy, node):
    assert_direct_effects(in_double(toy._runs), node)


def test_what_moves_against_is_of_the_other_sign(toy):
    found = self_repair(toy._runs, Head(0, 1))
    others = [effect for effect in found.heads.values() if effect * found.own < 0]
    assert others
    assert found.against == pytest.approx(sum(others))
    assert found.against * found.own < 0


def self_repair_of(model, node):
    study = PatchStudy(model, built_pairs(), direction="noising")
    return study.diagnose(node)["self-repair"]


def test_a_head_that_is_backed_up_is_consistent_with_self_repair():
    """Of its own -1 the backup gives back 1 and the negative head 0.5."""
    study = PatchStudy(backed_up(), built_pairs(), direction="noising")
    found = study.diagnose("L0H0.z")
    cause = found["self-repair"]
    # The study's scale is -0.5, and all effects are fractions of it.
    assert cause.evidence == pytest.approx({"direct": 2.0, "against": -3.0})
    assert cause in found.consistent_with
    assert "consistent with self-repair: its own direct effect is +2.0000" in repr(
        found
    )
    assert "-3.0000 against it (L1H1 -2.0000, L1H2 -1.0000)" in cause.words
    # The backup is of the last layer: no head comes after it.
    assert not self_repair_of(backed_up(), "L1H1.z").consistent


@pytest.mark.parametrize(("given_back", "consistent"), [(0.2, False), (0.3, True)])
def test_a_quarter_given_back_is_self_repair(given_back, consistent):
    model = built(
        {
            (0, 0): (axis((A, 1)), axis((OUT, 1))),
            (1, 2): (axis((OUT, 1)), axis((OUT, -given_back))),
        }
    )
    cause = self_repair_of(model, "L0H0.z")
    assert cause.evidence["against"] == pytest.approx(
        -given_back * cause.evidence["direct"]
    )
    assert cause.consistent is consistent


@pytest.mark.parametrize(("direct", "consistent"), [(0.3, False), (0.7, True)])
def test_a_head_that_acts_through_others_is_not_repaired(direct, consistent):
    """All of its direct effect is taken back, but most of what it does is not direct."""
    model = built(
        {
            (0, 0): (axis((A, 1)), axis((OUT, direct), (SUM, 1))),
            (1, 1): (axis((SUM, 1)), axis((OUT, 1))),
            (1, 2): (axis((OUT, 1)), axis((OUT, -1))),
        }
    )
    cause = self_repair_of(model, "L0H0.z")
    # The effect is that of L1H1, the whole: 1.
    assert cause.evidence == pytest.approx({"direct": direct, "against": -direct})
    assert cause.consistent is consistent


@pytest.mark.parametrize("node", NODES, ids=str)
def test_every_node_can_be_diagnosed(toy, node):
    found = toy.diagnose(node)
    assert found.check.exact == pytest.approx(toy.exact([node])[node].value)
    names = {cause.name for cause in found.causes} | set(found.not_looked_at)
    assert ("attention saturation" in names) == (node.kind in ("q", "k"))
    many = node.kind.startswith("resid") or (node.kind, node.layer) == ("mlp_out", 0)
    assert ("a patch of many features" in names) == many
    assert {"cancellation", "curvature", "self-repair"} <= names
    for cause in found.causes:
        assert f"{cause.name}: {cause.words}" in repr(found)
        assert (cause in found.consistent_with) == cause.consistent
        for number in cause.evidence.values():
            assert number is None or isfinite(number)


def test_a_saturated_query_is_consistent_with_saturation(bundled):
    """The miss of this model: plain AtP gives a third, the softmax half of what it lacks."""
    found = bundled.diagnose("L1H0.q@S2")
    cause = next(c for c in found.causes if c.name == "attention saturation")
    assert cause.consistent
    assert cause.evidence["room"] < 0.1
    fixed = bundled.estimate("q", "atp_qk", by="pos")[found.check.node]
    assert cause.evidence["atp_qk"] == pytest.approx(fixed, rel=1e-4)
    assert abs(found.check.exact - fixed) < (1 - 1 / 3) * found.check.miss
    text = repr(found)
    assert "consistent with attention saturation" in text


def test_the_weight_that_moves_is_read_from_the_patched_run(bundled):
    node = bundled.node("L1H0.q@S2")
    before = bundled._runs.base.values["pattern", 1][:, 0]
    after = patched_values(bundled._runs, node)["pattern", 1][:, 0]
    change = (after - before).abs().flatten(1)
    places = change.argmax(1, keepdim=True)
    cause = bundled.diagnose(node).causes[0]
    for name, run in (("weight_before", before), ("weight_after", after)):
        expected = float(run.flatten(1).gather(1, places).mean())
        assert cause.evidence[name] == pytest.approx(expected, rel=1e-4)


def test_the_fixed_estimate_is_no_sign_of_saturation(bundled):
    """Already through the softmax: what is left has another cause."""
    found = bundled.diagnose("L1H0.q@S2", "atp_qk")
    assert "attention saturation" not in {c.name for c in found.consistent_with}


def test_a_whole_stream_is_many_features_and_has_no_graddrop(bundled):
    found = bundled.diagnose("L0.resid_pre@S2")
    assert {c.name for c in found.consistent_with} == {
        "curvature",
        "a patch of many features",
    }
    assert "not defined for resid_pre" in found.not_looked_at["cancellation"]
    assert "cancellation: not looked at" in repr(found)
    assert found.causes[1].evidence["relative_change"] > 1


def test_a_cause_is_found_by_its_name(bundled):
    found = bundled.diagnose("L0.resid_pre@S2")
    assert found["curvature"] is found.causes[0]
    with pytest.raises(KeyError, match="cancellation: not looked at, graddrop is not"):
        found["cancellation"]
    with pytest.raises(KeyError, match="'fate' is no cause of"):
        found["fate"]


def test_cancellation_and_curvature_follow_their_numbers(bundled):
    for name in ("L1H0.q@S2", "L2H1.z@END", "L4H0.z", "L0.mlp_out@S2", "L0H4.v"):
        found = bundled.diagnose(name)
        causes = {cause.name: cause for cause in found.causes}
        evidence = causes["cancellation"].evidence
        grid = bundled.estimate(
            found.check.node.kind, "graddrop", by=found.check.node.by
        )
        assert evidence["graddrop"] == pytest.approx(grid[found.check.node], rel=1e-4)
        assert causes["cancellation"].consistent == (
            evidence["graddrop"] >= 3 * evidence["atp"] > 0
            and abs(found.check.estimate) < abs(found.check.exact)
        )
        ratio = causes["curvature"].evidence["ratio"]
        assert causes["curvature"].consistent == (ratio >= 0.5)


def test_a_cancelling_node_is_consistent_with_cancellation():
    """Neurons whose GradDrop value is far larger, and whose effect is larger too."""
    model = random_model(STYLES[0], n_layers=4, n_heads=3)
    study = PatchStudy(model, *random_tokens(1, 7))
    grids = [study.estimate("neuron", method) for method in ("atp", "graddrop")]
    plain, dropped = (grid.mean_abs for grid in grids)
    cells = (dropped > 3 * plain).logical_and(plain > 0).nonzero().tolist()
    nodes = [Node("neuron", layer, pos=p, neuron=n) for layer, p, n in cells]
    exact = study.exact(nodes)
    larger = [node for node in nodes if abs(exact[node].value) > abs(grids[0][node])]
    assert 0 < len(larger) < len(nodes)
    for node in nodes[:12]:
        names = {cause.name for cause in study.diagnose(node).consistent_with}
        assert ("cancellation" in names) == (node in larger), node


def test_a_node_that_changes_nothing_has_no_cause(toy):
    found = toy.diagnose(Head(0, 0, kind="q", pos=0))
    assert found.check.exact == found.check.estimate == found.check.miss == 0
    assert not found.consistent_with


def test_one_layer_has_no_graddrop_and_no_later_heads():
    model = random_model(STYLES[0], n_layers=1, n_heads=2)
    study = PatchStudy(model, *random_tokens(1, 4, differ=(1,)))
    found = study.diagnose(Head(0, 1))
    assert "writes to the stream once" in found.not_looked_at["cancellation"]
    assert "none" in next(c.words for c in found.causes if c.name == "self-repair")


def test_a_model_that_only_hooks_run_is_told_what_cannot_be_looked_at():
    model = random_model(STYLES[0], n_layers=2, n_heads=2)
    hook = model.blocks[0].hook_attn_out if hasattr(model, "blocks") else None
    hook.add_hook(lambda value, hook: value * 1.0)
    try:
        study = PatchStudy(model, *random_tokens())
        assert study.notice
        found = study.diagnose(Head(0, 1, kind="q"))
    finally:
        model.reset_hooks()
    assert not found.causes
    assert len(found.not_looked_at) == 4
    assert "decoder" in repr(found)


def test_wrong_nodes_are_refused(toy):
    with pytest.raises(IndexError, match="no layer 9"):
        toy.diagnose("L9H0.z")
    with pytest.raises(ValueError, match="unknown method"):
        toy.diagnose("L0H0.z", "magic")


def test_a_check_can_be_diagnosed_as_it_is(toy):
    check = Check(Head(0, 1), 0.5, 0.5, 0.1)
    assert [found.check for found in diagnosing(toy._runs, check)][-1] is check
