"""Path attribution in the families in use, against small changes of the true path."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product

import pytest
import torch
from estimate_oracles import in_double
from family_models import DIRECTIONS, FAMILY_CASES, family_model
from path_oracles import edited_run, write_of
from precise import some
from torch.testing import assert_close
from toy_models import STYLES, random_model, random_tokens

from patchwidget import PatchStudy, Reader, Writer
from patchwidget.decoder import Decoder
from patchwidget.estimate import atp as node_atp
from patchwidget.estimate import ig as node_ig
from patchwidget.paths import METHODS
from patchwidget.paths.writes import all_writers
from patchwidget.runs import capture

DEEP = [f"three layers, {style}" for style in STYLES]


@pytest.fixture(scope="module", params=[*FAMILY_CASES, *DEEP])
def model(request):
    if request.param in DEEP:
        return random_model(request.param.split(", ")[1], n_layers=3, n_heads=2)
    return family_model(request.param)


def test_heads_behind_a_post_norm_are_refused(model):
    study = PatchStudy(model, *random_tokens(2, 5, differ=(1, 3)))
    if study._runs.engine.weights.layers[0].ln1_post is None:
        assert study.paths().raw.shape[1] == len(all_writers(study.extent))
        return
    for ask in (study.paths, lambda: study.exact_paths("L0H1", "q")):
        with pytest.raises(ValueError, match=r"no path starts at this head.*post-norm"):
            ask()
    assert study.exact_paths("L0.mlp", "final").raw.isfinite().all()


def test_a_query_head_is_no_reader_of_keys_where_heads_are_grouped(model):
    study = PatchStudy(model, *random_tokens(2, 5, differ=(1, 3)))
    extent = study.extent
    if extent.n_kv_heads == extent.n_heads:
        return
    last = extent.n_heads - 1
    with pytest.raises(IndexError, match=f"head {last} is served by KV head 1"):
        study.exact_paths("embed", Reader("v", 1, last))
    assert study.exact_paths("embed", "v").values.shape == (2, extent.n_kv_heads)
    assert study.exact_paths("embed", "q").values.shape == (2, extent.n_heads)


@pytest.fixture(scope="module", params=DIRECTIONS)
def runs(request, model):
    tokens = random_tokens(2, 5, differ=(1, 3))
    study = PatchStudy(model, *tokens, metric="logprob", direction=request.param)
    assert study.notice is None, "the decoder does the work"
    if study._runs.engine.weights.layers[0].ln1_post is not None:
        pytest.skip("post-norms: heads write nothing of their own")
    return in_double(study._runs)


def cells(grid, at_most):
    """Some paths with their places; every pair of parts among them."""
    pairs = product(enumerate(grid.writers.entries), enumerate(grid.readers.entries))
    there = [
        (writer, reader, (w, r))
        for (w, (writer,)), (r, (reader,)) in pairs
        if not bool(grid.raw[:, w, r].isnan().any())
    ]
    kinds = {(one[0].part, one[1].part): one for one in there}
    return [*kinds.values(), *some(there, at_most)]


def limit(runs, change, reader, run=None, step=1e-5):
    """Central difference of the true path effect, a float64 run with each small step."""
    ahead, behind = (edited_run(runs, s * change, reader, run) for s in (step, -step))
    return (ahead - behind) / (2 * step)


def test_attribution_is_the_limit_of_small_changes(runs):
    grid = METHODS["atp"](runs)
    assert grid.raw.dtype == torch.float64
    with torch.no_grad():
        for writer, reader, (w, r) in cells(grid, 30):
            expected = limit(runs, write_of(runs, writer), reader)
            assert_close(grid.raw[:, w, r], expected, rtol=1e-6, atol=1e-9)


def test_by_position_is_the_limit_of_a_change_there(runs):
    grid = METHODS["atp"](runs, "pos")
    assert grid.axes == ("writer", "reader", "pos")
    with torch.no_grad():
        for writer, reader, (w, r) in cells(METHODS["atp"](runs), 6):
            for pos in (1, 3):
                change = torch.zeros_like(write_of(runs, writer))
                change[:, pos] = write_of(runs, writer)[:, pos]
                expected = limit(runs, change, reader)
                assert_close(grid.raw[:, w, r, pos], expected, rtol=1e-6, atol=1e-9)


def test_integrated_gradients_are_limits_on_the_way(runs):
    """Two points, at a quarter and three quarters of the way between the embeddings."""
    grid = METHODS["ig"](runs, steps=2)
    start, end = (run.values["resid_pre", 0] for run in (runs.base, runs.source))

    with torch.no_grad():
        for writer, reader, (w, r) in cells(grid, 8):
            change = write_of(runs, writer)
            expected = sum(
                limit(runs, change, reader, embedded(runs, start + way * (end - start)))
                for way in (0.25, 0.75)
            )
            assert_close(grid.raw[:, w, r], expected / 2, rtol=1e-6, atol=1e-9)


def embedded(runs, point):
    """What runs the engine from an embedding instead of tokens."""
    return lambda tap: runs.engine.resume(point, 0, "resid_pre", tap)


@dataclass(frozen=True)
class Halfway(Decoder):
    """Starts from the middle between two embeddings, whatever the tokens are."""

    embedding: torch.Tensor = field(kw_only=True)

    def running(self, tokens, tap):
        return self.resuming(self.embedding, 0, "resid_pre", tap)


def half_way(runs):
    """Runs whose base lies in the middle, and whose changes are those of the whole way."""
    start, end = (run.values["resid_pre", 0] for run in (runs.base, runs.source))
    engine = Halfway(runs.engine.weights, embedding=(start + end) / 2)
    base = capture(engine, runs.base_tokens)
    values = {
        place: value + runs.source.values[place] - runs.base.values[place]
        for place, value in base.values.items()
    }
    source = replace(runs.source, values=values)
    noising = runs.direction == "noising"
    clean, corrupted = (base, source) if noising else (source, base)
    return replace(runs, engine=engine, clean=clean, corrupted=corrupted)


def test_integrated_gradients_of_one_step_are_first_order_half_way(runs):
    """Of paths and of nodes; and so they are not those of the base run."""
    middle = half_way(runs)
    whole, plain = METHODS["ig"](runs, steps=1).raw, METHODS["atp"](runs).raw
    close = partial(assert_close, rtol=1e-9, atol=1e-12)
    close(whole, METHODS["atp"](middle).raw, equal_nan=True)
    assert float((whole - plain).nan_to_num().abs().max()) > 1e-3
    for kind in ("resid_post", "z", "q", "k", "pattern", "mlp_out"):
        if (kind, 0) not in runs.base.values:
            continue
        close(
            node_ig(runs, kind, path="input", steps=1).raw, node_atp(middle, kind).raw
        )


@pytest.mark.parametrize("method", METHODS)
def test_the_paths_of_a_writer_add_up_to_its_estimate_as_a_node(runs, method):
    grid = METHODS[method](runs)
    node = {
        "atp": lambda kind: node_atp(runs, kind),
        "ig": lambda kind: node_ig(runs, kind, path="input"),
    }[method]
    sums = dict(zip(grid.writers.entries, grid.raw.nansum(2).unbind(1), strict=True))
    embed, z = node("resid_pre").raw[:, 0].sum(1), node("z").raw
    assert_close(sums[Writer("embed"),], embed, rtol=0, atol=1e-9 * scale_of(embed))
    for layer, head in product(range(z.shape[1]), range(z.shape[2])):
        found = sums[Writer("head", layer, head),]
        expected = z[:, layer, head]
        assert_close(found, expected, rtol=0, atol=1e-9 * scale_of(z))
    if runs.extent.d_mlp:
        mlp = node("mlp_out").raw.sum(2)
        for layer in range(mlp.shape[1]):
            found = sums[Writer("mlp", layer),]
            assert_close(found, mlp[:, layer], rtol=0, atol=1e-9 * scale_of(mlp))


def scale_of(values):
    return float(values.abs().max())


@pytest.mark.parametrize("method", METHODS)
def test_positions_add_up(runs, method):
    whole, cut = METHODS[method](runs).raw, METHODS[method](runs, "pos").raw
    assert_close(cut.sum(3), whole, rtol=1e-9, atol=1e-12, equal_nan=True)
    # The prompts are alike before position 1.
    assert float(cut[..., 0].nan_to_num().abs().max()) == 0


@pytest.mark.parametrize("method", METHODS)
def test_a_small_budget_gives_the_same(runs, method):
    plenty, little = (
        METHODS[method](runs, "pos").raw,
        METHODS[method](runs, "pos", budget=1).raw,
    )
    assert_close(little, plenty, rtol=1e-9, atol=1e-12, equal_nan=True)
    summed = METHODS[method](runs, budget=1).raw
    assert_close(
        summed, METHODS[method](runs).raw, rtol=1e-9, atol=1e-12, equal_nan=True
    )


@pytest.mark.parametrize("method", METHODS)
def test_identical_runs_have_exactly_no_effects(runs, method):
    same = replace(runs, clean=runs.base, corrupted=runs.base)
    raw = METHODS[method](same).raw
    known = raw[~raw.isnan()]
    assert known.numel() > 0
    assert torch.equal(known, torch.zeros_like(known))
