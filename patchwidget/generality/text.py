"""Ordinary texts as tokens: where each ends, and which tokens are text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from patchwidget.padding import Marks
from patchwidget.pairs import Prompts, token_strings, tokens_of


@dataclass(frozen=True, eq=False)
class Text:
    """One text.

    Attributes:
        tokens: `[T]`, without padding.
        ordinary: `[T]`, False for what stands outside the text: BOS, its end, unknown
            words. Without a tokenizer nobody knows these, and all tokens are text.
        strings: each token's text.
    """

    tokens: Tensor
    ordinary: Tensor
    strings: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.tokens)


def texts_of(model: Any, texts: Prompts) -> list[Text]:
    """Texts as a model's tokens, each cut where its padding begins.

    Args:
        model: the user's.
        texts: strings of any length, or tokens `[N, T]` (padded at the end, if at all).

    Raises:
        ValueError: if there are none, one is too long for the model, a token is not in its
            vocabulary, or there is padding elsewhere than at a text's end.
    """
    rows = tokens_of(model, texts)
    if not rows:
        raise ValueError("there are no texts")
    tokenizer = getattr(model, "tokenizer", None)
    marks, n_ctx = Marks.of(tokenizer), getattr(model.cfg, "n_ctx", None)
    found = []
    for number, padded in enumerate(rows):
        row = _without_padding(padded, marks, f"text {number}")
        if n_ctx is not None and len(row) > n_ctx:
            raise ValueError(
                f"text {number} has {len(row)} tokens, the model takes {n_ctx}: cut it"
            )
        special = [mark for mark in vars(marks).values() if mark is not None]
        ordinary = ~torch.isin(row, torch.tensor(special, device=row.device))
        found.append(Text(row, ordinary, tuple(token_strings(model, row))))
    return found


def _without_padding(row: Tensor, marks: Marks, name: str) -> Tensor:
    position = marks.padding(row)
    if position is None:
        return row
    rest = row[position:].tolist()
    if rest != [marks.pad] * len(rest):
        raise ValueError(
            f"{name} has the padding token {marks.pad} at position {position}, before "
            "other tokens: what comes after it would not stand where it does in a text. "
            "Pad at the end, or give strings"
        )
    return row[:position]
