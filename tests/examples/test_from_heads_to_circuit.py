"""What the sentences of `from_heads_to_circuit.ipynb` say of its numbers holds."""

from __future__ import annotations

import pytest
from notebooks import EXAMPLES, cells_of, run

PATH = EXAMPLES / "from_heads_to_circuit.ipynb"
GROUPS = ["L0H0", "L1H0"], ["L2H0", "L2H1"], ["L4H0", "L4H1"]


@pytest.fixture(scope="module")
def circuit():
    """All that the notebook's cells leave behind."""
    return run(PATH)


def test_it_is_short():
    assert len(cells_of(PATH)) < 15


def test_the_prompts_are_those_that_it_quotes(circuit):
    opening = "When Mary and John went to the office, "
    for study, givers in (("study", ("Mary", "John")), ("other", ("John", "Mary"))):
        for text, giver in zip(circuit[study].pairs.text[0], givers, strict=True):
            assert f"{opening}{giver} gave the gift to" in "".join(text)
    here, there = circuit["study"].pairs, circuit["other"].pairs
    assert (here.clean == there.corrupted).all()
    assert (here.corrupted == there.clean).all()
    assert here.answer_text[0][0] == " John"


def test_the_groups_follow_one_another(circuit):
    study = circuit["study"]
    names = {str(node)[:-2] for node in circuit["top"]}
    assert {head for group in GROUPS for head in group} <= names
    for head in GROUPS[0]:
        best = [path.readers[0] for path, _ in study.exact_paths(head, "v").top(2)]
        assert sorted(map(str, best)) == ["L2H0.v", "L2H1.v"]
    for head in GROUPS[1]:
        best = [path.readers[0] for path, _ in study.exact_paths(head, "q").top(2)]
        assert sorted(map(str, best)) == ["L4H0.q", "L4H1.q"]
    final = {
        head: float(study.exact_paths(head, "final").values)
        for group in GROUPS
        for head in group
    }
    assert min(final[head] for head in GROUPS[2]) > 0.2
    assert max(abs(final[head]) for head in (*GROUPS[0], *GROUPS[1])) < 0.03
    estimated = study.paths()
    assert estimated["L4.mlp -> final"] > 0.3
    best = {str(path) for path, _ in estimated.top(5)}
    assert {"L1H0 -> L2H1.v", "L2H1 -> L4H0.q", "L2H1 -> L4H1.q"} <= best


def test_eight_heads_do_it_all_and_the_rest_nothing(circuit):
    story = circuit["story"]
    assert story.faithfulness == pytest.approx(1.05, abs=0.06)
    assert abs(story.complement) < 0.05
    assert (len(story.members), story.n_parts) == (8, 40)
    assert min(story.minimality, key=story.minimality.get) == "L0H0.z"
    assert str(circuit["top"][4]) == "L0H0.z", "fifth on the map"


def test_two_hundred_paths_do_it_all(circuit):
    wired = circuit["wired"]
    assert wired.faithfulness == pytest.approx(1.03, abs=0.05)
    assert abs(wired.complement) < 0.05
    assert (len(wired.members), wired.n_parts) == (200, 2461)


def test_two_heads_are_redundant(circuit):
    found = circuit["study"].interactions(["L0H0", "L1H0"])
    assert found.reading("L0H0", "L1H0").startswith("OR-like (")
    assert float(found["noising"].values[0, 1]) > 0.1
    lean = circuit["study"].whole_story(circuit["lean"])
    assert lean.faithfulness > 0.95
    assert len(lean.members) == 7


def test_the_leaner_circuit_does_not_generalise(circuit):
    other = circuit["other"]
    assert other.whole_story(circuit["top"]).faithfulness > 0.95
    assert other.whole_story(circuit["lean"]).faithfulness < 0.8
    found = other.interactions(["L0H0", "L1H0"])
    assert found.reading("L0H0", "L1H0").startswith("AND-like (")


def test_the_estimate_orders_as_the_truth_does_and_chance_does_not(circuit):
    curves = {
        name: circuit["study"].circuit_curve(order)
        for name, order in circuit["orders"].items()
    }
    assert curves["estimate"].cpr == pytest.approx(curves["exact"].cpr, abs=0.05)
    assert curves["estimate"].cpr > 0.85
    assert curves["estimate"].cmd < 0.2
    assert curves["random"].cpr < 0.6
    assert curves["random"].cmd > 0.4
