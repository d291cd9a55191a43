"""Held-out documents two by two: clean, corrupted, and the two answers.

The pairs in ``prompts.py`` and the measurements in ``measure.py`` are both made of
these, so what the card says is said of the prompts a user gets.
"""

from __future__ import annotations

from typing import NamedTuple

from patchwidget.demo.facts import CARRIERS, fact_couples, is_held_out
from patchwidget.demo.templates import ARENA_TEMPLATE, YEAR_TEMPLATES
from patchwidget.demo.text import (
    REPEATABLE,
    Document,
    Writer,
    dice,
    fact_document,
    ioi_document,
    repeat_document,
    sequence_is_held_out,
    year_document,
    year_is_held_out,
)
from patchwidget.demo.words import CENTURIES, EVENTS

ARENA_PAIRS = (("Mary", "John"), ("Tom", "James"), ("Dan", "Sid"), ("Martin", "Amy"))
ORDERS = {"both": (1, 0), "ABBA": (1,), "BABA": (0,)}
EARLY_YEAR = 1
CLEAN_YEARS = (30, 70)
YEAR_DISTANCES = (5, 25)


class Case(NamedTuple):
    """Two documents that differ in one token, and the right and the wrong answer."""

    clean: Document
    corrupted: Document
    answers: tuple[str, str]


def ioi_cases(
    n: int, seed: int, order: str, template: str = ARENA_TEMPLATE
) -> list[Case]:
    """Indirect objects; see ``prompts.ioi_pairs``."""
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}, got {order!r}")
    writer, cases = Writer(seed), []
    for number in range(n):
        known = number < len(ARENA_PAIRS)
        people = ARENA_PAIRS[number] if known else writer.pair(held_out=True)
        scene = writer.rng.randrange(2**31)
        # First the document in which the first-named gives (BABA), then ABBA.
        given = [ioi_document(template, people, s, dice(scene)) for s in people]
        cases += [_case(given[i], given[1 - i]) for i in ORDERS[order]]
    return cases[:n]


def fact_cases(n: int, seed: int, carrier: int) -> list[Case]:
    """Facts in a carrier sentence; see ``prompts.fact_pairs``."""
    if not 0 <= carrier < len(CARRIERS):
        raise ValueError(f"there are {len(CARRIERS)} carriers, got number {carrier}")
    couples = [couple for couple in fact_couples() if is_held_out(couple[0], carrier)]
    if n > len(couples):
        raise ValueError(
            f"carrier {carrier} has {len(couples)} held-out pairs, asked for {n}"
        )
    if seed:
        dice(seed).shuffle(couples)
    return [_case(*(fact_document(f, carrier) for f in two)) for two in couples[:n]]


def year_cases(n: int, seed: int) -> list[Case]:
    """Years; see ``prompts.year_pairs``."""
    rng = dice(seed)
    cases: list[Case] = []
    while len(cases) < n:
        event, century = rng.choice(EVENTS), rng.choice(CENTURIES)
        start, distance = rng.randrange(*CLEAN_YEARS), rng.randrange(*YEAR_DISTANCES)
        if not year_is_held_out(event, century, start):
            continue
        clean, corrupted = (
            year_document(YEAR_TEMPLATES[0], event, century, (year, start + distance))
            for year in (start, EARLY_YEAR)
        )
        answers = (clean.answer, f"{start - distance:02d}")
        cases.append(Case(clean, corrupted, answers))
    return cases


def induction_cases(n: int, seed: int, words: int) -> list[Case]:
    """Repeated words; see ``prompts.induction_pairs``."""
    rng, half = dice(seed), words // 2
    cases: list[Case] = []
    while len(cases) < n:
        *first, other = rng.sample(REPEATABLE, words + 1)
        second = [*first[:half], other, *first[half + 1 :]]
        if sequence_is_held_out(first) and sequence_is_held_out(second):
            cases.append(_case(_broken_off(first), _broken_off(second)))
    return cases


def _broken_off(words: list[str]) -> Document:
    """The words, and half of them again; the next one is the answer."""
    half, whole = len(words) // 2, repeat_document(words)
    answer = len(words) + half + 1
    marks = {"SEEN": half, "NEXT": half + 1, "END": answer - 1}
    return Document(whole.task, whole.tokens[: answer + 1], (answer,), marks)


def _case(clean: Document, corrupted: Document) -> Case:
    return Case(clean, corrupted, (clean.answer, corrupted.answer))
