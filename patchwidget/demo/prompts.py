"""Ready-made pairs of prompts for the bundled model, all of them held out.

Each function gives :class:`patchwidget.pairs.Pairs` of one token length, in which a
pair differs in one token. Every one takes ``n``, how many pairs, and ``seed``.
``texts`` gives ordinary text instead.
"""

from __future__ import annotations

from collections.abc import Sequence

from patchwidget.demo.cases import (
    Case,
    fact_cases,
    induction_cases,
    ioi_cases,
    year_cases,
)
from patchwidget.demo.templates import ARENA_TEMPLATE
from patchwidget.demo.text import Writer
from patchwidget.pairs import Pairs


def ioi_pairs(
    n: int = 8, seed: int = 0, *, order: str = "both", template: str = ARENA_TEMPLATE
) -> Pairs:
    """Indirect objects: corrupted = the same sentence, the other one gives.

    The form of ARENA's exercises: prompts come two by two, and the corrupted prompt
    of one is the clean prompt of the other. No two people here meet in training; the
    first eight prompts are about ARENA's four pairs.

    Args:
        n: How many pairs of prompts.
        seed: Draws places, objects and further people.
        order: ``"both"`` as said above; ``"ABBA"`` or ``"BABA"`` keeps one order, so
            that S1 and IO stand at one position, and every prompt has its own people.
        template: One of ``templates.IOI_TEMPLATES`` or ``HELD_OUT_TEMPLATES``.

    Returns:
        Pairs with answers (IO, S) and labels ``S1 IO S2 END``; where S1 and IO change
        places between the prompts, ``NAME1 NAME2 S2 END``.
    """
    cases = ioi_cases(n, seed, order, template)
    marks = cases[0].clean.marks
    first, second = sorted((marks["S1"], marks["IO"]))
    names = {"S1": marks["S1"], "IO": marks["IO"]}
    if order == "both":
        names = {"NAME1": first, "NAME2": second}
    return _pairs(cases, names | {name: marks[name] for name in ("S2", "END")})


def fact_pairs(n: int = 8, seed: int = 0, *, carrier: int = 0) -> Pairs:
    """Facts: corrupted = the same noun with another first word.

    Training never shows any of these facts in this carrier sentence. The first pair
    of carrier 0 is the White House and the Haunted House.

    Args:
        n: How many pairs, at most 12.
        seed: 0 keeps the order of the table, others shuffle it.
        carrier: Index into ``facts.CARRIERS``.

    Returns:
        Pairs with answers (fact, other fact) and labels ``FIRST NOUN END``.
    """
    return _pairs(fact_cases(n, seed, carrier))


def year_pairs(n: int = 8, seed: int = 0) -> Pairs:
    """Years: corrupted = the first year ends in 01, after which any year is later.

    Args:
        n: How many pairs.
        seed: Draws events and years.

    Returns:
        Pairs with answers (a later year, an earlier one equally far away) and labels
        ``YY END``.
    """
    return _pairs(year_cases(n, seed))


def induction_pairs(n: int = 8, seed: int = 0, *, words: int = 8) -> Pairs:
    """Repeated random words: corrupted = another word at the place to copy from.

    Args:
        n: How many pairs.
        seed: Draws the words.
        words: How many words are said before they come again; the prompt breaks off
            after half of them have come again.

    Returns:
        Pairs with answers (word to copy, word of the corrupted prompt) and labels:
        ``SEEN`` the earlier place of the last word, ``NEXT`` the word after it, ``END``.
    """
    return _pairs(induction_cases(n, seed, words))


def texts(n: int = 50, seed: int = 0) -> list[str]:
    """Ordinary text of the bundled model: documents of all four tasks, as in training.

    Drawn anew by the generator that wrote its training text, without what is held out.

    Args:
        n: How many documents.
        seed: Draws them.
    """
    writer = Writer(seed)
    return [writer.draw().text for _ in range(n)]


def _pairs(cases: Sequence[Case], labels: dict[str, int] | None = None) -> Pairs:
    if not cases:
        raise ValueError("asked for no pairs")
    return Pairs(
        [case.clean.prompt for case in cases],
        [case.corrupted.prompt for case in cases],
        answers=[case.answers for case in cases],
        labels=dict(cases[0].clean.marks) if labels is None else labels,
    )
