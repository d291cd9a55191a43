"""Circuits of paths against hooks on the model itself, in the families in use."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from family_models import FAMILIES, family_model
from torch.testing import assert_close
from toy_models import STYLES, random_model, random_tokens
from wired_model import WiredModel

from patchwidget import PatchStudy, Writer, sources
from patchwidget.paths import Path
from patchwidget.paths.path import obstacle
from patchwidget.paths.writes import all_readers, all_writers

# Differences of logits between two runs, each rounded.
CLOSE = {"rtol": 1e-4, "atol": 2e-5}


def is_parallel(study):
    return study._runs.engine.weights.layers[0].parallel


def every_path(study, by=None):
    extent, parallel = study.extent, is_parallel(study)
    places = [None] if by is None else range(extent.n_pos)
    return [
        Path((Writer(writer.part, writer.layer, writer.head, pos),), (reader,))
        for writer, reader in product(all_writers(extent), all_readers(extent))
        if obstacle(writer, reader, parallel=parallel) is None
        for pos in places
    ]


def n_paths_of(extent, *, parallel):
    """How many paths there are from a writer to a reader."""
    heads, layers, n_mlp = extent.n_heads, extent.n_layers, int(extent.d_mlp > 0)
    parts = heads + 2 * extent.n_kv_heads
    # Each layer's readers read all that is written before it; its MLP its heads too.
    before = [1 + layer * (heads + n_mlp) for layer in range(layers)]
    own = 0 if parallel else heads
    in_layers = sum(parts * n + n_mlp * (n + own) for n in before)
    return in_layers + 1 + layers * (heads + n_mlp)


def drawn(study, share, by=None, seed=0):
    """A random circuit, which the embedding and the end are part of."""
    paths = every_path(study, by)
    order = torch.randperm(
        len(paths), generator=torch.Generator().manual_seed(seed)
    ).tolist()
    some = [paths[place] for place in order[: int(share * len(paths))]]
    ends = [path for path in paths if "embed" in str(path) or "final" in str(path)]
    return list(dict.fromkeys([*some, *ends[::2]]))


def assert_story_is_right(study, oracle, circuit, by=None):
    """Faithfulness, minimality, completeness; each circuit read by read."""

    def ends(paths):
        return [(path.writers[0], path.readers[0]) for path in paths]

    found = study.whole_story(circuit, subsets=1)
    paths, whole = every_path(study, by), oracle.metric(ends(every_path(study, by)))
    n_paths = n_paths_of(study.extent, parallel=is_parallel(study))
    assert found.n_parts == len(paths) == n_paths * (1 if by is None else 5)
    nothing = oracle.metric([])
    assert_close(found.all.raw, nothing - whole, **CLOSE)
    gap = float((whole - nothing).mean())

    def assert_is(per_pair, kept):
        # In the metric's units: shares are of a difference that may be small.
        expected = oracle.metric(ends(kept)) - nothing
        assert_close(per_pair * gap, expected, **CLOSE)

    assert_is(found.per_pair, circuit)
    for member in circuit[:3]:
        less = [path for path in circuit if path != member]
        assert_is(found.per_pair - found.drop(member), less)
    for one in found.subsets:
        assert_is(one.circuit, [path for path in circuit if path not in one.removed])
        assert_is(one.model, [path for path in paths if path not in one.removed])
    assert float((found.per_pair * gap).abs().max()) > 1e-3
    assert found.faithfulness == pytest.approx(float(found.per_pair.mean()))


@pytest.mark.parametrize("by", [None, pytest.param("pos", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "style",
    [STYLES[0], *(pytest.param(s, marks=pytest.mark.long) for s in STYLES[1:])],
)
def test_a_circuit_equals_hooks_on_the_model(style, by):
    model = random_model(style, n_layers=2, n_heads=2)
    clean, corrupted, answers = random_tokens(3, 5, differ=(1, 3))
    study = PatchStudy(model, clean, corrupted, answers)
    oracle = WiredModel(model, clean, corrupted, answers, parallel=False)
    for share in (0.2, 0.8):
        assert_story_is_right(study, oracle, drawn(study, share, by), by)


def test_a_mean_is_a_stream_of_mean_writes():
    model = random_model(STYLES[0], n_layers=2, n_heads=2)
    clean, _, answers = random_tokens(2, 5)
    others = random_tokens(5, 5, seed=1)[0]
    study = PatchStudy(model, clean, answers=answers, source=sources.Mean(others))
    oracle = WiredModel(model, clean, others, answers, parallel=False, ablation="mean")
    assert_story_is_right(study, oracle, drawn(study, 0.4))


@pytest.mark.parametrize("by", [None, pytest.param("pos", marks=pytest.mark.long)])
def test_zero_is_a_run_in_which_nobody_writes(by):
    model = random_model(STYLES[0], n_layers=2, n_heads=2)
    clean, _, answers = random_tokens(2, 5)
    study = PatchStudy(model, clean, answers=answers, source=sources.Zero())
    oracle = WiredModel(model, clean, clean, answers, parallel=False, ablation="zero")
    assert_story_is_right(study, oracle, drawn(study, 0.4, by), by)


def test_a_resample_is_the_run_of_the_prompts_that_were_drawn():
    model = random_model(STYLES[0], n_layers=2, n_heads=2)
    clean, _, answers = random_tokens(3, 5)
    others = random_tokens(4, 5, seed=1)[0]
    source = sources.Resample(others, seed=2)
    study = PatchStudy(model, clean, answers=answers, source=source)
    generator = torch.Generator().manual_seed(2)
    rows = torch.randint(4, (3,), generator=generator)
    assert len(set(rows.tolist())) > 1
    oracle = WiredModel(model, clean, others[rows], answers, parallel=False)
    assert_story_is_right(study, oracle, drawn(study, 0.4))


SHORT = ("llama",)


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(name, marks=() if name in SHORT else pytest.mark.long)
        for name in FAMILIES
    ],
)
def test_circuits_in_families(family):
    """Parallel blocks, rotation, grouped heads, RMSNorm among them."""
    model = family_model(family)
    clean, corrupted, answers = random_tokens(2, 5, differ=(1, 3))
    study = PatchStudy(model, clean, corrupted, answers)
    assert study.notice is None, "the decoder does the work"
    if study._runs.engine.weights.layers[0].ln1_post is not None:
        with pytest.raises(ValueError, match=r"no path starts at this head.*post-norm"):
            study.whole_story(["embed -> final"])
        return
    parallel = is_parallel(study)
    oracle = WiredModel(model, clean, corrupted, answers, parallel=parallel)
    assert_story_is_right(study, oracle, drawn(study, 0.5))
