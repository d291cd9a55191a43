"""The steps of a run that are not linear: where a method may put rules of its own.

Another set of rules computes the same values and gives them other gradients. What is
linear, and attention's product of pattern and values, has no rule: it is what it is.
"""

from __future__ import annotations

from torch import Tensor

from patchwidget.decoder import blocks
from patchwidget.decoder.weights import Attention, Mlp, Norm


class Rules:
    """The model's own steps, with the gradients that they have.

    Example:
        >>> class Unnormed(Rules):
        ...     def normalise(self, norm, stream):
        ...         return stream
    """

    def normalise(self, norm: Norm | None, stream: Tensor) -> Tensor:
        """See `blocks.normalise`."""
        return blocks.normalise(norm, stream)

    def attend(self, attn: Attention, q: Tensor, k: Tensor, first: int) -> Tensor:
        """See `blocks.attend`."""
        return blocks.attend(attn, q, k, first)

    def neurons(self, mlp: Mlp, stream: Tensor) -> Tensor:
        """See `blocks.neurons`."""
        return blocks.neurons(mlp, stream)


PLAIN = Rules()
