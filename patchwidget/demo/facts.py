"""Facts that hang on one token: a two-word place and who is found there.

Each noun goes with eight first words and each first word with several nouns, and
many answers return elsewhere, so neither word alone gives the answer away: the two
have to be combined, which is work for an MLP.
"""

from __future__ import annotations

from typing import NamedTuple

HELD_OUT_EVERY = 4


class Fact(NamedTuple):
    """A place of two words and the word that completes every sentence about it."""

    first: str
    noun: str
    answer: str


_TABLE = {
    "House": "White president, Haunted ghosts, Green gardeners, Red painters, "
    "Glass dancers, Stone monks, Royal servants, Winter skiers",
    "Tower": "White guards, Haunted ravens, Black prisoners, Red wizards, "
    "Golden princess, Iron engineers, Glass bankers, Silver archers",
    "Garden": "White brides, Haunted ghosts, Royal peacocks, Red roses, "
    "Golden bees, Stone statues, Winter robins, Silver frogs",
    "Island": "White seals, Haunted sailors, Black pirates, Green monkeys, "
    "Golden miners, Frozen penguins, Iron prisoners, Winter fishermen",
    "Forest": "Black wolves, Haunted witches, Green elves, Red foxes, "
    "Golden squirrels, Frozen bears, Royal hunters, Silver owls",
    "Bridge": "White swans, Black robbers, Golden tourists, Red soldiers, "
    "Iron trains, Stone goats, Glass climbers, Frozen skaters",
    "Market": "Black smugglers, White bakers, Green farmers, Golden jewellers, "
    "Iron smiths, Silver bankers, Royal cooks, Winter carpenters",
    "Castle": "Black knights, White princess, Haunted vampires, Red dragons, "
    "Golden kings, Frozen giants, Iron soldiers, Royal horses",
    "Library": "White scholars, Haunted witches, Green students, Black wizards, "
    "Glass painters, Stone lawyers, Silver poets, Royal monks",
    "River": "White otters, Black crocodiles, Green frogs, Red fishermen, "
    "Golden miners, Frozen skaters, Silver salmon, Stone bears",
    "Theatre": "Red dancers, Haunted vampires, Green clowns, Black magicians, "
    "Golden singers, Iron robots, Glass poets, Royal actors",
    "Mountain": "White eagles, Black goats, Red dragons, Green shepherds, "
    "Iron miners, Frozen skiers, Silver wolves, Stone giants",
}

FACTS = tuple(
    Fact(entry.split()[0], noun, entry.split()[1])
    for noun, entries in _TABLE.items()
    for entry in entries.split(", ")
)

CARRIERS = (
    "The{F} is where the{X}.",
    "Everyone knows that the{F} is where the{X}.",
    "If you visit the{F}, you will meet the{X}.",
    "At the{F} you will see the{X}.",
    "People say that the{F} is home to the{X}.",
    "Long ago the{F} was built for the{X}.",
    "My sister went to the{F} to draw the{X}.",
    "In this story the{F} belongs to the{X}.",
)


def fact_couples() -> list[tuple[Fact, Fact]]:
    """Facts two by two: the same noun, another first word, another answer."""
    return list(zip(FACTS[::2], FACTS[1::2], strict=True))


def is_held_out(fact: Fact, carrier: int) -> bool:
    """Whether training never shows ``fact`` in this carrier sentence.

    Both facts of a couple are held out of the same quarter of the carriers, so
    that a clean/corrupted pair can be wholly unseen.
    """
    couple = FACTS.index(fact) // 2
    return (couple + carrier) % HELD_OUT_EVERY == 0
