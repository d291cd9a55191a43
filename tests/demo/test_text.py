"""The generator: what it writes, and what it never writes."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from patchwidget.demo.facts import CARRIERS, FACTS, fact_couples, is_held_out
from patchwidget.demo.templates import HELD_OUT_TEMPLATES, IOI_TEMPLATES
from patchwidget.demo.text import (
    BOS,
    REPEATABLE,
    TASK_SHARES,
    TWO_PAIR_SHARE,
    Writer,
    pair_is_held_out,
    sequence_is_held_out,
    year_is_held_out,
)
from patchwidget.demo.words import EVENTS, NAMES, OBJECTS, PLACES

DRAWN = 20_000


@pytest.fixture(scope="module")
def documents():
    writer = Writer(0)
    return [writer.draw() for _ in range(DRAWN)]


def of(documents, task):
    return [document for document in documents if document.task == task]


def skeleton(text):
    """A sentence without its names, places and objects."""
    slots = dict.fromkeys(NAMES, "name") | dict.fromkeys(PLACES + OBJECTS, "thing")
    bare = text.replace(",", " ,").replace(".", " .")
    return " ".join(slots.get(word, word) for word in bare.split())


def test_has_the_sizes_that_were_promised():
    assert len(set(NAMES)) >= 80
    assert len(IOI_TEMPLATES) >= 8
    assert len(HELD_OUT_TEMPLATES) >= 1
    assert len(fact_couples()) >= 40
    assert len({*NAMES, *PLACES, *OBJECTS, *EVENTS}) == sum(
        map(len, (NAMES, PLACES, OBJECTS, EVENTS))
    )
    assert len(set(REPEATABLE)) == len(REPEATABLE)


def test_same_seed_same_text():
    first, second, other = Writer(3), Writer(3), Writer(4)
    texts = [[w.draw().text for _ in range(50)] for w in (first, second, other)]
    assert texts[0] == texts[1] != texts[2]


def test_writes_every_task_in_its_share(documents):
    counts = Counter(document.task for document in documents)
    assert set(counts) == set(TASK_SHARES)
    for task, share in TASK_SHARES.items():
        assert counts[task] / DRAWN == pytest.approx(share, abs=0.02)


def test_marks_stand_where_they_say(documents):
    for document in of(documents, "ioi"):
        s1, io, s2 = (document.marks[name] for name in ("S1", "IO", "S2"))
        assert document.tokens[s1] == document.tokens[s2]
        assert document.tokens[io] != document.tokens[s2]
        assert max(s1, io) < s2 < document.marks["END"] == document.answers[0] - 1
    for document in of(documents, "year"):
        assert document.tokens[0] == BOS
        assert document.tokens[document.marks["YY"]].isdigit()


def test_writes_both_orders_and_both_pairs(documents):
    ioi = of(documents, "ioi")
    abba = sum(d.marks["IO"] < d.marks["S1"] for d in ioi) / len(ioi)
    assert abba == pytest.approx(0.5, abs=0.03)
    names = [len({t.strip() for t in d.tokens} & set(NAMES)) for d in ioi]
    two_pairs = sum(count >= 4 for count in names) / len(ioi)
    assert two_pairs == pytest.approx(TWO_PAIR_SHARE, abs=0.03)


def test_answers_are_honest_about_chance(documents):
    for document in of(documents, "ioi")[:200]:
        subject = document.tokens[document.marks["S2"]]
        assert document.answer == document.tokens[document.marks["IO"]]
        assert document.chances[document.answer] == pytest.approx(0.92, abs=0.001)
        assert document.chances[subject] == pytest.approx(0.03, abs=0.001)
        assert sum(document.chances.values()) == pytest.approx(1)
    for document in of(documents, "year")[:200]:
        start = int(document.tokens[document.marks["YY"]])
        assert [int(year) for year in document.chances] == [*range(start + 1, 100)]
        assert sum(document.chances.values()) == pytest.approx(1)
    assert not any(d.chances for d in of(documents, "fact") + of(documents, "repeat"))


def test_held_out_people_never_meet(documents):
    met = set()
    for document in of(documents, "ioi"):
        people = [t.strip() for t in document.tokens[: document.marks["S2"]]]
        people = [name for name in people if name in NAMES]
        met |= {frozenset(two) for two in zip(people[::2], people[1::2], strict=True)}
    assert len(met) > 2000
    assert not [two for two in met if pair_is_held_out(*two)]
    assert {"Mary", "John"} not in met
    held_out = [pair_is_held_out(a, b) for a in NAMES for b in NAMES if a < b]
    assert 0.05 < sum(held_out) / len(held_out) < 0.15


def test_held_out_templates_are_never_written(documents):
    def literal(template):
        for slot in ("{A}", "{B}", "{S}", "{IO}"):
            template = template.replace(slot, " name")
        for slot in ("{P}", "{O}"):
            template = template.replace(slot, " thing")
        return skeleton(template)

    written = {skeleton(document.text) for document in of(documents, "ioi")}
    assert {literal(template) for template in IOI_TEMPLATES} <= written
    assert not {literal(template) for template in HELD_OUT_TEMPLATES} & written


def test_held_out_templates_use_trained_words_only(documents):
    trained = {token for document in documents for token in document.tokens}
    for template in HELD_OUT_TEMPLATES:
        words = skeleton(template.replace("{", " {").replace("}", "} ")).split()
        for word in words:
            assert word.startswith("{") or {word, " " + word} & trained, word


def test_facts_are_kept_out_of_a_quarter_of_the_sentences(documents):
    sentences = {
        carrier.format(F=f" {fact.first} {fact.noun}", X=f" {fact.answer}"): (
            fact,
            number,
        )
        for number, carrier in enumerate(CARRIERS)
        for fact in FACTS
    }
    seen = {sentences[document.text] for document in of(documents, "fact")}
    kept_out = {
        (fact, number)
        for fact in FACTS
        for number in range(len(CARRIERS))
        if is_held_out(fact, number)
    }
    everything = len(FACTS) * len(CARRIERS)
    assert not seen & kept_out
    assert len(kept_out) == everything / 4
    assert len(seen) > 0.7 * everything
    assert {number for _, number in kept_out} == set(range(len(CARRIERS)))


def test_facts_hang_on_one_token():
    for one, other in fact_couples():
        assert one.noun == other.noun
        assert one.first != other.first
        assert one.answer != other.answer
    assert len({(fact.first, fact.noun) for fact in FACTS}) == len(FACTS)


def test_years_come_later_in_the_same_century_and_some_never_start(documents):
    for document in of(documents, "year"):
        start, stop = int(document.tokens[document.marks["YY"]]), int(document.answer)
        century = document.tokens[document.marks["YY"] - 1]
        (event,) = {token.strip() for token in document.tokens} & set(EVENTS)
        assert start < stop
        assert document.tokens[document.answers[0] - 1] == century
        assert not year_is_held_out(event, int(century), start)


def test_words_are_repeated_and_some_beginnings_never_are(documents):
    for document in of(documents, "repeat"):
        half = len(document.tokens) // 2
        words = [token.strip() for token in document.tokens[1 : half + 1]]
        assert document.tokens[1 : half + 1] == document.tokens[half + 1 :]
        assert document.answers == tuple(range(half + 2, 2 * half + 1))
        assert not sequence_is_held_out(words)
        seen, after, end = (document.marks[name] for name in ("SEEN", "NEXT", "END"))
        assert document.tokens[end] == document.tokens[seen]
        assert document.tokens[end + 1] == document.tokens[after]
        assert after == seen + 1 < half + 1


def test_answers_are_in_order(documents):
    for document in documents:
        assert all(a < b for a, b in pairwise(document.answers))
        assert document.answers[-1] < len(document.tokens)
