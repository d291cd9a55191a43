"""What holds for every test: no network, and the slow ones at the end."""

from __future__ import annotations

import os

# Read when transformers and torch are first imported: before any test module is.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# The test models are too small to share out: a second thread mostly spins, and where
# other programs want the cores too, tests with it took ten times as long as without.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items):
    # Playwright keeps an event loop running in this thread until the session ends:
    # a test that starts a loop of its own has to come before it.
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)
