"""Padding and BOS: what is refused, and what only looks like it."""

from __future__ import annotations

import copy

import pytest
from torch import tensor
from toy_models import STYLES, random_model, random_tokens, tokenizer

from patchwidget import Pairs, PatchStudy, demo
from patchwidget.padding import Marks

END = "<|endoftext|>"
GPT2 = Marks(pad=0, bos=0, eos=0, unk=0)
LLAMA = Marks(pad=2, bos=1, eos=2, unk=0)  # as TransformerLens fills it in
OWN = Marks(pad=3, bos=1, eos=2, unk=0)
UNKNOWN = Marks(pad=0, bos=1, eos=2, unk=0)


@pytest.mark.parametrize(
    ("marks", "row", "position"),
    [
        (GPT2, [0, 5, 6, 7], None),
        (GPT2, [5, 6, 7], None),
        (GPT2, [0], None),
        (GPT2, [0, 5, 0, 7], None),  # two texts in one prompt
        (GPT2, [5, 0, 0, 7], None),
        (GPT2, [0, 0, 5, 7], 0),
        (GPT2, [0, 0], 0),
        (GPT2, [0, 5, 7, 0], 3),
        (GPT2, [0, 5, 0, 7, 0, 0], 4),
        (LLAMA, [1, 5, 6], None),
        (LLAMA, [1, 5, 2, 1, 6], None),
        (LLAMA, [2, 1, 5], None),  # the end of the text before: others must have it too
        (LLAMA, [2, 2, 1, 5], 0),
        (LLAMA, [1, 5, 2], 2),
        (LLAMA, [1, 1, 5], None),
        (OWN, [1, 5, 2], None),
        (OWN, [1, 5, 3, 6], 2),
        (OWN, [3, 1, 5], 0),
        (OWN, [3], 0),
        (UNKNOWN, [1, 5, 0], None),  # the last word is unknown
        (UNKNOWN, [0, 5, 6], None),
        (UNKNOWN, [1, 5, 0, 0], 2),
        (UNKNOWN, [0, 0, 1, 5], 0),
        (Marks(), [0, 0, 5, 0], None),
        (Marks(bos=0), [0, 0, 5, 0], None),
    ],
)
def test_where_a_prompt_is_padded(marks, row, position):
    assert marks.padding(tensor(row)) == position


def test_a_tokenizers_marks():
    assert Marks.of(tokenizer()) == Marks(pad=0, bos=0, eos=0, unk=None)
    assert Marks.of(demo.load_model().tokenizer) == GPT2
    assert Marks.of(None) == Marks()


@pytest.mark.parametrize(
    ("clean", "corrupted", "message"),
    [
        (
            [[0, 5, 6], [0, 5, 6]],
            [[0, 5, 7], [0, 5, 0]],
            (
                f"pair 1: the corrupted prompt has the padding token '{END}' at position 2.*"
                "Cut the prompts to their text"
            ),
        ),
        (
            [[0, 0, 6], [0, 5, 6]],
            [[0, 0, 7], [0, 5, 7]],
            (
                f"pair 0: the clean prompt begins with '{END}' twice, at positions 0 and 1.*"
                "Leave out the first"
            ),
        ),
        (
            [[0, 5, 6], [0, 5, 6]],
            [[0, 5, 7], [5, 6, 7]],
            (
                "pair 1: the corrupted prompt begins with .* and the clean prompt of pair 0 "
                f"with '{END}'.*Begin all of them with BOS, as model.to_tokens"
            ),
        ),
        (
            [[5, 6, 7], [0, 5, 6]],
            [[5, 6, 8], [0, 5, 7]],
            f"pair 1: the clean prompt begins with '{END}' and the clean prompt of pair 0",
        ),
    ],
)
def test_what_is_refused(model, clean, corrupted, message):
    with pytest.raises(ValueError, match=message):
        Pairs(tensor(clean), tensor(corrupted)).on(model)


def test_bos_typed_before_a_text_that_gets_one(model):
    with pytest.raises(ValueError, match=r"clean prompt begins with .* twice, at"):
        Pairs(f"{END} Mary gave", f"{END} John gave").on(model)


def test_the_end_of_a_text_within_a_prompt_is_no_padding(model):
    pairs = Pairs(f"so{END} Mary gave", f"so{END} John gave").on(model)
    assert pairs.clean[0].tolist().count(0) == 2
    assert PatchStudy(model, pairs_with_answers()).exact("resid_pre").values.numel()


def pairs_with_answers():
    return Pairs(
        f"so{END} Mary gave", f"so{END} John gave", answers=[(" Mary", " John")]
    )


def test_prompts_without_bos_are_fine_if_all_are(model):
    clean, corrupted, _ = random_tokens(2, 5)
    assert (clean[:, 0] != 0).all()
    Pairs(clean, corrupted).on(model)


def test_a_padding_token_of_its_own():
    model = random_model(STYLES[-1])
    padding = copy.copy(model.tokenizer)
    padding.pad_token = padding.convert_ids_to_tokens(9)
    model.tokenizer = padding
    with pytest.raises(ValueError, match=r"has the padding token .* at position 1"):
        Pairs(tensor([[0, 9, 5]]), tensor([[0, 9, 6]])).on(model)
    Pairs(tensor([[0, 5, 0]]), tensor([[0, 6, 0]])).on(model)


def test_without_a_tokenizer_nothing_is_known(model, monkeypatch):
    monkeypatch.setattr(model, "tokenizer", None)
    Pairs(tensor([[0, 0, 5]]), tensor([[5, 0, 0]])).on(model)


def test_the_bundled_models_own_pairs():
    model = demo.load_model()
    assert len(demo.ioi_pairs().on(model)) == 8
    with pytest.raises(ValueError, match="twice, at positions 0 and 1"):
        Pairs(f"{END}When Tom", f"{END}When James").on(model)
