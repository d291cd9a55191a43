"""Exact path patching against the model itself, and against TransformerLens' own."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from family_models import FAMILY_CASES, family_model
from frozen_model import FrozenModel
from precise import some
from torch.testing import assert_close
from toy_models import STYLES, TL_MAJOR, random_model, random_tokens

from patchwidget import Head, PatchStudy, Reader, Writer
from patchwidget.paths.path import obstacle
from patchwidget.paths.writes import all_writers, readers_of


@pytest.fixture(scope="module", params=FAMILY_CASES)
def family(request):
    return family_model(request.param)


@pytest.fixture(scope="module", params=STYLES)
def deep(request):
    return random_model(request.param, n_layers=4, n_heads=3)


def oracle_for(model, tokens, direction="denoising"):
    clean, corrupted, answers = tokens
    base, source = (
        (corrupted, clean) if direction == "denoising" else (clean, corrupted)
    )
    return FrozenModel(model, base, source, answers)


def post_normed(study):
    return study._runs.engine.weights.layers[0].ln1_post is not None


def ends(study):
    extent = study.extent
    layers = range(extent.n_layers)
    readers = [reader for layer in layers for reader in readers_of(extent, layer)]
    writers = [
        writer
        for writer in all_writers(extent)
        if writer.part != "head" or not post_normed(study)
    ]
    return writers, [*readers, Reader("final")]


def connected(study):
    parallel = study._runs.engine.weights.layers[0].parallel
    return [
        (writer, reader)
        for writer, reader in product(*ends(study))
        if obstacle(writer, reader, parallel=parallel) is None
    ]


@pytest.mark.parametrize("direction", ["denoising", "noising"])
def test_every_kind_of_path_in_every_family(family, direction):
    """One of each: writer part x reader part, and at a single position."""
    tokens = random_tokens(2, 5, differ=(1, 3))
    study = PatchStudy(family, *tokens, direction=direction)
    assert study.notice is None, "the decoder does the work"
    oracle = oracle_for(family, tokens, direction)
    kinds = {(w.part, r.part, w.layer == r.layer): (w, r) for w, r in connected(study)}
    assert len(kinds) >= 6
    worst = 0.0
    for writer, reader in kinds.values():
        for pos in (None, 3):
            cut = Writer(writer.part, writer.layer, writer.head, pos)
            found = study.exact_paths(cut, reader)
            assert found.axes == ()
            assert_close(found.raw, oracle.raw(cut, [reader]), rtol=1e-4, atol=1e-5)
            worst = max(worst, float(found.raw.abs().max()))
    assert worst > 1e-3


def test_every_path_of_a_deep_model(deep):
    tokens = random_tokens(2, 5, differ=(1, 3))
    study = PatchStudy(deep, *tokens)
    oracle = oracle_for(deep, tokens)
    pairs = connected(study)
    for writer in ends(study)[0]:
        readers = [reader for one, reader in pairs if one == writer]
        found = study.exact_paths(writer, readers)
        assert found.axes == ("reader",)
        for number in some(range(len(readers)), 8):
            expected = oracle.raw(writer, [readers[number]])
            assert_close(found.raw[:, number], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("n_pairs", "n_pos", "n_layers", "n_heads"),
    [
        (1, 1, 2, 3),
        (3, 4, 2, 1),
        (1, 6, 1, 2),
        (5, 2, 3, 2),
    ],
)
def test_odd_shapes(n_pairs, n_pos, n_layers, n_heads):
    model = random_model(STYLES[0], n_layers=n_layers, n_heads=n_heads)
    tokens = random_tokens(n_pairs, n_pos, differ=(0, n_pos - 1))
    study, oracle = PatchStudy(model, *tokens), oracle_for(model, tokens)
    for writer, reader in some(connected(study), 20):
        found = study.exact_paths(writer, reader).raw
        assert found.shape == (n_pairs,)
        assert_close(found, oracle.raw(writer, [reader]), rtol=1e-4, atol=1e-5)


def test_a_set_of_readers_is_reached_at_once(deep):
    """Also one that spans layers: each takes the value that it has in the frozen run."""
    tokens = random_tokens(2, 5, differ=(1, 3))
    study, oracle = PatchStudy(deep, *tokens), oracle_for(deep, tokens)
    sets = [
        {Reader("q", 2, 0), Reader("q", 2, 2)},
        {Reader("q", 2, 1), Reader("k", 2, 1), Reader("v", 2, 0), Reader("mlp", 2)},
        {Reader("v", 1, 1), Reader("mlp", 1), Reader("q", 3, 2)},
        {Reader("mlp", 1), Reader("mlp", 3)},
    ]
    found = study.exact_paths(Head(0, 1), sets)
    for number, readers in enumerate(sets):
        expected = oracle.raw(Writer("head", 0, 1), sorted(readers, key=str))
        assert_close(found.raw[:, number], expected, rtol=1e-4, atol=1e-5)
    alone = [study.exact_paths(Head(0, 1), reader).raw for reader in sets[1]]
    assert not torch.allclose(sum(alone), found.raw[:, 1], atol=1e-4), "not a sum"


def test_many_writers_to_one_set_of_readers(deep):
    """As in the IOI paper: a map over senders; late ones reach the late readers only."""
    tokens = random_tokens(2, 5, differ=(1, 3))
    study, oracle = PatchStudy(deep, *tokens), oracle_for(deep, tokens)
    readers = [Reader("v", 2, 0), Reader("v", 3, 1)]
    found = study.exact_paths("head", set(readers))
    assert found.axes == ("writer_layer", "writer_head")
    assert found.values.shape == (4, 3)
    for layer, head in product(range(4), range(3)):
        reached = [reader for reader in readers if reader.layer > layer]
        cell = found.raw[:, layer, head]
        if not reached:
            assert bool(cell.isnan().all())
            continue
        expected = oracle.raw(Writer("head", layer, head), reached)
        assert_close(cell, expected, rtol=1e-4, atol=1e-5)


def test_writers_patched_together(deep):
    """Direct paths only: the sum of the writers' changes arrives."""
    tokens = random_tokens(2, 5, differ=(1, 3))
    study = PatchStudy(deep, *tokens)
    together = study.exact_paths({"L0H0", "L0H1", "L0H2"}, "L2H1.q")
    with torch.no_grad():
        values = study._runs
        step = values.source.values["attn_out", 0] - values.base.values["attn_out", 0]
    oracle = oracle_for(deep, tokens)
    name = "blocks.2.hook_resid_pre"
    seen = {}

    def disturb(value, hook):
        return value + step

    with torch.no_grad():
        oracle._run([(name, disturb), oracle._record("blocks.2.attn.hook_q", seen)])
        put = oracle._put("blocks.2.attn.hook_q", seen, [Reader("q", 2, 1)])
        logits = oracle._run([put])
    right, wrong = logits[:, -1].gather(1, tokens[2]).unbind(1)
    assert_close(together.raw, right - wrong - oracle.base_metric, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(TL_MAJOR < 4, reason="TransformerLens 2 has no such function")
@pytest.mark.parametrize("part", ["q", "k", "v"])
def test_equals_their_direct_paths(deep, part):
    from transformer_lens.patching import get_act_patch_direct_path

    clean, corrupted, answers = random_tokens(3, 6, differ=(1, 3))
    study = PatchStudy(deep, clean, corrupted, answers)

    def metric(logits):
        right, wrong = logits[:, -1].gather(1, answers).unbind(1)
        return (right - wrong).mean()

    with torch.no_grad():
        caches = [deep.run_with_cache(tokens)[1] for tokens in (clean, corrupted)]
    grid = study.exact_paths("head", part)
    assert grid.values.shape == (4, 3, 4, 3)
    for layer, head in product(range(4), range(3)):
        theirs = get_act_patch_direct_path(
            deep, corrupted, *caches, metric, layer, head, part, verbose=False
        )
        ours = grid.raw[:, layer, head].mean(0) + study._runs.scale.base.mean()
        assert_close(ours[layer + 1 :], theirs[layer + 1 :])
        assert bool(ours[: layer + 1].isnan().all()), "theirs has zeros there"
        if layer < 3:
            alone = study.exact_paths(Head(layer, head), part)
            assert alone.axes == ("layer", "head")
            assert_close(alone.raw, grid.raw[:, layer, head], equal_nan=True)
