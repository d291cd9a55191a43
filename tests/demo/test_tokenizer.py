"""The tokenizer: to a user it is GPT-2's, with a small vocabulary."""

from __future__ import annotations

import random

import pytest

from patchwidget import demo
from patchwidget.demo.facts import FACTS
from patchwidget.demo.text import BOS, REPEATABLE, Writer
from patchwidget.demo.tokenizer import build_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return demo.load_tokenizer()


def test_known_words_are_one_token_with_their_space(tokenizer):
    words = [*REPEATABLE, *(word for fact in FACTS for word in fact)]
    ids = [tokenizer(f" {word}")["input_ids"] for word in words]
    assert {len(row) for row in ids} == {1}
    assert len({row[0] for row in ids}) == len(set(words))


def test_no_space_is_another_token(tokenizer):
    assert tokenizer("When")["input_ids"] != tokenizer(" When")["input_ids"]
    assert len(tokenizer("Mary")["input_ids"]) > 1


@pytest.mark.parametrize(
    "text",
    [
        "When Mary and John went to the shops, John gave the bag to",
        "Quite unknown words, in UPPER case; (with) signs?!",
        "  two spaces,\n\n\ttabs and a trailing space ",
        "ünïcödé, 日本語, العربية, emoji 🦉, null \0 and \x7f",
        "it's 1 and 12 and 123 and 12345, don't",
        "<b>not a tag</b> & <|endoftex|>",
        "",
    ],
)
def test_any_text_comes_back_whole(tokenizer, text):
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_random_text_comes_back_whole(tokenizer):
    rng = random.Random(0)  # noqa: S311 - only makes strings
    for _ in range(200):
        points = [
            rng.choice([rng.randrange(0x20, 0x7F), rng.randrange(0xA0, 0xD7FF)])
            for _ in range(20)
        ]
        text = "".join(map(chr, points))
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_years_are_cut_in_two(tokenizer):
    def pieces(text):
        return [tokenizer.decode([i]) for i in tokenizer(text)["input_ids"]]

    assert pieces("year 1732 to the year 17")[-6:] == [
        " 17", "32", " to", " the", " year", " 17",
    ]  # fmt: skip
    assert pieces(" 1805") == [" 18", "05"]


def test_end_of_text_is_beginning_end_and_padding(tokenizer):
    assert tokenizer.bos_token == tokenizer.eos_token == tokenizer.pad_token == BOS
    assert tokenizer.bos_token_id == tokenizer(BOS)["input_ids"][0] == 0
    # As with GPT-2, nobody gets a BOS who did not ask for one.
    assert tokenizer(" Mary")["input_ids"] != tokenizer(BOS + " Mary")["input_ids"]


def test_documents_are_tokenized_as_they_were_written(tokenizer):
    writer = Writer(1)
    for document in (writer.draw() for _ in range(1000)):
        ids = tokenizer(document.text)["input_ids"]
        assert tuple(tokenizer.decode([i]) for i in ids) == document.tokens[1:]


def test_the_file_is_what_the_generator_makes(tokenizer):
    assert build_tokenizer().get_vocab() == tokenizer.get_vocab()
