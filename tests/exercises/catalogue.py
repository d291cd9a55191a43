"""The catalogue of mistakes in the guide, made from the very rows that are tested.

    python tests/exercises/catalogue.py

runs the checkers on them and writes the page's tables again.
"""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "examples" / "guide" / "checkers.md"
_START = "<!-- The rest is written by tests/exercises/catalogue.py. -->\n"
# What is of the test's own code, or of the version of TransformerLens.
_LINE = re.compile(r" at your line \d+ `[^`]*`")
_HOOK = re.compile(r"\((at )?blocks\.[\w.]+\)")
_ROW = re.compile(r"^\| .* \| `(\w+)-(\w+)` \|$", re.MULTILINE)


def named(catalogue):
    """Functions by exercise and mistake, exercise by exercise; mistakes with a name only.

    Where a mistake has several guises, the first one stands for all.
    """
    first = {}
    for exercise, mistake, function in sorted(catalogue, key=lambda entry: entry[0]):
        if mistake is not None:
            first.setdefault((exercise, mistake), function)
    return first


def row(exercise, mistake, sentence):
    """One line of a table."""
    general = _HOOK.sub(r"(\1HOOK)", _LINE.sub(" at your line N", sentence))
    words = " ".join(general.split()).replace("|", "\\|")
    return f"| {mistake} | {words} | `{exercise}-{mistake}` |"


def page():
    return PAGE.read_text("utf-8")


def entries(text):
    """The rows of a page: exercises and mistakes, in their order."""
    return _ROW.findall(text)


def tables(sentences):
    """A table for each exercise, from sentences by exercise and mistake."""
    lines, last = [], None
    for (exercise, mistake), sentence in sentences.items():
        if exercise != last:
            head = f"\n## `{exercise}`\n\n| mistake | sentence | test |\n|---|---|---|"
            lines.append(head)
        last = exercise
        lines.append(row(exercise, mistake, sentence))
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    from test_mistakes import CATALOGUE

    from patchwidget import exercises

    found = {
        key: getattr(exercises, f"check_{key[0]}")(function).sentence
        for key, function in named(CATALOGUE).items()
    }
    PAGE.write_text(page().partition(_START)[0] + _START + tables(found), "utf-8")
