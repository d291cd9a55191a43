"""Where heads look on texts longer than a study's prompts, in the families in use."""

from __future__ import annotations

import pytest
import torch
from family_models import FAMILY_CASES, family_model
from slow_habits import check_habits
from through_hooks import by_hooks
from toy_models import random_tokens

from patchwidget import PatchStudy

BOS = 0


@pytest.mark.parametrize("name", FAMILY_CASES)
def test_scores_are_those_of_the_models_own_patterns(name):
    model = family_model(name)
    generator = torch.Generator().manual_seed(2)
    tokens = torch.randint(1, 5, (3, 14), generator=generator)
    tokens[:, 0] = BOS
    is_text = [[token != BOS for token in row] for row in tokens.tolist()]
    if getattr(model, "tokenizer", None) is None:
        is_text = [[True] * 14] * 3  # nobody knows that the first begins a text
    for make in (PatchStudy, by_hooks):
        found = make(model, *random_tokens(2, 5, differ=(1, 3))).habits(tokens)
        assert found.heads == tuple(
            (layer, head) for layer in range(2) for head in range(4)
        )
        check_habits(found, model, tokens.tolist(), is_text)
