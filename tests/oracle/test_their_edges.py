"""Path attribution against TransformerLens' own edge attribution, one pair at a time."""

from __future__ import annotations

import pytest
from toy_models import STYLES, TL_MAJOR, random_model, random_tokens

from patchwidget import PatchStudy

pytestmark = pytest.mark.skipif(
    TL_MAJOR < 4, reason="TransformerLens 2 has no edge attribution"
)


def our_name(node):
    """Their node as we write it, without its position."""
    if node.kind in ("embed", "logits"):
        return {"embed": "embed", "logits": "final"}[node.kind]
    if node.kind in ("mlp_out", "mlp_in"):
        return f"L{node.layer}.mlp"
    if node.kind == "attn_head_out":
        return f"L{node.layer}H{node.head}"
    return f"L{node.layer}H{node.head}.{node.kind[0]}"


@pytest.mark.parametrize("style", STYLES)
def test_equals_their_edge_scores(style):
    from transformer_lens.tools.analysis.attribution_patching import (
        EdgeAttributionConfig,
        attribution_patch,
    )

    model = random_model(style, n_layers=2, n_heads=2)
    clean, corrupted, answers = random_tokens(1, 4, differ=(1, 2))
    study = PatchStudy(model, clean, corrupted, answers)
    paths = study.paths(by="pos")

    def metric(logits):
        right, wrong = logits[0, -1, answers[0]]
        return right - wrong

    edges = attribution_patch(
        model, clean, corrupted, metric, EdgeAttributionConfig("edge")
    ).edge_scores
    assert len(edges) == int((~paths.values.isnan()).sum())
    raw = paths.raw[0]
    largest = float(raw.nan_to_num().abs().max())
    for (writer, reader), score in edges.items():
        cell = (
            paths.writers.place(our_name(writer)),
            paths.readers.place(our_name(reader)),
        )
        ours = float(raw[(*cell, writer.position)])
        assert ours == pytest.approx(score, rel=1e-3, abs=1e-5 * largest)
