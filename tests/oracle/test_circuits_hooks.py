"""Questions about circuits against hooks on the model itself, in the families in use."""

from __future__ import annotations

from itertools import combinations

import pytest
from family_models import family_model
from hook_oracle import Oracle
from torch.testing import assert_close
from toy_models import STYLES, random_model, random_tokens

from patchwidget import Head, PatchStudy, Writer


@pytest.fixture(
    scope="module",
    params=[STYLES[0], pytest.param(STYLES[-1], marks=pytest.mark.long)],
)
def model(request):
    return random_model(request.param, n_layers=2, n_heads=2)


def assert_equals_hooks(model, tokens, members):
    """Every single and joint patch by hooks on the model itself, in both directions."""
    clean, corrupted, answers = tokens
    found = PatchStudy(model, *tokens).interactions(members)
    for way, (base, source) in {
        "denoising": (corrupted, clean),
        "noising": (clean, corrupted),
    }.items():
        oracle, side = Oracle(model, base, source, answers), found[way]
        alone = [oracle.together(part.nodes) for part in found.parts]
        for (i, a), (j, b) in combinations(enumerate(found.parts), 2):
            both = oracle.together([*a.nodes, *b.nodes])
            assert_close(side.raw[:, i, j], both - alone[i] - alone[j])
            assert_close(side.joint[:, i, j], both)
        scale = side.scale.value
        assert_close(side.per_pair, side.raw / scale, equal_nan=True)
        assert_close(side.values, side.per_pair.mean(0), equal_nan=True)
        assert side.spread.shape == (4, len(alone), len(alone))
        low, high = side.spread[:2, 0, 1]
        assert low <= float(side.values[0, 1]) <= high


def test_interactions_equal_hooks_on_the_model(model):
    members = ["L0H1.z", Head(1, 0, "q"), "L1H1.pattern", "L0.resid_pre@3", "L0.mlp"]
    assert_equals_hooks(model, random_tokens(3, 5, differ=(1, 3)), members)


@pytest.mark.parametrize("family", ["gpt-neox", "llama"])
def test_interactions_in_families(family):
    members = [Head(0, 3), Head(0, 1, "k"), Head(1, 2, "q"), Writer("mlp", 0)]
    assert_equals_hooks(
        family_model(family), random_tokens(2, 5, differ=(1, 3)), members
    )


def test_a_query_head_is_no_kv_head():
    study = PatchStudy(family_model("llama"), *random_tokens(2, 5, differ=(1, 3)))
    with pytest.raises(IndexError, match="Query head 3 is served by KV head 1"):
        study.interactions(["L0H1.z", "L1H3.v"])
