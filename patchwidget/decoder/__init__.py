"""One pure decoder over weights borrowed from the user's model."""

from patchwidget.decoder.agreement import difference, disagreement
from patchwidget.decoder.borrow import borrow, model_class
from patchwidget.decoder.decoder import Decoder, Past, StreamReadout, Tap, untouched
from patchwidget.decoder.graph import (
    Graph,
    Sites,
    SpareGraph,
    going_back,
    trace,
    tracing,
    tracing_from,
)
from patchwidget.decoder.packed import Packed
from patchwidget.decoder.rules import Rules
from patchwidget.decoder.single import HALF, in_single
from patchwidget.decoder.weights import UncoveredError, Weights

__all__ = [
    "HALF",
    "Decoder",
    "Graph",
    "Packed",
    "Past",
    "Rules",
    "Sites",
    "SpareGraph",
    "StreamReadout",
    "Tap",
    "UncoveredError",
    "Weights",
    "borrow",
    "difference",
    "disagreement",
    "going_back",
    "in_single",
    "model_class",
    "trace",
    "tracing",
    "tracing_from",
    "untouched",
]
