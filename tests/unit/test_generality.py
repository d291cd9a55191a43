"""The same picks on a second set of pairs: effects side by side, and what holds."""

from __future__ import annotations

import pytest
import torch
from through_hooks import by_hooks
from toy_models import STYLES, random_model, random_tokens

from patchwidget import Head, Node, Pairs, PatchStudy, demo, sources
from patchwidget.demo.templates import HELD_OUT_TEMPLATES
from patchwidget.effects import Effect
from patchwidget.generality import VERDICTS, Pick
from patchwidget.grids import Scale
from patchwidget.saving import NeedsModelError

NODE = Head(0, 1)


def effect(*per_pair, gap=2.0):
    """Effects on pairs whose metric is 0 in the base run and `gap` in the source run."""
    raw = gap * torch.tensor(per_pair)
    scale = Scale(torch.zeros(len(raw)), torch.full((len(raw),), gap))
    return Effect((NODE,), raw, scale)


CASES = [
    ("holds", (0.8, 0.9, 1.0), (0.5, 0.6, 0.7)),
    ("holds", (-0.8, -0.9, -1.0), (-0.8, -2.0, -2.5)),
    ("weaker", (0.8, 0.9, 1.0), (0.2, 0.3, 0.4)),
    ("reversed", (0.8, 0.9, 1.0), (-0.2, -0.3, -0.4)),
    ("gone", (0.8, 0.9, 1.0), (-0.5, 0.6, 0.1)),
    ("gone", (0.8, 0.9, 1.0), (0.01, 0.02, 0.03)),
    ("gone", (0.8, 0.9, 1.0), (0.0, 0.0, 0.0)),
    ("nothing here", (0.3, -0.3, 0.01), (0.8, 0.9, 1.0)),
    ("nothing here", (0.0, 0.0), (0.0, 0.0)),
    ("nothing here", (1e-7, 1e-7, 2e-7), (1e-7, 1e-7, 2e-7)),
    ("unsure", (0.8,), (0.8, 0.9, 1.0)),
    ("unsure", (0.8, 0.9, 1.0), (0.8,)),
]


@pytest.mark.parametrize(("verdict", "here", "there"), CASES)
def test_what_holds(verdict, here, there):
    pick = Pick(effect(*here), effect(*there, gap=-3.0))
    assert pick.verdict == verdict, pick
    assert verdict in VERDICTS
    assert repr(pick).endswith(f"there: {verdict}")


def test_every_verdict_is_met():
    assert {case[0] for case in CASES} == set(VERDICTS)


def test_ranges_and_intervals_are_of_each_set():
    pick = Pick(effect(0.0, 1.0, 5.0), effect(-2.0, 3.0))
    assert pick.ranges == ((0.0, 5.0), (-2.0, 3.0))
    (start, end), _ = pick.intervals
    assert 0 <= start < 2 < end <= 5
    assert Pick(effect(0.5), effect(1.0, 2.0)).intervals[0] is None


OTHERS = random_tokens(5, 7, seed=4)


@pytest.mark.parametrize("make", [PatchStudy, by_hooks])
@pytest.mark.parametrize("direction", ["denoising", "noising"])
def test_both_sets_have_what_studies_of_their_own_find(model, tokens, make, direction):
    study = make(model, *tokens, direction=direction, metric={"p": "logprob"})
    nodes = [Head(1, 0), Head(0, 2, "q", 4), Node("resid_pre", 1, pos=3)]
    found = study.generality(nodes, *OTHERS)
    alone = PatchStudy(model, *OTHERS, direction=direction, metric="logprob")
    expected = alone.exact(nodes)
    assert found.metric == "p"
    for node, pick in zip(nodes, found.picks, strict=True):
        assert pick.node == pick.other_node == node
        assert pick.here is found.here[node]
        assert pick.there.raw.shape == (5,)
        torch.testing.assert_close(pick.there.raw, expected[node].raw)
        torch.testing.assert_close(pick.here.raw, study.exact([node])[node].raw)
        assert found[node] is found[str(node)] is pick
    lost = ("weaker", "gone", "reversed")
    assert found.holding == [p.node for p in found.picks if p.verdict == "holds"]
    assert found.failing == [p.node for p in found.picks if p.verdict in lost]
    assert repr(found).startswith("p, 3 pairs here, 5 there\nL1H0.z: ")


def test_a_study_on_other_pairs_keeps_its_settings(model, tokens):
    def last(logits):
        return logits[:, -1, 0]

    study = PatchStudy(model, *tokens, metric=last, source="zero", budget=2**28)
    other = study.on(*OTHERS)
    assert (other.metric, other.direction) == ("last", "noising")
    assert other._budget == 2**28
    expected = PatchStudy(model, *OTHERS, metric=last, source="zero").exact([NODE])
    assert torch.equal(other.exact([NODE])[NODE].raw, expected[NODE].raw)


def test_an_ablation_of_clean_prompts_alone(model, tokens):
    study = PatchStudy(
        model, tokens[0], metric="logprob", answers=tokens[2], source=sources.Zero()
    )
    (pick,) = study.generality(NODE, OTHERS[0], answers=OTHERS[2]).picks
    assert pick.there.scale is None
    assert pick.there.raw.shape == (5,)


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (1, 7)])
def test_one_pair_and_one_token(model, shape):
    others = random_tokens(*shape, differ=(0,), seed=3)
    study = PatchStudy(model, *random_tokens(2, 1, differ=(0,)))
    (pick,) = study.generality(Head(0, 0), *others).picks
    assert pick.there.raw.shape == shape[:1]
    assert (pick.verdict == "unsure") == (shape[0] == 1)


def test_prompts_of_another_length(model, labelled):
    longer = random_tokens(2, 9, seed=5)
    named = Pairs(*longer[:2], answers=longer[2], labels={"S2": 5})
    found = labelled.generality([Head(1, 0), "L0H1.q@S2", "L0.resid_pre@S2"], named)
    assert [str(pick.other_node) for pick in found.picks] == [
        "L1H0.z",
        "L0H1.q@5",
        "L0.resid_pre@5",
    ]
    assert "L0H1.q@3 (L0H1.q@5 there)" in repr(found)
    alone = PatchStudy(model, named).exact("L0H1.q@S2")
    torch.testing.assert_close(found["L0H1.q@S2"].there.raw, alone["L0H1.q@5"].raw)
    numbered = ["L0H1.q@3", Head(0, 1, "q", 3), "L0H1.pattern@S2,1", "L0.mlp_out@2"]
    for pick in numbered:
        with pytest.raises(ValueError, match=r"at position \d, .* 9 tokens, these 7"):
            labelled.generality([Head(1, 0), pick], named)
    with pytest.raises(ValueError, match="no position named 'S2': none are named"):
        labelled.generality("L0H1.q@S2", *longer)


def test_a_numbered_position_whose_name_stands_elsewhere_is_refused(labelled):
    others = Pairs(*OTHERS[:2], answers=OTHERS[2], labels={"S2": 5})
    with pytest.raises(
        ValueError, match=r"position 3, S2 in these.*stands at 5.*'@S2'"
    ):
        labelled.generality(Head(0, 1, "q", 3), others)
    assert labelled.generality("L0H1.q@4", others).picks[0].other_node.pos == 4
    assert labelled.generality("L0H1.q@S2", others).picks[0].other_node.pos == 5


def test_what_cannot_be_asked(study, tokens):
    with pytest.raises(ValueError, match="no node is picked"):
        study.generality([], *OTHERS)
    with pytest.raises(IndexError, match="no head 3, only 0 to 2"):
        study.generality("L0H3", *OTHERS)
    with pytest.raises(TypeError, match="is not a node"):
        study.generality([3], *OTHERS)
    with pytest.raises(ValueError, match="corrupted prompts are missing"):
        study.generality(NODE, OTHERS[0])
    with pytest.raises(ValueError, match="no metric 'kl'"):
        study.generality(NODE, *OTHERS, metric="kl")
    with pytest.raises(ValueError, match=r"the other pairs' clean.*the same metric"):
        study.generality(NODE, tokens[0], tokens[0], tokens[2])
    with pytest.raises(KeyError):
        study.generality(NODE, *OTHERS)["L1H1.z"]


def test_a_saved_study_says_that_it_needs_the_model(study, tmp_path):
    study.save(tmp_path / "study")
    saved = PatchStudy.load(tmp_path / "study")
    for ask in (saved.generality, saved.on):
        with pytest.raises(NeedsModelError, match="needs the model"):
            ask(NODE, *OTHERS)


def test_one_layer_of_one_head():
    model = random_model(STYLES[0], n_layers=1, n_heads=1)
    study = PatchStudy(model, *random_tokens())
    assert study.generality("L0H0.v", *OTHERS).picks[0].there.raw.isfinite().all()


def test_indirect_objects_in_another_sentence_and_not_in_another_task():
    study = PatchStudy(demo.load_model(), demo.ioi_pairs())
    picks = ["L1H0.q@S2", "L2H1.v", "L4H1.q@END"]
    sentence = demo.ioi_pairs(12, seed=3, template=HELD_OUT_TEMPLATES[1])
    assert len(study.generality(picks, sentence).holding) == 3
    found = study.generality(["L2H1.v", "L4H1"], demo.induction_pairs())
    assert [pick.verdict for pick in found.picks] == ["gone", "weaker"]
