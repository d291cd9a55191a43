"""The text the bundled model learns from: four kinds of documents, seeded.

- ``ioi``: who is given the object (one pair of people, or two pairs);
- ``fact``: who is found at a place of two words;
- ``year``: a second year of the same century, always later than the first;
- ``repeat``: random words, said twice in the same order (induction).

A document is its tokens, the positions where an answer stands, and the names of
some positions. What training never sees is decided here by rules on content
(``pair_is_held_out`` and its siblings), not by seeds, so it can be tested.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from patchwidget.demo.facts import CARRIERS, FACTS, Fact
from patchwidget.demo.facts import is_held_out as fact_is_held_out
from patchwidget.demo.templates import (
    HELD_OUT_TEMPLATES,
    IOI_TEMPLATES,
    TWO_PAIR_ENDS,
    TWO_PAIR_MIDDLES,
    TWO_PAIR_OPENINGS,
    YEAR_TEMPLATES,
)
from patchwidget.demo.words import (
    CENTURIES,
    EVENTS,
    LOOSE_WORDS,
    NAMES,
    OBJECTS,
    PLACES,
)

BOS = "<|endoftext|>"
PIECE = re.compile(r"\{\w+\}| ?[A-Za-z]+|[.,]")
# Without the people: what is done with a name here is about indirect objects.
REPEATABLE = PLACES + OBJECTS + EVENTS + LOOSE_WORDS

# The four pairs of ARENA's exercises are held out by name, others by hash.
HELD_OUT_PAIRS = (
    frozenset({"Mary", "John"}),
    frozenset({"Tom", "James"}),
    frozenset({"Dan", "Sid"}),
    frozenset({"Martin", "Amy"}),
)
SUBJECT_CHANCE = 0.03
OTHER_NAME_CHANCE = 0.05
TWO_PAIR_SHARE = 0.4
TASK_SHARES = {"ioi": 0.46, "fact": 0.18, "year": 0.2, "repeat": 0.16}


@dataclass(frozen=True)
class Document:
    """Tokens (the first is BOS), answer positions, and named positions.

    ``answers`` index ``tokens``; the prediction is made one position earlier.
    ``marks`` count BOS as position 0; ``END`` is the last position of the prompt.
    ``chances``: how likely each token is as the answer, where it is not one for sure.
    """

    task: str
    tokens: tuple[str, ...]
    answers: tuple[int, ...]
    marks: Mapping[str, int]
    chances: Mapping[str, float] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The document without BOS."""
        return "".join(self.tokens[1:])

    @property
    def prompt(self) -> str:
        """The text up to, and without, the last answer."""
        return "".join(self.tokens[1 : self.answers[-1]])

    @property
    def answer(self) -> str:
        """The last answer, with its leading space if it has one."""
        return self.tokens[self.answers[-1]]


def dice(seed: int) -> Random:
    """Where all the generator's choices come from."""
    return Random(seed)  # noqa: S311 - chooses words, guards no secret


def _hashes_to_zero(key: str, modulus: int) -> bool:
    # crc32 and not hash(): the same on every machine and in every process.
    return zlib.crc32(key.encode()) % modulus == 0


def pair_is_held_out(first: str, second: str) -> bool:
    """Whether these two people never meet in training, in either order."""
    key = "|".join(sorted((first, second)))
    return frozenset({first, second}) in HELD_OUT_PAIRS or _hashes_to_zero(key, 10)


def year_is_held_out(event: str, century: int, year: int) -> bool:
    """Whether training never starts this event in this year of this century."""
    return _hashes_to_zero(f"{event}|{century}|{year}", 10)


def sequence_is_held_out(words: Sequence[str]) -> bool:
    """Whether training never repeats random words that begin like these."""
    return _hashes_to_zero(" ".join(words[:3]), 10)


def fill(template: str, slots: Mapping[str, str]) -> tuple[list[str], dict[str, int]]:
    """Put tokens into a template.

    Args:
        template: Literal words and ``{SLOT}``s.
        slots: Token (or two words, for ``F``) of each slot, without the space.

    Returns:
        The tokens with BOS, and the position of the last token of each slot.
    """
    tokens, places = [BOS], {}
    for piece in PIECE.findall(template):
        if not piece.startswith("{"):
            tokens.append(piece)
            continue
        name = piece[1:-1]
        # The second half of a year follows its century without a space.
        glue = "" if name in {"YY", "ZZ"} else " "
        tokens += [glue + word for word in slots[name].split()]
        places[name] = len(tokens) - 1
    return tokens, places


def ioi_document(
    template: str, pair: tuple[str, str], subject: str, rng: Random
) -> Document:
    """One pair of people; ``subject`` is the one of ``pair`` who gives."""
    first, second = pair
    slots = {
        "A": first,
        "B": second,
        "S": subject,
        "IO": second if subject == first else first,
        "P": rng.choice(PLACES),
        "O": rng.choice(OBJECTS),
    }
    return _ioi(template, slots, giver="A" if subject == first else "B")


def two_pair_document(
    pairs: tuple[tuple[str, str], tuple[str, str]], giver: str, rng: Random
) -> Document:
    """Two pairs of people; ``giver`` is the slot (A to D) of the one who gives.

    Here S2 alone does not tell who is given: one has to find whom S was with.
    """
    people = dict(zip("ABCD", pairs[0] + pairs[1], strict=True))
    partner = {"A": "B", "B": "A", "C": "D", "D": "C"}[giver]
    places = rng.sample(PLACES, 2)
    slots = people | {
        "S": people[giver],
        "IO": people[partner],
        "P": places[0],
        "Q": places[1],
        "O": rng.choice(OBJECTS),
    }
    parts = (TWO_PAIR_OPENINGS, TWO_PAIR_MIDDLES, TWO_PAIR_ENDS)
    return _ioi("".join(rng.choice(part) for part in parts), slots, giver)


def _ioi(template: str, slots: Mapping[str, str], giver: str) -> Document:
    tokens, places = fill(template, slots)
    partner = {"A": "B", "B": "A", "C": "D", "D": "C"}[giver]
    answer = places["IO"]
    marks = {
        "S1": places[giver],
        "IO": places[partner],
        "S2": places["S"],
        "END": answer - 1,
    }
    chances = answer_chances(tokens[answer], tokens[marks["S2"]])
    return Document("ioi", tuple(tokens), (answer,), marks, chances)


def answer_chances(right: str, subject: str) -> dict[str, float]:
    """The one who is given, or now and then the subject, or just any name.

    If nothing ever contradicted the model, its logit difference would grow until
    attention is saturated and gradients say nothing.
    """
    chances = dict.fromkeys((" " + n for n in NAMES), OTHER_NAME_CHANCE / len(NAMES))
    chances[subject] += SUBJECT_CHANCE
    chances[right] += 1 - SUBJECT_CHANCE - OTHER_NAME_CHANCE
    return chances


def fact_document(fact: Fact, carrier: int) -> Document:
    """A fact in one of the carrier sentences."""
    slots = {"F": f"{fact.first} {fact.noun}", "X": fact.answer}
    tokens, places = fill(CARRIERS[carrier], slots)
    noun, answer = places["F"], places["X"]
    marks = {"FIRST": noun - 1, "NOUN": noun, "END": answer - 1}
    return Document("fact", tuple(tokens), (answer,), marks)


def year_document(
    template: str, event: str, century: int, years: tuple[int, int]
) -> Document:
    """An event from one year to a later one of the same century."""
    start, stop = years
    slots = {"E": event, "CC": f"{century}", "YY": f"{start:02d}", "ZZ": f"{stop:02d}"}
    tokens, places = fill(template, slots)
    answer = places["ZZ"]
    marks = {"YY": places["YY"], "END": answer - 1}
    later = [f"{year:02d}" for year in range(start + 1, 100)]
    chances = dict.fromkeys(later, 1 / len(later))
    return Document("year", tuple(tokens), (answer,), marks, chances)


def repeat_document(words: Sequence[str], watched: int = 1) -> Document:
    """The same words twice; every second one but the first is an answer.

    The marks are about one of them: word number ``watched`` (from 1) and the next.
    """
    half = [" " + word for word in words]
    tokens = (BOS, *half, *half)
    count = len(half)
    marks = {"SEEN": watched, "NEXT": watched + 1, "END": count + watched}
    return Document("repeat", tokens, tuple(range(count + 2, 2 * count + 1)), marks)


class Writer:
    """Draws training documents; never one that is held out.

    Args:
        seed: The same seed draws the same documents, anywhere.
    """

    def __init__(self, seed: int) -> None:
        self.rng = dice(seed)

    def draw(self) -> Document:
        """One document of a random task."""
        tasks = {
            "ioi": self.ioi,
            "fact": self.fact,
            "year": self.year,
            "repeat": self.repeat,
        }
        shares = [TASK_SHARES[task] for task in tasks]
        return tasks[self.rng.choices(list(tasks), shares)[0]]()

    def pair(self, *, held_out: bool = False) -> tuple[str, str]:
        """Two people who do (or, held out, never do) meet in training."""
        while True:
            first, second = self.rng.sample(NAMES, 2)
            if pair_is_held_out(first, second) == held_out:
                return first, second

    def ioi(self) -> Document:
        """An indirect object, of one pair of people or of two."""
        if self.rng.random() < TWO_PAIR_SHARE:
            return self._two_pairs()
        pair = self.pair()
        template = self.rng.choice(IOI_TEMPLATES)
        return ioi_document(template, pair, self.rng.choice(pair), self.rng)

    def fact(self) -> Document:
        """A fact in a carrier sentence it is allowed in."""
        while True:
            fact, carrier = self.rng.choice(FACTS), self.rng.randrange(len(CARRIERS))
            if not fact_is_held_out(fact, carrier):
                return fact_document(fact, carrier)

    def year(self, *, held_out: bool = False) -> Document:
        """Two years; the second is uniform over all later ones."""
        while True:
            event, century = self.rng.choice(EVENTS), self.rng.choice(CENTURIES)
            start = self.rng.randrange(1, 99)
            if year_is_held_out(event, century, start) == held_out:
                break
        years = (start, self.rng.randrange(start + 1, 100))
        return year_document(self.rng.choice(YEAR_TEMPLATES), event, century, years)

    def repeat(self, count: int | None = None, *, held_out: bool = False) -> Document:
        """``count`` (by default 6 to 12) random words, twice."""
        count = self.rng.randrange(6, 13) if count is None else count
        while True:
            words = self.rng.sample(REPEATABLE, count)
            if sequence_is_held_out(words) == held_out:
                return repeat_document(words, self.rng.randrange(1, count))

    def _two_pairs(self) -> Document:
        while True:
            pairs = (self.pair(), self.pair())
            if len({*pairs[0], *pairs[1]}) == 4:
                return two_pair_document(pairs, self.rng.choice("ABCD"), self.rng)


def vocabulary() -> list[str]:
    """Every token the generator can write, BOS apart, in a fixed order."""
    templates = (
        *IOI_TEMPLATES,
        *HELD_OUT_TEMPLATES,
        *TWO_PAIR_OPENINGS,
        *TWO_PAIR_MIDDLES,
        *TWO_PAIR_ENDS,
        *YEAR_TEMPLATES,
        *CARRIERS,
    )
    literals = [p for t in templates for p in PIECE.findall(t) if not p.startswith("{")]
    words = [" " + word for fact in FACTS for word in fact]
    words += [" " + word for word in NAMES + REPEATABLE]
    digits = [f"{space}{n:02d}" for space in (" ", "") for n in range(100)]
    return list(dict.fromkeys([*digits, *sorted({*literals, *words})]))
