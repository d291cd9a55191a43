"""`check_answer`: an answer beside the right one, for exercises of one's own."""

from __future__ import annotations

import pytest
import torch

from patchwidget.exercises import check_answer


def double(x):
    return 2 * x


@pytest.mark.parametrize("right", [6, 6.0, torch.tensor(6)])
def test_right(right):
    verdict = check_answer(double, [3], right=right, praise="Twice as much.")
    assert verdict
    assert repr(verdict) == "double, right: Twice as much."


def test_lists_tensors_and_rounding():
    found = torch.tensor([0.1, 0.2]) * 3
    assert check_answer(lambda: found, right=[0.3, 0.6])
    assert not check_answer(lambda: found, right=[0.3, 0.601])
    assert check_answer(lambda: [torch.tensor(1.0), 2], right=torch.tensor([1, 2]))
    assert check_answer(lambda: torch.ones(2, requires_grad=True), right=[1, 1])


@pytest.mark.parametrize(
    ("function", "mistake", "said"),
    [
        (lambda x: x**2, "explained", "That is the square."),
        (lambda x: 7, None, "It gives 7"),
        (lambda x: [6], None, "Its shape is [1], and [] is asked for."),
        (lambda x: None, None, "it returns nothing"),
        (lambda x: "six", None, "ValueError"),
        (lambda x: float("nan"), None, "It gives nan"),
        (lambda: 6, "hook_keyword", "TypeError"),
        (6, "not_a_function", "Give the function itself"),
    ],
)
def test_wrong(function, mistake, said):
    mistakes = {"That is the square.": 9}
    verdict = check_answer(function, [3], right=6, mistakes=mistakes, hint="Add it.")
    assert not verdict
    assert verdict.mistake == mistake
    assert said in verdict.sentence


def test_some_of_it_right_ends_in_the_hint():
    verdict = check_answer(lambda: [1, 2, 4], right=[1, 2, 3], hint="Count on.")
    assert verdict.sentence == "2 of 3 values are right. Count on."


def test_a_stub_and_the_line_of_an_error():
    def stub():
        raise NotImplementedError

    def broken():
        return torch.zeros(2)[5]

    assert check_answer(stub, right=1).mistake == "stub"
    assert "torch.zeros(2)[5]" in check_answer(broken, right=1).sentence


def test_a_tutorial_that_is_wrong_itself_hears_of_it():
    with pytest.raises(ValueError, match="could not convert"):
        check_answer(double, [1], right="two")
