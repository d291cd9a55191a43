"""One small model for the tests that do not ask for a special one: leave it as it is."""

from __future__ import annotations

import comm
import numpy as np
import pytest
from estimate_oracles import in_double
from page import RecordingComm
from toy_models import STYLES, random_model, random_tokens

from patchwidget import Pairs, PatchStudy


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


@pytest.fixture
def recorded(monkeypatch):
    """Widgets talk to no kernel, and what they say is kept."""
    monkeypatch.setattr(comm, "create_comm", RecordingComm)


@pytest.fixture
def labelled(model, tokens):
    return PatchStudy(
        model, Pairs(*tokens[:2], answers=tokens[2], labels={"S2": np.int64(3)})
    )


@pytest.fixture
def widget(labelled, recorded):
    from patchwidget import PatchWidget

    widget = PatchWidget(labelled)
    yield widget
    widget.close()


@pytest.fixture(scope="module", params=["denoising", "noising"])
def directed(request):
    """A study in each direction, of 2 pairs of 5 tokens that differ at 1 and 3."""
    tokens = random_tokens(2, 5, differ=(1, 3))
    return PatchStudy(random_model(STYLES[0]), *tokens, direction=request.param)


@pytest.fixture(scope="module")
def runs(directed):
    """Its runs, in float64."""
    return in_double(directed._runs)
