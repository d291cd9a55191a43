"""The bundled model's exact effects, against the hook loop and TransformerLens' own."""

from __future__ import annotations

import pytest
import torch
from hook_oracle import Oracle, logit_diff
from test_exact import CUTS, THEIRS, spread
from torch.testing import assert_close

from patchwidget import PatchStudy, demo


@pytest.fixture(scope="module")
def model():
    return demo.load_model()


@pytest.fixture(scope="module")
def double_model():
    """In float64: in float32 the model itself is as far from that as 1.6e-5 (logits of
    27), more than the difference of two right answers may be.
    """
    return demo.load_model().to(torch.float64)


@pytest.fixture(scope="module", params=["denoising", "noising"])
def study(request, double_model):
    return PatchStudy(double_model, demo.ioi_pairs(), direction=request.param)


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


@pytest.mark.parametrize(("kind", "name"), THEIRS.items())
def test_grids_equal_transformer_lens(model, kind, name):
    from transformer_lens import patching

    study = PatchStudy(model, demo.ioi_pairs())
    pairs = study.pairs
    with torch.no_grad():
        cache = model.run_with_cache(pairs.clean)[1]
        theirs = getattr(patching, name)(
            model,
            pairs.corrupted,
            cache,
            lambda logits: logit_diff(logits, pairs.answers).mean(),
        )
        base = logit_diff(model(pairs.corrupted), pairs.answers).mean()
    ours = study.exact(kind)
    assert_close(ours.raw.mean(0), theirs - base)
    assert_close(ours.values, (theirs - base) / study.scale)
