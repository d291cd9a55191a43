"""Notebooks of the course are walked through once, for all tests."""

from __future__ import annotations

from functools import cache

import pytest
from course import walk


@pytest.fixture(scope="session")
def walked():
    """What a walk through a notebook of the course met, by the notebook's number."""
    return cache(walk)
