"""A chapter's flow gives the same arrays when one import line is changed."""

from __future__ import annotations

import chapter_flow
import pytest
import torch
import transformer_lens
from torch.testing import assert_close

from patchwidget import patching


@pytest.fixture(scope="module")
def theirs():
    try:
        yield chapter_flow.arrays(transformer_lens.patching)
    finally:
        torch.set_grad_enabled(True)


@pytest.fixture(scope="module")
def ours():
    try:
        yield chapter_flow.arrays(patching)
    finally:
        torch.set_grad_enabled(True)


@pytest.mark.parametrize("name", ["resid_pre", "heads", "noising"])
def test_with_gradients_off_the_arrays_are_the_same(theirs, ours, name):
    assert ours.keys() == theirs.keys()
    assert_close(ours[name], theirs[name])
    assert theirs[name].abs().max() > 0.5, "something is found"
