"""The circuits set by hand do what can be worked out by hand, under either version."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from patchwidget import Head, PatchStudy, demo
from patchwidget.demo.gates import GATES

# The answer to 0,0: 0,1: 1,0: and 1,1: in logits of "1" above "0".
ANSWERS = {
    "or": (0.0, 1.0, 1.0, 1.1),
    "and": (0.0, 0.1, 0.1, 1.1),
    "cancelling": (0.0, 0.55, 0.55, 1.55),
}
HEADS = [Head(0, 0), Head(0, 1)]


@pytest.fixture(scope="module", params=ANSWERS)
def gate(request):
    return request.param


@pytest.fixture(scope="module")
def model(gate):
    return demo.gate_model(gate)


def test_every_gate_is_worked_out_here():
    assert set(ANSWERS) == set(GATES)


def test_answers_to_all_bits(gate, model):
    one, zero = model.to_single_token("1"), model.to_single_token("0")
    with torch.no_grad():
        logits = model(model.to_tokens(["0,0:", "0,1:", "1,0:", "1,1:"]))[:, -1]
    assert_close(logits[:, one] - logits[:, zero], torch.tensor(ANSWERS[gate]))


def test_each_head_brings_one_bit(model):
    study = PatchStudy(model, demo.gate_pairs())
    assert study.notice is None
    end = study.pairs.labels["END"]
    for head, place in zip(HEADS, ("FIRST", "SECOND"), strict=True):
        row = study.attention(head).clean[0, 0, end]
        assert row[study.pairs.labels[place]] > 1 - 1e-6


def test_effects_follow_from_the_answers(gate, model):
    none, second, first, both = ANSWERS[gate]
    study = PatchStudy(model, demo.gate_pairs())
    for direction, alone in (
        (study, ((first - none) / both, (second - none) / both)),
        (study.reversed(), ((both - second) / both, (both - first) / both)),
    ):
        joint = direction.joint(HEADS)
        found = [joint.singles[head].value for head in HEADS]
        assert found == pytest.approx(alone, rel=1e-5)
        assert joint.value == pytest.approx(1, rel=1e-5)


def test_pairs_of_other_bits(model, gate):
    study = PatchStudy(model, demo.gate_pairs((1, 0), (0, 0)))
    clean, corrupted = (float(values) for values in study.baselines)
    assert clean == pytest.approx(ANSWERS[gate][2], abs=1e-6)
    assert corrupted == pytest.approx(0, abs=1e-6)
    assert study.exact(HEADS[0])[HEADS[0]].value == pytest.approx(1)
    # The other head still gives the changed bit a weight of exp(-40), 4e-18.
    assert study.exact(HEADS[1])[HEADS[1]].value < 1e-16


def test_is_loaded_as_the_bundled_model_is(gate, model):
    before = torch.random.get_rng_state()
    assert type(demo.gate_model(gate)) is type(demo.load_model())
    assert torch.equal(torch.random.get_rng_state(), before)
    assert model.cfg.model_name == f"patchwidget-{gate}"


def test_an_unknown_gate_is_refused():
    with pytest.raises(ValueError, match="no gate 'xor': choose one of or, and, canc"):
        demo.gate_model("xor")
