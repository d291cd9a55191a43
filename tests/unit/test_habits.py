"""Where heads look on ordinary text: hand-made patterns, slow loops, and odd texts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from slow_habits import check_habits, slow_targets
from through_hooks import by_hooks
from torch.profiler import ProfilerActivity, profile
from toy_models import STYLES, random_model, random_tokens

from patchwidget import Head, Node, PatchStudy, demo, engines
from patchwidget.demo.text import Writer
from patchwidget.generality import HABITS, batches
from patchwidget.generality.reading import Reading
from patchwidget.generality.targets import looked_at
from patchwidget.generality.text import Text
from patchwidget.hooks import HookedModel
from patchwidget.nodes import Extent

BOS = 0


def drawn(n_texts, n_pos, vocabulary=5, seed=0):
    """Tokens in which much comes again, the first of each text BOS."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(1, vocabulary, (n_texts, n_pos), generator=generator)
    tokens[:, 0] = BOS
    return tokens


@pytest.mark.parametrize("shape", [(4, 12), (1, 1), (1, 2), (3, 1)])
def test_what_the_habits_look_at(shape):
    tokens = drawn(*shape)
    generator = torch.Generator().manual_seed(1)
    ordinary = (tokens > 0) & (torch.rand(shape, generator=generator) > 0.2)
    found = looked_at(tokens, ordinary)
    assert found.shape == (3, *shape, shape[1])
    for number, row in enumerate(tokens.tolist()):
        slow = slow_targets(row, ordinary[number].tolist())
        for habit, mask in zip(HABITS, found[:, number], strict=True):
            ours = {dest: mask[dest].nonzero()[:, 0].tolist() for dest in slow[habit]}
            assert ours == slow[habit]
        assert not found[:, number][:, ~ordinary[number]].any()


def test_the_same_as_transformer_lens_detector_where_both_are_defined():
    from transformer_lens import head_detector

    tokens = drawn(1, 12)[:, 1:]
    found = looked_at(tokens, torch.ones_like(tokens, dtype=torch.bool))[:, 0]
    for habit, mask in zip(HABITS, found, strict=True):
        name = f"get_{habit}_{'head' if habit == 'induction' else 'token_head'}"
        theirs = getattr(head_detector, f"{name}_detection_pattern")(tokens)
        # Theirs has the position itself, after a token that was said twice.
        assert torch.equal(mask.float(), theirs.tril(-1).float())


class HandMade:
    """An engine of one layer whose heads have one habit each, the others none.

    Head 0 looks at the token before, 1 at the first duplicate, 2 after the first one,
    3 at all alike, 4 at BOS. Where there is nothing to look at they look at BOS.
    """

    def extent(self, n_pos):
        return Extent(n_layers=1, n_heads=5, n_kv_heads=5, n_pos=n_pos, d_mlp=0)

    def run(self, tokens, tap):
        ordinary = tokens != BOS
        pattern = torch.zeros(len(tokens), 5, *[tokens.shape[1]] * 2)
        pattern[:, :, :, 0] = 1
        for head, targets in enumerate(looked_at(tokens, ordinary)):
            pattern[:, head][targets.any(-1)] = 0
            first = targets & (targets.cumsum(-1) == 1)
            pattern[:, head][first] = 1
        uniform = torch.ones(tokens.shape[1], tokens.shape[1]).tril()
        pattern[:, 3] = uniform / uniform.sum(-1, keepdim=True)
        tap("pattern", 0, pattern)


@pytest.fixture(scope="module")
def hand_made():
    study = PatchStudy(random_model(STYLES[0]), *random_tokens())
    runs = replace(study._runs, engine=HandMade())
    texts = [
        Text(row[:length], row[:length] != BOS, tuple(map(str, row[:length].tolist())))
        for row, length in zip(drawn(6, 12, seed=3), (12, 3, 7, 12, 1, 5), strict=True)
    ]
    reading = Reading(runs, texts, [(0, head) for head in range(5)], 2**24)
    list(reading.steps())
    return reading.habits(None), texts


def test_heads_made_for_a_habit_have_it_everywhere(hand_made):
    found, texts = hand_made
    for number, habit in enumerate(HABITS):
        assert found.mean(habit)[number] == 1
        assert (found.quantiles(habit)[:, number] == 1).all()
        assert found.mean(habit)[4] == 0, "who rests on BOS does not look back"
        assert found.mean(habit)[3] == pytest.approx(found.expected(habit), abs=1e-6)
        node, mean = found.top(habit, 1)[0]
        assert (node, mean) == (Node("pattern", 0, head=number), 1.0)
    assert found.scores.shape == (3, 5, sum(map(len, texts)) - len(texts))


def test_positions_without_anything_to_look_at_are_left_out(hand_made):
    found, texts = hand_made
    for number, habit in enumerate(HABITS):
        slow = [
            places
            for text in texts
            for places in slow_targets(text.tokens.tolist(), text.ordinary.tolist())[
                habit
            ].values()
        ]
        has_none = np.array([not places for places in slow])
        assert has_none.any()
        assert np.array_equal(np.isnan(found.scores[number, 0]), has_none)
        assert found.share(habit) == pytest.approx(1 - has_none.mean())
    text, position = found.places[-1]
    assert (text, position) == (5, 4), "the text of one token has no place"


def test_examples_are_at_the_quantiles(hand_made):
    found, texts = hand_made
    scores = np.sort(found.scores[2, 3][~np.isnan(found.scores[2, 3])])
    for at in (0.0, 0.25, 0.9, 1.0):
        (one,) = found.examples("induction", "L0H3", [at], around=2)
        assert one.score == scores[round(at * (len(scores) - 1))]
        tokens = texts[one.text].strings
        assert one.tokens == tokens[max(0, one.pos - 2) : one.pos + 3]
        assert one.tokens[one.pos - one.start] == tokens[one.pos]
        assert one.looks_at == (0, "0"), "of equal weights the first"
        assert one.weight == pytest.approx(1 / (one.pos + 1))
        assert f"[{tokens[one.pos]}]" in repr(one)
    assert len(found.examples("previous", Head(0, 0))) == 5


def test_what_is_not_there(hand_made):
    found, _ = hand_made
    asks = (found.mean, found.quantiles, found.share, found.expected, found.top)
    for ask in asks:
        with pytest.raises(
            ValueError, match="unknown habit 'next': choose one of prev"
        ):
            ask("next")
    with pytest.raises(KeyError, match="L1H0 was not asked about: 5 heads were"):
        found.examples("previous", "L1H0")
    with pytest.raises(ValueError, match="quantiles are from 0 to 1"):
        found.examples("previous", "L0H0", [1.5])


STRINGS = [
    " Mary gave John gave Mary",
    "abcabcab",
    " John",
    "aa",
    " gave Mary a a gave Mary a",
]


def as_rows(model, strings):
    return [model.to_tokens(text)[0].tolist() for text in strings]


@pytest.mark.parametrize("make", [PatchStudy, by_hooks])
def test_texts_of_several_lengths_are_read_as_alone(model, tokens, make):
    rows = as_rows(model, STRINGS)
    found = make(model, *tokens).habits(STRINGS)
    assert found.heads == tuple(
        (layer, head) for layer in range(2) for head in range(3)
    )
    ordinary = [[token != BOS for token in row] for row in rows]
    check_habits(found, model, rows, ordinary)
    assert [len(text) for text in found.texts] == list(map(len, rows))
    assert (found.notice is None) == (make is PatchStudy)
    assert (found.mean("induction") > 0).all()


def test_batches_make_no_difference(study, monkeypatch):
    whole = study.habits(STRINGS)
    sizes = []
    monkeypatch.setattr(batches, "_TOKENS_AT_ONCE", 12)
    make = batches.TextBatch.of

    def counted(texts, numbers):
        sizes.append(len(numbers))
        return make(texts, numbers)

    monkeypatch.setattr(batches.TextBatch, "of", counted)
    parts = study.habits(STRINGS)
    assert sizes == [1, 1, 2, 1]
    for name in ("scores", "chance", "weight"):
        np.testing.assert_allclose(
            getattr(whole, name), getattr(parts, name), rtol=0, atol=1e-6
        )


def largest_growth(call):
    """The most bytes of tensors that live at once while something runs."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        call()
    events = watched.profiler.kineto_results.events()
    changes = [event.nbytes() for event in events if event.name() == "[memory]"]
    return max(np.cumsum(changes))


@pytest.mark.parametrize("make", [PatchStudy, by_hooks])
def test_a_batch_takes_no_more_than_is_said(make):
    model = random_model(STYLES[0], n_heads=8, d_head=8, d_mlp=200, n_ctx=256)
    study = make(model, *random_tokens())
    long = torch.randint(1, 300, (8, 256), generator=torch.Generator().manual_seed(0))
    said = batches.text_bytes(study._runs, 256)
    alone = largest_growth(lambda: study.habits(long[:1]))
    assert said / 4 < alone < said
    assert 2 * alone < largest_growth(lambda: study.habits(long)) < 8 * said


def test_picked_heads(study):
    every = study.habits(STRINGS)
    some = study.habits(STRINGS, ["L1H2", Head(0, 1, "q"), "L1H2.v"])
    assert some.heads == ((1, 2), (0, 1))
    assert np.array_equal(some.scores, every.scores[:, [5, 1]], equal_nan=True)
    assert np.array_equal(some.looks_at, every.looks_at[[5, 1]])


def test_tokens_with_padding_at_their_end(study):
    rows = as_rows(study.model, STRINGS)
    padded = torch.full((5, 12), BOS)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = torch.tensor(row)
    found, expected = study.habits(padded), study.habits(STRINGS)
    assert found.texts == expected.texts
    assert np.array_equal(found.scores, expected.scores, equal_nan=True)


def test_other_padding_is_refused(study):
    with pytest.raises(
        ValueError, match=r"text 1 has the padding token 0 at position 0"
    ):
        study.habits(torch.tensor([[0, 5, 6, 7], [0, 0, 5, 6]]))


def test_without_bos_the_first_token_is_text(study):
    found = study.habits(torch.tensor([[5, 5, 6, 5]]))
    assert found.places.tolist() == [[0, 0], [0, 1], [0, 2], [0, 3]]
    assert np.isnan(found.scores[0, 0]).tolist() == [True, False, False, False]


def test_without_a_tokenizer_all_tokens_are_text(model, tokens, monkeypatch):
    monkeypatch.setattr(model, "tokenizer", None)
    found = PatchStudy(model, *tokens).habits(torch.tensor([[0, 5, 6, 0]]))
    assert found.share("previous") == 0.75
    assert found.texts == (("0", "5", "6", "0"),)
    with pytest.raises(ValueError, match="no tokenizer: give the prompts as token"):
        PatchStudy(model, *tokens).habits("abc")


@pytest.mark.parametrize("text", [" Mary", "", torch.tensor([[0]]), torch.tensor([7])])
def test_one_token_or_none(study, text):
    found = study.habits(text)
    assert found.scores.shape[:2] == (3, 6)
    for habit in HABITS:
        assert np.isnan(found.mean(habit)).all()
        assert np.isnan(found.quantiles(habit)).all()
        assert found.top(habit) == found.examples(habit, "L0H0") == []
    assert "induction" in repr(found)


def test_one_layer_of_one_head():
    model = random_model(STYLES[0], n_layers=1, n_heads=1)
    study = PatchStudy(model, *random_tokens(1, 1, differ=(0,)))
    rows = as_rows(model, STRINGS[:1])
    found = study.habits(STRINGS[0])
    check_habits(found, model, rows, [[token != BOS for token in rows[0]]])


def test_where_the_decoder_is_off_on_these_texts_hooks_do_the_work(study, monkeypatch):
    expected = study.habits(STRINGS)
    monkeypatch.setattr(engines, "disagreement", lambda *_: "by 3")
    found = study.habits(STRINGS)
    assert found.notice.startswith("Texts run through the model's own hooks")
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=2e-6)
    assert study.notice is None


def test_what_cannot_be_read(study, model, tokens, monkeypatch):
    with pytest.raises(ValueError, match="there are no texts"):
        study.habits([])
    with pytest.raises(ValueError, match=r"text 1 has 41 tokens, the model takes 32"):
        study.habits([" Mary", "a" * 40])
    with pytest.raises(ValueError, match="the prompts: token 999 is not in a vocab"):
        study.habits(torch.tensor([[999]]))
    with pytest.raises(ValueError, match="not part of a head"):
        study.habits(STRINGS, "L0.resid_pre@1")
    with pytest.raises(ValueError, match="no head is named"):
        study.habits(STRINGS, [])
    with pytest.raises(IndexError, match="no head 3, only 0 to 2"):
        study.habits(STRINGS, ["L0H3"])
    small = PatchStudy(model, *tokens, budget=1000)
    with pytest.raises(
        ValueError, match=r"a text of 14 tokens needs about .* budget=\d"
    ):
        small.habits(["a" * 13, "b"])
    hooked = by_hooks(model, *tokens)
    monkeypatch.setattr(HookedModel, "places", [("pattern", 0)])
    with pytest.raises(ValueError, match=r"no blocks\.1\.attn\.hook_pattern"):
        hooked.habits(STRINGS)


def test_attention_that_is_no_number_is_refused(hand_made, study, monkeypatch):
    class Broken(HandMade):
        def run(self, tokens, tap):
            super().run(tokens, lambda *place: tap(*place[:2], place[2] * float("nan")))

    runs = replace(study._runs, engine=Broken())
    reading = Reading(runs, hand_made[1], [(0, 1)], 2**24)
    with pytest.raises(ValueError, match="attention of layer 0 is not finite"):
        list(reading.steps())


def test_a_changed_model_is_refused():
    model = random_model(STYLES[0])
    study = PatchStudy(model, *random_tokens())
    with torch.no_grad():
        next(model.parameters()).add_(1)
    with pytest.raises(RuntimeError, match="changed since this study ran it"):
        study.habits(STRINGS)


def test_inside_the_users_torch_modes(study):
    expected = study.habits(STRINGS)
    with torch.inference_mode():
        found = study.habits(torch.tensor(as_rows(study.model, STRINGS[:1])))
        assert torch.is_inference_mode_enabled()
    scores = expected.scores[..., : found.scores.shape[-1]]
    np.testing.assert_allclose(found.scores, scores, rtol=0, atol=1e-6)


def test_a_table(study):
    table = study.habits(STRINGS).to_dataframe()
    assert len(table) == 18
    assert list(table.columns[:4]) == ["habit", "layer", "head", "mean"]
    row = table[
        (table.habit == "duplicate") & (table.layer == 1) & (table["head"] == 2)
    ]
    found = study.habits(STRINGS)
    assert float(row["mean"].iloc[0]) == found.mean("duplicate")[5]
    assert float(row["q0.9"].iloc[0]) == found.quantiles("duplicate", [0.9])[0, 5]


@pytest.fixture(scope="module")
def bundled():
    return PatchStudy(demo.load_model(), demo.ioi_pairs())


def test_the_bundled_models_heads_are_those_of_its_card(bundled):
    writer = Writer(5)
    repeated = [writer.repeat(held_out=True).text for _ in range(20)]
    found = bundled.habits(repeated)
    (previous, mean), (_, second) = found.top("previous", 2)
    assert (str(previous), mean > 0.4, second < 0.25) == ("L0H4.pattern", True, True)
    assert {str(node) for node, mean in found.top("induction", 4) if mean > 0.5} == {
        f"L{layer}H{head}.pattern" for layer, head in ((3, 5), (4, 0), (4, 1), (4, 2))
    }
    assert {str(node) for node, _ in found.top("duplicate", 2)} == {
        "L1H0.pattern",
        "L0H0.pattern",
    }
    (best,) = found.examples("induction", "L3H5", [1.0])
    text, token = found.texts[best.text], found.texts[best.text][best.pos]
    assert text[best.looks_at[0] - 1] == token, "it looks after the earlier one"


def test_its_ordinary_text_is_what_the_generator_writes(bundled):
    texts = demo.texts(40, seed=2)
    assert texts == demo.texts(40, seed=2) != demo.texts(40)
    found = bundled.habits(texts)
    assert {len(text) for text in found.texts} != {len(found.texts[0])}
    assert str(found.top("previous", 1)[0][0]) == "L0H4.pattern"
    assert 0 < found.expected("induction") < 0.2 < found.mean("induction").max()
