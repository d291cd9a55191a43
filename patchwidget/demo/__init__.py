"""A small transformer that comes with the package, and prompts it was never shown.

>>> from patchwidget import demo
>>> model = demo.load_model()
>>> pairs = demo.ioi_pairs()

``card.md`` beside this file says how it was trained and what was measured on it:
it is a teaching model with a known circuit, not a discovery. ``gate_model`` is smaller
still, and set by hand.
"""

from patchwidget.demo.gates import gate_model, gate_pairs
from patchwidget.demo.loader import load_model
from patchwidget.demo.prompts import (
    fact_pairs,
    induction_pairs,
    ioi_pairs,
    texts,
    year_pairs,
)
from patchwidget.demo.tokenizer import load_tokenizer

__all__ = [
    "fact_pairs",
    "gate_model",
    "gate_pairs",
    "induction_pairs",
    "ioi_pairs",
    "load_model",
    "load_tokenizer",
    "texts",
    "year_pairs",
]
