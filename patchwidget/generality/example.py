"""One position in its text: what stands around it, and where a head looks from there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """A position, chosen by its place in a distribution.

    Attributes:
        head: (layer, query head).
        habit: see `HABITS`.
        quantile: the share of positions that score no more than this one, as asked for.
        score: the attention that the head pays to what the habit looks at.
        text, pos: number of the text, and position in it.
        tokens: the token strings around it, from position `start` on.
        start: position of the first of `tokens`.
        looks_at: the position that the head attends to most, and its token.
        weight: the attention that it pays there.
    """

    head: tuple[int, int]
    habit: str
    quantile: float
    score: float
    text: int
    pos: int
    tokens: tuple[str, ...]
    start: int
    looks_at: tuple[int, str]
    weight: float

    def __repr__(self) -> str:
        here = self.pos - self.start
        before, after = self.tokens[:here], self.tokens[here + 1 :]
        around = (
            f"{_shown(before)}[{_shown(self.tokens[here : here + 1])}]{_shown(after)}"
        )
        position, token = self.looks_at
        return (
            f"{self.quantile:.0%}: {self.score:.2f} in text {self.text}, {around} at "
            f"{self.pos} looks at {token!r} at {position} ({self.weight:.2f})"
        )


def _shown(tokens: tuple[str, ...]) -> str:
    """Tokens as one line, with what breaks lines made visible."""
    return repr("".join(tokens))[1:-1]
