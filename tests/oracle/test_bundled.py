"""The bundled model's exact effects, against the hook loop and TransformerLens' own."""

from __future__ import annotations

import pytest
import torch
from hook_oracle import Oracle, logit_diff
from test_exact import CUTS, spread
from torch.testing import assert_close

from patchwidget import PatchStudy, demo


@pytest.fixture(scope="module")
def model():
    return demo.load_model()


@pytest.fixture(scope="module", params=["denoising", "noising"])
def study(request, model):
    return PatchStudy(model, demo.ioi_pairs(), direction=request.param)


@pytest.fixture(scope="module")
def oracle(study):
    pairs = study.pairs
    base, source = pairs.corrupted, pairs.clean
    if study.direction == "noising":
        base, source = source, base
    return Oracle(study.model, base, source, pairs.answers)


@pytest.mark.parametrize(("kind", "by"), CUTS)
def test_exact_effects_equal_the_hook_loop(study, oracle, kind, by):
    # The nodes that matter most, where a mistake would be largest, and some of the rest.
    grid = study.estimate(kind, by=by)
    nodes = [node for node, _ in grid.top(6)] + spread(grid.nodes(), at_most=6)
    effects = study.exact(nodes)
    assert study.notice is None
    for node in nodes:
        assert_close(
            effects[node].raw, oracle.raw(node), msg=lambda m, n=node: f"{n}: {m}"
        )


def test_the_heads_grid_equals_transformer_lens(model):
    from transformer_lens import patching

    study = PatchStudy(model, demo.ioi_pairs())
    pairs = study.pairs
    with torch.no_grad():
        cache = model.run_with_cache(pairs.clean)[1]
        theirs = patching.get_act_patch_attn_head_out_all_pos(
            model,
            pairs.corrupted,
            cache,
            lambda logits: logit_diff(logits, pairs.answers).mean(),
        )
        base = logit_diff(model(pairs.corrupted), pairs.answers).mean()
    ours = study.exact("z")
    assert_close(ours.raw.mean(0), theirs - base)
    assert_close(ours.values, (theirs - base) / study.scale)
