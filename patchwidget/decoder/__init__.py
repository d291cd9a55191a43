"""One pure decoder over weights borrowed from the user's model."""

from patchwidget.decoder.agreement import difference
from patchwidget.decoder.borrow import borrow, model_class
from patchwidget.decoder.decoder import Decoder, Past, StreamReadout, Tap, untouched
from patchwidget.decoder.packed import Packed
from patchwidget.decoder.weights import UncoveredError, Weights

__all__ = [
    "Decoder",
    "Packed",
    "Past",
    "StreamReadout",
    "Tap",
    "UncoveredError",
    "Weights",
    "borrow",
    "difference",
    "model_class",
    "untouched",
]
