"""One small model for the tests that do not ask for a special one: leave it as it is."""

from __future__ import annotations

import pytest
from toy_models import STYLES, random_model, random_tokens

from patchwidget import PatchStudy


@pytest.fixture(scope="session")
def model():
    return random_model(STYLES[-1])


@pytest.fixture(scope="session")
def tokens():
    """Clean, corrupted `[3, 7]` and answers `[3, 2]`; they differ from position 2 on."""
    return random_tokens()


@pytest.fixture
def study(model, tokens):
    """A study that nobody has asked anything yet."""
    return PatchStudy(model, *tokens)
