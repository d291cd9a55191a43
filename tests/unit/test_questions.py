"""Questions judged by exact effects: by the largest of a kind, by name, by a function."""

from __future__ import annotations

import pytest
import torch
from toy_models import STYLES, random_model, random_tokens

from patchwidget import Node, PatchStudy, Question, Top
from patchwidget.effects import Effect, Effects


def effects_of(kind, sizes, n_heads):
    """Exact effects in raw units, head by head."""
    nodes = [Node(kind, i // n_heads, head=i % n_heads) for i in range(len(sizes))]
    made = {
        node: Effect((node,), torch.tensor([size]), None)
        for node, size in zip(nodes, sizes, strict=True)
    }
    return Effects(made), nodes


def judged(sizes, picks, k=2):
    """What a `Top` says of picks among two layers of three heads."""
    effects, wanted = effects_of("v", sizes, 3)
    return Top(k, "v").judge(effects, [*map(Node.parse, picks)], wanted)


SIZES = [0.1, -0.9, 0.02, 0.5, 0.3, 0.0]


def test_right_is_told_with_its_numbers():
    reply = judged(SIZES, ["L1H0.v", "L0H1.v"])
    assert reply
    assert reply.words == (
        "L1H0.v (+0.500), L0H1.v (-0.900) are the 2 largest of 6 exact effects of "
        "whole heads' v."
    )


def test_what_is_wrong_teaches_and_does_not_give_the_rest_away():
    reply = judged(SIZES, ["L0H1.v", "L0H2.v"])
    assert not reply
    assert reply.words == (
        "L0H1.v (-0.900) is one of them. L0H2.v has an exact effect of +0.020, number 5 "
        "of 6: too small. 1 more is to be found."
    )
    assert "L1H0" not in reply.words


@pytest.mark.parametrize(
    ("picks", "words"),
    [
        ([], "Nothing is picked: pick 2 of whole heads' v, then check."),
        (["L0H1.v"], "1 more is to be found."),
        (
            ["L0H1.v", "L1H0.v", "L1H1.v"],
            "L1H1.v has an exact effect of +0.300, number 3",
        ),
        (["L0H1.v", "L1H0.z"], "L1H0.z is not what is asked for: whole heads' v."),
        (["L0H1.v", "L1H0.v@2"], "L1H0.v@2 is not what is asked for: whole heads' v."),
        (["L0H0.v"], "2 are to be found."),
    ],
)
def test_every_way_to_be_wrong(picks, words):
    reply = judged(SIZES, picks)
    assert not reply
    assert words in reply.words


@pytest.mark.parametrize(
    ("sizes", "picks", "right"),
    [
        ([5, 3, -3, 1, 0, 0], ["L0H0.v", "L0H1.v"], True),
        ([5, 3, -3, 1, 0, 0], ["L0H0.v", "L0H2.v"], True),
        ([5, 3, -3, 1, 0, 0], ["L0H1.v", "L0H2.v"], False),
        ([5, 3, -3, 1, 0, 0], ["L0H0.v", "L0H1.v", "L0H2.v"], False),
        ([5, 3, 3.00001, 1, 0, 0], ["L0H0.v", "L0H1.v"], True),
        ([5, 3, 3.1, 1, 0, 0], ["L0H0.v", "L0H1.v"], False),
        ([0, 0, 0, 0, 0, 0], ["L1H0.v", "L0H1.v"], True),
    ],
)
def test_ties_for_the_last_place(sizes, picks, right):
    sizes = [float(size) for size in sizes]
    reply = judged(sizes, picks)
    assert bool(reply) == right, reply
    if len(picks) == 3:
        assert "These are 3, and 2 are asked for." in reply.words


def test_every_choice_is_judged_as_by_brute_force():
    from itertools import combinations

    effects, nodes = effects_of("v", SIZES, 3)
    largest = set(sorted(nodes, key=lambda one: -abs(effects[one].value))[:2])
    for count in range(4):
        for picks in combinations(nodes, count):
            reply = Top(2, "v").judge(effects, picks, nodes)
            assert bool(reply) == (set(picks) == largest), reply


@pytest.mark.parametrize("kind", ["v", "resid_pre", "pattern"])
def test_a_study_is_asked_for_exact_patches(study, kind, monkeypatch):
    question = Question("Which?", Top(2, kind))
    monkeypatch.setattr(PatchStudy, "estimate", None)
    best = [node for node, _ in study.exact(kind).top(2)]
    assert question.judge(study, best)
    assert question.judge(study, best[::-1] + best), "a pick counts once"
    assert not question.judge(study, best[:1])
    for node in best:
        assert str(node) in question.solution(study)


def test_tied_nodes_are_in_the_solution():
    effects, nodes = effects_of("v", [5.0, 3.0, -3.0, 1.0, 0.0, 0.0], 3)
    words = Top(2, "v").solution(effects, nodes)
    assert words.endswith("L0H2.v would do as well as the last.")


def test_by_position(study):
    question = Question("Where?", Top(1, "attn.hook_q", by="pos"))
    (best, _), (next_best, _) = study.exact("q", by="pos").top(2)
    assert question.judge(study, [best])
    reply = question.judge(study, [next_best])
    assert "number 2 of" in reply.words
    assert "q by pos" in question.judge(study, ["L0H0.q"]).words


def test_exactly_named_nodes(labelled):
    question = Question("Where?", ["L0H1.q@S2", Node("z", 1, head=2)])
    assert question.judge(labelled, ["1.2", "L0H1.q@3"])
    reply = question.judge(labelled, ["1.2", "L0H0"])
    assert not reply
    exact = labelled.exact(["L1H2.z", "L0H0.z"])
    assert reply.words == (
        f"L1H2.z ({exact['L1H2.z'].value:+.3f}) is asked for. L0H0.z "
        f"({exact['L0H0.z'].value:+.3f}) is not. 1 more is to be found."
    )
    nothing = question.judge(labelled, [])
    assert nothing.words == "Nothing is picked, and 2 are asked for."
    assert question.solution(labelled).startswith("L0H1.q@3 (")
    assert Question("One?", "L0H1").judge(labelled, ["L0H1.z"])


def test_a_function_sees_the_picks_exact_effects_and_no_other(labelled):
    seen = []

    def rule(effects):
        seen.append(dict(effects))
        if len(effects) < 2:
            return "pick two"
        return all(one.value > -9 for one in effects.values())

    question = Question("Two?", rule, solution="Any two.")
    assert question.judge(labelled, ["L0H1"]).words == "pick two"
    assert question.judge(labelled, ["L0H1", "L0H2.q"])
    assert [list(map(str, one)) for one in seen] == [["L0H1.z"], ["L0H1.z", "L0H2.q"]]
    assert question.solution(labelled) == "Any two."
    assert Question("None?", lambda effects: not effects).judge(labelled, [])
    free = Question("Free?", lambda _: False)
    assert free.judge(labelled, ["L0H1"]).words.startswith("L0H1.z (")
    assert free.solution(labelled).startswith("There is no one answer")
    with pytest.raises(TypeError, match=r"returns True, False, or a sentence .* None"):
        Question("?", lambda _: None).judge(labelled, [])


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        (("", "L0H0"), {}, ValueError, "give a prompt"),
        ((3, "L0H0"), {}, TypeError, "the prompt of a question is text, got 3"),
        (("?", 3), {}, TypeError, r"an answer is Top\(k, kind\).* got 3"),
        (("?", []), {}, ValueError, "without nodes"),
        (("?", ["L0H0", 3]), {}, TypeError, "3 is not a node"),
        (("?", "L0H0"), {"hints": "look"}, TypeError, "list of texts, got 'look'"),
        (("?", "L0H0"), {"hints": [1]}, TypeError, "list of texts"),
        (("?", "L0H0"), {"solution": None}, TypeError, "the solution .* None"),
    ],
)
def test_what_is_no_question(arguments, options, error, words):
    with pytest.raises(error, match=words):
        Question(*arguments, **options)


def test_what_is_no_top(study):
    for k in (0, -1, 1.0, True, "3"):
        with pytest.raises(ValueError, match="k is how many"):
            Top(k, "v")
    with pytest.raises(ValueError, match="unknown kind"):
        Top(1, "heads")
    with pytest.raises(ValueError, match="cannot be had by"):
        Top(1, "v", by="dest")
    with pytest.raises(ValueError, match="top 7 of v are asked for, and there are 6"):
        Question("?", Top(7, "v")).judge(study, [])
    with pytest.raises(IndexError, match="no layer 9"):
        Question("?", "L9H0").nodes(study)


def test_one_layer_of_one_head():
    model = random_model(STYLES[0], n_layers=1, n_heads=1)
    study = PatchStudy(model, *random_tokens(1, 3))
    reply = Question("Which?", Top(1, "z")).judge(study, ["L0H0"])
    assert reply
    assert "is the largest of 1 exact effects" in reply.words
