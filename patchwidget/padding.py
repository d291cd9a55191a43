"""Tokens that stand beside a prompt: padding, and the token that begins a text.

A patched padding token means nothing, and a prompt that begins with BOS has every other
token one place further on than one without: both would give a plausible map.

TransformerLens gives a tokenizer without a padding token the one that ends a text, and
one without BOS the same (2.x to 4.x): in GPT-2 all three are one. Such a token also has
a meaning in a prompt, so that only where it stands tells padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Marks:
    """The ids of a tokenizer's special tokens; None for those that it does not have.

    Attributes:
        pad, bos, eos, unk: fill up, begin, end a text; stand for an unknown word.

    Example:
        >>> import torch
        >>> Marks(pad=0, bos=0, eos=0).padding(torch.tensor([0, 5, 0, 7, 0, 0]))
        4
    """

    pad: int | None = None
    bos: int | None = None
    eos: int | None = None
    unk: int | None = None

    @classmethod
    def of(cls, tokenizer: Any) -> Marks:
        """Those of a Hugging Face tokenizer; without a tokenizer there are none."""
        return cls(
            **{
                name: getattr(tokenizer, f"{name}_token_id", None)
                for name in ("pad", "bos", "eos", "unk")
            }
        )

    @property
    def pad_means_more(self) -> bool:
        """Whether the padding token also begins or ends a text, or is a word."""
        return self.pad in (self.bos, self.eos, self.unk)

    def padding(self, row: Tensor) -> int | None:
        """Position of the first padding token of a prompt `[T]`; None if it has none.

        - A token that only pads is padding wherever it stands.
        - One that means more is padding where it leads twice or more (once it begins the
          text), or where it follows the text. Twice, if it is also an unknown word.
        """
        is_pad = [self.pad is not None and token == self.pad for token in row.tolist()]
        if not self.pad_means_more:
            return is_pad.index(True) if any(is_pad) else None
        if all(is_pad[:2]):
            return 0 if len(is_pad) > 1 else None
        text = len(is_pad) - is_pad[::-1].index(False)
        allowed = 0 if self.pad in (self.bos, self.eos) else 1
        return text if len(is_pad) - text > allowed else None

    def start(self, row: Tensor) -> int | None:
        """The token by which a prompt `[T]` is marked as beginning; None if it is not."""
        marks = {self.bos, self.pad if self.pad_means_more else None}
        return next((token for token in row[:1].tolist() if token in marks), None)


def check_padding(tokenizer: Any, rows: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Refuse padding, and prompts of which only some begin with BOS.

    Args:
        tokenizer: the model's, or None: then nothing is known, and nothing refused.
        rows: the clean and the corrupted tokens `[T]` of each pair.

    Raises:
        ValueError: naming the prompt, the position and the token.
    """
    marks = Marks.of(tokenizer)
    prompts = [
        (f"pair {number}: the {name} prompt", row)
        for number, pair in enumerate(rows)
        for name, row in zip(("clean", "corrupted"), pair, strict=True)
    ]
    for name, row in prompts:
        position = marks.padding(row)
        if position is not None:
            raise ValueError(_padded(tokenizer, marks, name, row, position))
    first_name, first = prompts[0]
    for name, row in prompts:
        if marks.start(row) != marks.start(first):
            raise ValueError(
                f"{name} begins with {_text(tokenizer, row[:1])} and {_lower(first_name)} "
                f"with {_text(tokenizer, first[:1])}: with BOS before some prompts only, "
                "their tokens are not position by position the same. Begin all of them "
                "with BOS, as model.to_tokens(text) does, or none"
            )


def _padded(tokenizer: Any, marks: Marks, name: str, row: Tensor, position: int) -> str:
    token = _text(tokenizer, row[position : position + 1])
    if position == 0 and marks.pad == marks.bos:
        return (
            f"{name} begins with {token} twice, at positions 0 and 1: it is padded, or "
            "has BOS in its text and one more from TransformerLens. Leave out the first"
        )
    return (
        f"{name} has the padding token {token} at position {position}: a patch there "
        "means nothing. Cut the prompts to their text; all need one length without it"
    )


def _text(tokenizer: Any, tokens: Tensor) -> str:
    return repr(tokenizer.decode(tokens.tolist()))


def _lower(name: str) -> str:
    """A prompt's name within a sentence: "the clean prompt of pair 0"."""
    pair, prompt = name.split(": ")
    return f"{prompt} of {pair}"
