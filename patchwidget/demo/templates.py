"""Sentences with slots, and which of them training never sees.

Slots: ``A`` and ``B`` two people in the order they come, ``S`` the one who gives,
``IO`` the one who is given (the answer), ``P`` a place, ``O`` an object; ``C`` and
``D`` the other two people of a document with two pairs. Slots swallow the space
before them, because a token holds its leading space.
"""

from __future__ import annotations

ARENA_TEMPLATE = "When{A} and{B} went to the{P},{S} gave the{O} to{IO}."

IOI_TEMPLATES = (
    ARENA_TEMPLATE,
    "When{A} and{B} got a{O} at the{P},{S} decided to give it to{IO}.",
    "After{A} and{B} went to the{P},{S} gave a{O} to{IO}.",
    "While{A} and{B} were working at the{P},{S} handed the{O} to{IO}.",
    "Then,{A} and{B} had a long talk at the{P}, and{S} passed a{O} to{IO}.",
    "Yesterday{A} and{B} met at the{P}.{S} brought a{O} for{IO}.",
    "The friends{A} and{B} found a{O} at the{P}.{S} sold it to{IO}.",
    "Once{A} and{B} had a lunch at the{P},{S} offered the{O} to{IO}.",
    "Last week{A} and{B} walked to the{P}. Then,{S} sent a{O} to{IO}.",
    "Because{A} and{B} like the{P},{S} showed the{O} to{IO}.",
    "Today{A} and{B} were at the{P}. Later,{S} wanted to hand a{O} to{IO}.",
    "It was late when{A} and{B} left the{P}, so{S} gave the{O} to{IO}.",
)

HELD_OUT_TEMPLATES = (
    "After{A} and{B} had a talk at the{P},{S} showed the{O} to{IO}.",
    "Once{A} and{B} walked to the{P}. Then,{S} decided to give a{O} to{IO}.",
)

TWO_PAIR_OPENINGS = (
    "Yesterday{A} and{B} were at the{P}.",
    "Today{A} and{B} went to the{P}.",
    "Last week{A} and{B} met at the{P}.",
    "Once{A} and{B} had a lunch at the{P}.",
    "The friends{A} and{B} left the{P}.",
)
TWO_PAIR_MIDDLES = (
    "{C} and{D} met at the{Q}.",
    "{C} and{D} walked to the{Q}.",
    "{C} and{D} were working at the{Q}.",
    "{C} and{D} had a talk at the{Q}.",
)
TWO_PAIR_ENDS = (
    " Then,{S} gave a{O} to{IO}.",
    " Later,{S} handed the{O} to{IO}.",
    "{S} sent a{O} to{IO}.",
    " Then,{S} wanted to give the{O} to{IO}.",
)

YEAR_TEMPLATES = (
    "The{E} lasted from the year{CC}{YY} to the year{CC}{ZZ}.",
    "The{E} began in the year{CC}{YY} and ended in the year{CC}{ZZ}.",
    "People say that the{E} lasted from{CC}{YY} to{CC}{ZZ}.",
    "After the year{CC}{YY} the{E} was over by{CC}{ZZ}.",
)
