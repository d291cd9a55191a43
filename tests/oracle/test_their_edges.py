"""Paths against TransformerLens' own edges, one pair at a time: estimates, and circuits."""

from __future__ import annotations

import pytest
from toy_models import STYLES, TL_MAJOR, random_model, random_tokens

from patchwidget import PatchStudy, sources
from patchwidget.circuits.asked import circuit_of

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


@pytest.mark.parametrize("ablation", ["corrupt", "mean"])
def test_circuits_keep_what_they_keep_by_their_own_measure(ablation):
    from transformer_lens.tools.analysis.attribution_patching import (
        EdgeAttributionConfig,
        FaithfulnessConfig,
        attribution_patch,
        faithfulness,
    )

    model = random_model(STYLES[0], n_layers=2, n_heads=2)
    clean, corrupted, answers = random_tokens(1, 4, differ=(1, 2))
    others = random_tokens(3, 4, seed=1)[0] if ablation == "mean" else None
    source = None if others is None else sources.Mean(others)
    study = PatchStudy(model, clean, corrupted, answers, source=source)

    def metric(logits):
        right, wrong = logits[0, -1, answers[0]]
        return right - wrong

    config = EdgeAttributionConfig("edge")
    found = attribution_patch(model, clean, corrupted, metric, config)
    for size in (40, len(found.edge_scores) // 2, len(found.edge_scores) - 30):
        edges = [(writer, reader) for writer, reader, _ in found.top_edges(k=size)]
        theirs = faithfulness(
            model,
            clean,
            corrupted,
            metric,
            edges,
            FaithfulnessConfig(ablation),
            mean_tokens=others,
        )
        paths = [f"{our_name(w)}@{w.position} -> {our_name(r)}" for w, r in edges]
        chosen, runners = circuit_of(study, paths, None)
        kept, nothing = chosen.less([]), chosen.whole.only(())
        wired = runners("noising")
        assert list(wired.steps([kept, nothing]))[-1].work == 1
        assert len(chosen.whole) == theirs.total_edges
        # They measure from the corrupted prompt's metric, whatever is ablated.
        gap = theirs.full_metric - theirs.corrupt_metric
        expected = theirs.corrupt_metric + theirs.recovered * gap
        ours = float(wired.known.of()[kept].raw) + theirs.full_metric
        assert ours == pytest.approx(expected, rel=1e-4, abs=1e-5)
        if ablation == "corrupt":
            share = study.whole_story(paths[:3], subsets=0).all.raw
            assert float(share) == pytest.approx(-gap, rel=1e-4)
