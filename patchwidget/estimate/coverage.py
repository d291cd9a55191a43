"""What some methods need: a decoder that stands for the model."""

from __future__ import annotations

from patchwidget.decoder import Decoder
from patchwidget.runs import Runs


def require_decoder(runs: Runs, method: str) -> Decoder:
    """The decoder that ran the model.

    Raises:
        ValueError: if the model's own hooks ran it.
    """
    if isinstance(runs.engine, Decoder):
        return runs.engine
    raise ValueError(
        f"{method} needs the decoder, which does not stand for this model: the study's "
        "notice says why. Through the model's own hooks there is only 'atp'"
    )
