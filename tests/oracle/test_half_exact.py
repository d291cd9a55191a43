"""Exact effects in half precision: as near to the truth as the model's own hooks are.

The truth is the same weights cast up to float32, patched by hooks. How far the hooks of
the half-precision model are from it, as a root mean square over nodes and pairs, is what
rounding does to effects. Two ways of computing that round apart are the root of two
times as far from each other; found over all families in both dtypes: 0.4 to 2.3 times,
and ours 0.4 to 1.5 times as far from the truth as the hooks.
"""

from __future__ import annotations

import pytest
import torch
from family_models import FAMILY_CASES, family_model
from hook_oracle import Oracle
from test_exact import CUTS, spread
from test_families import DEAD
from toy_models import random_tokens

from patchwidget import PatchStudy
from patchwidget.nodes import KINDS

FROM_HOOKS, FROM_TRUTH, LARGEST = 3, 2, 12


def root_mean_square(values):
    return float(values.square().mean().sqrt())


def by_hooks(model, tokens, nodes):
    clean, corrupted, answers = tokens
    oracle = Oracle(model, corrupted, clean, answers)
    return torch.stack([oracle.raw(node) for node in nodes])


WHOLE = tuple((kind, None) for kind in KINDS)
BY_POSITION = tuple(cut for cut in CUTS if cut[1] is not None)
# Rounding of few effects is itself uncertain: of ten numbers by a quarter.
long = pytest.mark.long


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # theirs, about changed dtypes
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
@pytest.mark.parametrize(
    ("cuts", "at_most", "rounded_off"),
    [
        pytest.param(WHOLE, 4, 0.1, id="whole"),
        # Small effects; but one that is not there at all must be seen.
        pytest.param(BY_POSITION, 12, 1 / FROM_HOOKS, marks=long, id="by position"),
    ],
)
@pytest.mark.parametrize("family", FAMILY_CASES)
def test_effects_lie_within_rounding_of_the_hooks(
    family, cuts, at_most, rounded_off, dtype
):
    tokens = random_tokens(2, 6, differ=(1, 3))
    model = family_model(family).to(dtype)
    study = PatchStudy(model, *tokens)
    assert study.notice is None
    nodes = [
        node
        for kind, by in cuts
        if study.can_patch(kind) and (family, kind) not in DEAD
        for node in spread(study.extent.nodes(kind, by), at_most=at_most)
    ]
    ours = torch.stack([effect.raw for effect in study.exact(nodes).values()])
    hooks = by_hooks(model, tokens, nodes)
    truth = by_hooks(model.to(torch.float32), tokens, nodes)
    # What cannot matter is not rounded either, and would only dilute the rest.
    assert not ours[truth == 0].any()
    ours, hooks, truth = (each[truth != 0] for each in (ours, hooks, truth))
    rounding = root_mean_square(hooks - truth)
    assert 0 < rounding < rounded_off * root_mean_square(truth), "there is much to see"
    assert root_mean_square(ours - truth) <= FROM_TRUTH * rounding
    assert root_mean_square(ours - hooks) <= FROM_HOOKS * rounding
    assert float((ours - hooks).abs().max()) <= LARGEST * rounding
