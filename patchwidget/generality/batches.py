"""Which texts run together: of about one length, as many as memory allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from patchwidget.generality.text import Text
from patchwidget.hooks import HookedModel
from patchwidget.runs import Runs

# More of them at once would not be quicker, only later to stop.
_TOKENS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class TextBatch:
    """Texts that run together, filled up to the longest.

    What fills a text up comes after its end, where none of its tokens looks.

    Attributes:
        numbers: which texts they are.
        tokens: `[N, T]`.
        ordinary: `[N, T]`, False also where a text is filled up.
    """

    numbers: tuple[int, ...]
    tokens: Tensor
    ordinary: Tensor

    @classmethod
    def of(cls, texts: Sequence[Text], numbers: Sequence[int]) -> TextBatch:
        """Some of the texts."""
        chosen = [texts[number] for number in numbers]
        length = max(map(len, chosen))
        # With its own last token: a padding token might be taken for padding by the model.
        filled = [
            torch.cat([one.tokens, one.tokens[-1:].expand(length - len(one))])
            for one in chosen
        ]
        ordinary = pad_sequence([one.ordinary for one in chosen], batch_first=True)
        return cls(tuple(numbers), torch.stack(filled), ordinary)


def batches(texts: Sequence[Text], runs: Runs, allowed: int) -> Iterator[TextBatch]:
    """All texts that have an ordinary token, the longest first.

    Args:
        texts: as tokens.
        runs: of the model that is to run them.
        allowed: bytes that a batch may take.

    Raises:
        ValueError: if the longest text alone takes more.
    """
    waiting = [n for n, text in enumerate(texts) if bool(text.ordinary.any())]
    waiting.sort(key=lambda number: -len(texts[number]))
    while waiting:
        length = len(texts[waiting[0]])
        needed = text_bytes(runs, length)
        if needed > allowed:
            raise ValueError(
                f"a text of {length} tokens needs about {needed:,} bytes, the budget is "
                f"{allowed:,}: give PatchStudy(..., budget={needed}) or more, or cut it"
            )
        count = max(1, min(allowed // needed, _TOKENS_AT_ONCE // length))
        yield TextBatch.of(texts, waiting[:count])
        waiting = waiting[count:]


def text_bytes(runs: Runs, length: int) -> int:
    """The most that one text of `length` tokens needs at once.

    Counted are the tensors that live together: patterns with what they are made from and
    multiplied by; the stream and its norm with q, k, v, z and the neurons; and all logits,
    where hooks run the model. Six to seven tensors of a pattern's size live at once (the
    model is asked about the longest text, too); twelve are counted, since a process does
    not give back at once what it has freed.
    """
    extent, like = runs.extent, runs.base.values["resid_pre", 0]
    width = max(4, like.element_size())
    in_attention = 12 * extent.n_heads * length**2 + 6 * length**2
    in_block = length * (12 * like.shape[-1] + 3 * extent.d_mlp)
    vocabulary = runs.base.readout.shape[2]
    logits = 2 * length * vocabulary if isinstance(runs.engine, HookedModel) else 0
    return (in_attention + in_block + logits) * width
