"""What a checker answers: right or not, and one sentence or two that teach."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Verdict:
    """The answer of a checker. It is true when the function is right.

    Attributes:
        exercise: name of the function that was asked for.
        right: whether everything that was tried came out right.
        sentence: what to know about it.
        mistake: name of the mistake, if it is one that the checker knows.
        notes: what is worth knowing and no mistake.

    Example:
        >>> verdict = Verdict("ioi_metric", False, "It is not normalised.", "raw")
        >>> bool(verdict)
        False
        >>> verdict
        ioi_metric, not yet: It is not normalised.
    """

    exercise: str
    right: bool
    sentence: str
    mistake: str | None = None
    notes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        state = "right" if self.right else "not yet"
        return " ".join([f"{self.exercise}, {state}: {self.sentence}", *self.notes])

    def _repr_html_(self) -> str:
        # Text of the student's own code is in the sentence: nothing of it may act.
        state, colour = ("right", "#1a7f37") if self.right else ("not yet", "#b35900")
        head = f'<b style="color:{colour}">{escape(self.exercise)}, {state}:</b>'
        lines = [f"{head} {_lines(self.sentence)}", *map(_lines, self.notes)]
        return "<div>" + "".join(f"<p>{line}</p>" for line in lines) + "</div>"


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")
