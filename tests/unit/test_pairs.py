"""Pairs: every form of prompts and answers, and what is said of those that do not fit."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import tensor
from toy_models import random_tokens

from patchwidget import Pairs, PatchStudy

# With the toy tokenizer each letter is a token, and " Mary", " John", " gave" are one.
CLEAN, CORRUPTED = "so Mary gave", "so John gave"


@pytest.fixture(scope="module")
def ids(model):
    """Token ids of the words that the tests use."""
    mary, john = (
        int(model.to_tokens(name, prepend_bos=False)[0, 0])
        for name in (" Mary", " John")
    )
    return {"mary": mary, "john": john}


@pytest.fixture
def without_tokenizer(model, monkeypatch):
    monkeypatch.setattr(model, "tokenizer", None)
    return model


def test_strings_become_tokens_with_bos(model, ids):
    pairs = Pairs(CLEAN, CORRUPTED).on(model)
    assert pairs.clean.shape == pairs.corrupted.shape == (1, 5)
    assert pairs.clean[0, 0] == model.tokenizer.bos_token_id
    assert pairs.clean[0, 3] == ids["mary"]
    assert pairs.corrupted[0, 3] == ids["john"]
    assert pairs.position == 4, "the last one"
    assert pairs.text == (
        (
            ["<|endoftext|>", "s", "o", " Mary", " gave"],
            ["<|endoftext|>", "s", "o", " John", " gave"],
        ),
    )


def test_lists_tensors_and_a_single_row_are_the_same(model):
    strings = Pairs([CLEAN, CORRUPTED], [CORRUPTED, CLEAN]).on(model)
    rows = Pairs(strings.clean, strings.corrupted).on(model)
    small = Pairs(strings.clean.int(), strings.corrupted.short()).on(model)
    for pairs in (rows, small):
        assert torch.equal(pairs.clean, strings.clean)
        assert torch.equal(pairs.corrupted, strings.corrupted)
        assert pairs.clean.dtype == torch.long
        assert pairs.text == strings.text
    one = Pairs(strings.clean[0], strings.corrupted[0])
    assert len(one) == 1
    assert torch.equal(one.on(model).clean, strings.clean[:1])


def test_tokens_are_not_shared_with_the_caller(model, tokens):
    clean, corrupted, answers = (t.clone() for t in tokens)
    pairs = Pairs(clean, corrupted, answers=answers)
    clean[0, 0] = 0
    answers[0, 0] = 0
    held = pairs.on(model)
    assert torch.equal(held.clean, tokens[0])
    assert torch.equal(held.answers, tokens[2])


ROWS = [[5, 6], [7, 8], [9, 10]]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (ROWS, ROWS),
        ([tuple(row) for row in ROWS], ROWS),
        (tensor(ROWS), ROWS),
        (tensor(ROWS, dtype=torch.int32), ROWS),
        (list(tensor(ROWS)), ROWS),
        ([[np.int64(a), tensor(b)] for a, b in ROWS], ROWS),
        (tensor([[5], [7], [9]]), [[5], [7], [9]]),
        (tensor([5, 7, 9]), [[5], [7], [9]]),
        ([5, 7, 9], [[5], [7], [9]]),
        ([[5], [7], [9]], [[5], [7], [9]]),
        (None, None),
    ],
)
def test_forms_of_answers(model, tokens, answers, expected):
    found = Pairs(*tokens[:2], answers=answers).on(model).answers
    assert (None if found is None else found.tolist()) == expected


@pytest.mark.parametrize(
    ("answers", "names"),
    [
        ((" Mary", " John"), ["mary", "john"]),
        ([(" Mary", " John")], ["mary", "john"]),
        ([[" Mary", " John"]], ["mary", "john"]),
        ([" Mary"], ["mary"]),
        (" Mary", ["mary"]),
        ([(" Mary",)], ["mary"]),
    ],
)
def test_answers_in_words(model, ids, answers, names):
    pairs = Pairs(CLEAN, CORRUPTED, answers=answers).on(model)
    assert pairs.answers.tolist() == [[ids[name] for name in names]]
    assert pairs.answer_text == ([f" {name.title()}" for name in names],)


def test_words_and_ids_may_be_mixed(model, ids):
    pairs = Pairs(CLEAN, CORRUPTED, answers=[(" Mary", ids["john"])]).on(model)
    assert pairs.answer_text == ([" Mary", " John"],)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([[5, 6], [7, 8]], "2 answers for 3 pairs"),
        ([[5, 6], [7], [9]], r"one answer \(right\) or two.* rows of \[1, 2\]"),
        ([[5, 6, 7]] * 3, r"rows of \[3\]"),
        (torch.zeros(3, 3, dtype=torch.long), r"token ids \[pairs, 2\].*\[3, 3\]"),
        (torch.zeros(3, 0, dtype=torch.long), r"token ids \[pairs, 2\].*\[3, 0\]"),
        (torch.zeros(3, 2), r"token ids .*torch.float32 \[3, 2\]"),
        (tensor(5), r"token ids .* \[\]"),
        ([[1.5, 2]] * 3, "an answer is text or a token id, got 1.5"),
        ([[None, 2]] * 3, "an answer is text or a token id, got None"),
    ],
)
def test_answers_that_do_not_fit(model, tokens, answers, message):
    with pytest.raises(ValueError, match=message):
        Pairs(*tokens[:2], answers=answers).on(model)


@pytest.mark.parametrize("bad", [-1, 300])
@pytest.mark.parametrize("name", ["clean", "corrupted", "answers"])
def test_ids_outside_the_vocabulary(model, tokens, name, bad):
    given = dict(zip(("clean", "corrupted", "answers"), tokens, strict=True))
    given[name] = given[name].clone()
    given[name][1, 0] = bad
    message = f"{name}: token {bad} is not in a vocabulary of 300"
    with pytest.raises(ValueError, match=message):
        Pairs(given["clean"], given["corrupted"], answers=given["answers"]).on(model)


def test_an_answer_of_several_tokens_names_them(model):
    with pytest.raises(ValueError, match="'Mary' is 4 tokens") as caught:
        Pairs(CLEAN, CORRUPTED, answers=["Mary", " John"]).on(model)
    assert "('M', 'a', 'r', 'y'), one is needed" in str(caught.value)
    assert str(caught.value).endswith("was a leading space meant?")


def test_the_hint_is_left_out_where_the_space_is_there(model):
    with pytest.raises(ValueError, match=r"' Jo' is 3 tokens \(' ', 'J', 'o'\)") as e:
        Pairs(CLEAN, CORRUPTED, answers=[" Jo", " John"]).on(model)
    assert "leading space" not in str(e.value)


def caret_points_at(message):
    """The text in both rows above the caret, to the end of its token."""
    first, second, mark = message.splitlines()[-3:]
    column = mark.index("^")
    return tuple(row[column:].split("|")[0].rstrip() for row in (first, second))


def before_caret(message):
    first, second, mark = message.splitlines()[-3:]
    return first[mark.index("^") - 1], second[mark.index("^") - 1]


def test_unequal_lengths_show_both_rows_and_the_first_difference(model):
    with pytest.raises(ValueError, match="pair 0") as caught:
        Pairs("so Mary gave a", "so Johnny gave a").on(model)
    message = str(caught.value)
    assert "the clean prompt has 7 tokens, the corrupted one 9" in message
    clean, corrupted, mark = message.splitlines()[-3:]
    assert re.match(r" +clean: <\|endoftext\|>\|s\|o\| Mary", clean)
    assert re.match(r"corrupted: <\|endoftext\|>\|s\|o\| John", corrupted)
    assert clean.index("<") == corrupted.index("<"), "aligned"
    assert mark.strip() == "^ first difference, position 3"
    assert caret_points_at(message) == (" Mary", " John")
    assert before_caret(message) == ("|", "|")


def test_tokens_of_different_width_stay_aligned(model):
    with pytest.raises(ValueError, match="position by position") as caught:
        Pairs("a\n Marybc", "a\n Marybd John").on(model)
    message = str(caught.value)
    clean, corrupted, _ = message.splitlines()[-3:]
    assert "\\n" in clean, "a line break does not break the row"
    assert [i for i, c in enumerate(clean) if c == "|"] == [
        i for i, c in enumerate(corrupted) if c == "|"
    ]
    assert caret_points_at(message) == ("c", "d")


def test_a_prompt_that_only_goes_on_differs_at_its_end(model):
    with pytest.raises(ValueError, match="3 tokens, the corrupted one 4") as caught:
        Pairs("so", "so Mary").on(model)
    message = str(caught.value)
    assert message.endswith("position 3")
    assert caret_points_at(message) == ("", " Mary")


def test_the_offending_pair_is_counted(model):
    with pytest.raises(ValueError, match="pair 1: the clean prompt has 3 tokens"):
        Pairs(["so", "so"], ["to", "too"]).on(model)


def test_pairs_of_different_lengths(model):
    with pytest.raises(ValueError, match="pair 1 has 4 tokens and pair 0 has 3") as e:
        Pairs(["so", "so Mary"], ["to", "to John"]).on(model)
    first, second, _ = str(e.value).splitlines()[-3:]
    assert first.startswith("pair 0: ")
    assert second.startswith("pair 1: ")


def test_token_tensors_of_different_lengths(model, tokens):
    clean, corrupted, _ = tokens
    with pytest.raises(ValueError, match="7 tokens, the corrupted one 6"):
        Pairs(clean, corrupted[:, :6]).on(model)


def test_html_in_a_prompt_is_only_text(model):
    pairs = Pairs("<b>x</b>", "<b>y</b>").on(model)
    assert "".join(pairs.text[0][0][1:]) == "<b>x</b>"


@pytest.mark.parametrize(
    ("clean", "corrupted", "message"),
    [
        (["a", "b"], ["c"], "2 clean prompts but 1 corrupted"),
        ([], [], "there are no prompts"),
        ([1, 2], [3, 4], "a prompt is text or a token tensor, got 1"),
        (torch.rand(2, 3), torch.rand(2, 3), r"whole numbers .*float32 \[2, 3\]"),
        (torch.ones(1, 2, 3).long(), torch.ones(1, 2, 3).long(), r"int64 \[1, 2, 3\]"),
    ],
)
def test_prompts_that_do_not_fit(clean, corrupted, message):
    with pytest.raises(ValueError, match=message):
        Pairs(clean, corrupted)


def test_longer_than_the_model_takes(model):
    long = torch.ones(1, 33, dtype=torch.long)
    with pytest.raises(ValueError, match="prompts have 33 tokens, the model takes 32"):
        Pairs(long, long).on(model)


@pytest.mark.parametrize("number", [int, np.int64, tensor])
def test_labels_and_position_count_from_either_end(model, tokens, number):
    pairs = Pairs(
        *tokens[:2],
        labels={"S2": number(2), "END": number(-1)},
        position=number(-3),
    ).on(model)
    assert pairs.labels == {"S2": 2, "END": 6}
    assert pairs.position == 4
    # They travel to a page as JSON, which knows plain numbers only.
    assert {type(place) for place in (*pairs.labels.values(), pairs.position)} == {int}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"labels": {"S2": 7}}, "position S2 = 7 is not in prompts of 7 tokens"),
        ({"labels": {"S2": -8}}, "position S2 = -8 is not in prompts of 7 tokens"),
        ({"position": 7}, "position of the answer = 7 is not in prompts of 7 tokens"),
    ],
)
def test_positions_that_do_not_exist(model, tokens, given, message):
    with pytest.raises(ValueError, match=message):
        Pairs(*tokens[:2], **given).on(model)


def test_tensors_made_in_inference_mode(model, tokens):
    with torch.inference_mode():
        made = [t.clone() for t in tokens]
        rows = list(made[2])
    assert all(t.is_inference() for t in made)
    pairs = Pairs(*made[:2], answers=made[2]).on(model)
    listed = Pairs(*made[:2], answers=rows).on(model)
    for part in (pairs.clean, pairs.corrupted, pairs.answers, listed.answers):
        assert not part.is_inference()
    expected = PatchStudy(model, *tokens).estimate("z")
    assert torch.equal(PatchStudy(model, *made).estimate("z").raw, expected.raw)


def test_pairs_made_in_inference_mode(model, tokens):
    with torch.inference_mode():
        pairs = Pairs(*[t.clone() for t in tokens[:2]], answers=tokens[2].clone())
        study = PatchStudy(model, pairs)
    expected = PatchStudy(model, *tokens)
    assert torch.equal(study.estimate("q").raw, expected.estimate("q").raw)


def test_a_model_without_a_tokenizer(without_tokenizer, tokens):
    pairs = Pairs(*tokens[:2], answers=tokens[2]).on(without_tokenizer)
    assert pairs.text[0][0] == [str(int(token)) for token in tokens[0][0]]
    assert pairs.answer_text[0] == [str(int(token)) for token in tokens[2][0]]
    with pytest.raises(ValueError, match="no tokenizer: give the prompts as token"):
        Pairs(CLEAN, CORRUPTED).on(without_tokenizer)
    with pytest.raises(ValueError, match="no tokenizer: give ' Mary' as a token id"):
        Pairs(*tokens[:2], answers=[(" Mary", " John")] * 3).on(without_tokenizer)


def test_pairs_compare_as_objects(tokens):
    pairs = Pairs(*tokens[:2])
    assert pairs == pairs  # noqa: PLR0124 - tensors inside would raise
    assert pairs != Pairs(*tokens[:2])


def test_prompts_that_are_too_long_are_not_cut(model):
    long = "Mary gave " * 20
    with pytest.raises(
        ValueError, match=r"prompts have \d+ tokens, the model takes 32"
    ):
        Pairs(long, long).on(model)


def test_arrays_are_tokens_too(model):
    clean, corrupted, answers = random_tokens(2, 5)
    pairs = Pairs(clean.numpy(), corrupted.numpy(), answers=answers.numpy()).on(model)
    assert torch.equal(pairs.clean, clean)
    assert torch.equal(pairs.answers, answers)


def test_two_answers_of_one_pair_are_right_and_wrong(model):
    clean, corrupted, _ = random_tokens(1, 5)
    for answers in (torch.tensor([7, 9]), [7, 9]):
        pairs = Pairs(clean, corrupted, answers=answers).on(model)
        assert pairs.answers.tolist() == [[7, 9]]


def test_truth_values_are_no_tokens():
    with pytest.raises(ValueError, match="whole numbers"):
        Pairs(torch.ones(2, 5, dtype=torch.bool), torch.ones(2, 5, dtype=torch.bool))
