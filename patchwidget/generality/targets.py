"""Three habits of attention heads, as masks of what a head with the habit looks at.

- *previous*: the token before (Elhage et al. 2021, "A Mathematical Framework for
  Transformer Circuits").
- *duplicate*: earlier occurrences of the token itself (duplicate-token heads of Wang et
  al. 2022, arXiv 2211.00593).
- *induction*: the tokens after these (prefix matching, Olsson et al. 2022, arXiv
  2209.11895).

A head's score at a position is the attention that it pays to all of these together. A token
that stands outside the text (BOS, the end of a text, padding) is no destination, no token
to look at, and no duplicate of another: a head that rests on BOS does not look back. Where
no such token is, the score is not defined. TransformerLens' `head_detector` has the same
masks with BOS among the tokens, and, for induction after a token said twice in a row, with
the position itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

HABITS = ("previous", "duplicate", "induction")


def looked_at(tokens: Tensor, ordinary: Tensor) -> Tensor:
    """What a head with each habit looks at.

    Args:
        tokens: `[N, T]`.
        ordinary: `[N, T]`, False where a token stands outside the text.

    Returns:
        `[3, N, dest, src]`, True where the source is what the habit looks at; every
        source is an ordinary token before its destination.

    Example:
        >>> tokens = torch.tensor([[5, 6, 5]])
        >>> previous, duplicate, induction = looked_at(tokens, tokens > 0)
        >>> previous[0].nonzero().tolist(), duplicate[0].nonzero().tolist()
        ([[1, 0], [2, 1]], [[2, 0]])
        >>> induction[0].nonzero().tolist()
        [[2, 1]]
    """
    places = torch.arange(tokens.shape[1], device=tokens.device)
    before = places[None, :] < places[:, None]
    allowed = ordinary[:, :, None] & ordinary[:, None, :] & before
    previous = places[None, :] == places[:, None] - 1
    same = (tokens[:, :, None] == tokens[:, None, :]) & allowed
    after_same = torch.zeros_like(same)
    after_same[:, :, 1:] = same[:, :, :-1]
    return torch.stack([previous & allowed, same, after_same & allowed])
