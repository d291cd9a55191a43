"""What holds for every test: no network, and a model library that is told so."""

from __future__ import annotations

import os

# Read when transformers is first imported, so set before any test module is.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
