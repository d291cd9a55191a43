"""The second-order term: exact for a quadratic, and honest about the first."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from estimate_oracles import exact_effects, in_double, linear_at_the_end, on_engine
from precise import CUTS, at, counted
from torch.testing import assert_close
from toy_models import STYLES, random_model, random_tokens

from patchwidget import Node, PatchStudy
from patchwidget.estimate import atp, copies, hvp, ig
from patchwidget.grids import Cost


def squared(logits):
    """Quadratic in the logits at the answer's position, and mixing them."""
    final = logits[:, -1]
    return (final[:, 3] - final[:, 7]) ** 2 + final[:, 5] * final[:, 11]


LINEAR_AFTER = [
    *((kind, None) for kind in ("resid_post", "attn_out", "z", "v", "pattern")),
    *(("z", "pos"), ("v", "pos"), ("pattern", "dest_src")),
]


@pytest.mark.parametrize(("kind", "by"), LINEAR_AFTER)
def test_it_is_exact_where_the_metric_is_quadratic_in_the_node(directed, kind, by):
    quadratic = replace(
        linear_at_the_end(in_double(directed._runs)), metric_likes={"squared": squared}
    )
    nodes = [node for node in quadratic.extent.nodes(kind, by) if node.layer == 1]
    found = hvp(quadratic, atp(quadratic, kind, by), nodes)
    largest = 0.0
    for node, effect in exact_effects(quadratic, nodes).items():
        assert_close(found[node].raw, effect)
        largest = max(largest, float(found[node].second.abs().max()))
    assert largest > 1e-5, "there was something to correct"


@pytest.mark.parametrize(("kind", "by"), LINEAR_AFTER)
def test_a_linear_metric_has_no_second_order(directed, kind, by):
    linear = linear_at_the_end(in_double(directed._runs))
    nodes = [node for node in linear.extent.nodes(kind, by) if node.layer == 1]
    found = hvp(linear, atp(linear, kind, by), nodes)
    for curvature in found.values():
        assert not curvature.second.any()
        assert not curvature.ratio.any()


def test_the_remainder_is_of_third_order(runs):
    """With a source ever nearer to the base, what is left falls as the cube."""
    for kind in ("resid_pre", "z", "q", "k", "mlp_out"):
        node = next(n for n in runs.extent.nodes(kind) if n.pos in (None, 3))
        left = []
        for way in (0.02, 0.01):
            near = _nearer(runs, way)
            curvature = hvp(near, atp(near, kind), [node])[node]
            effect = exact_effects(near, [node])[node]
            left.append((effect - curvature.raw).abs().max())
        assert 6.5 < left[0] / left[1] < 9.5, kind


def _nearer(runs, way):
    base, source = runs.base.values, runs.source.values
    values = {place: base[place].lerp(source[place], way) for place in base}
    other = "clean" if runs.direction == "denoising" else "corrupted"
    source = replace(runs.source, values=values)
    return replace(runs, **{other: source})


def test_the_ratio_is_second_over_first(runs):
    nodes = list(runs.extent.nodes("resid_pre"))
    for node, curvature in hvp(runs, atp(runs, "resid_pre"), nodes).items():
        if node.layer == 0 and node.pos not in (1, 3):
            # The tokens are the same here: nothing is changed.
            assert torch.equal(curvature.ratio, torch.zeros(2, dtype=torch.float64))
            assert curvature.cost == Cost(0, 0)
            assert not curvature.second.any()
        elif node.pos in (1, 3):
            expected = (2 * curvature.second).abs() / (2 * curvature.first.abs())
            assert_close(curvature.ratio, expected)
            assert_close(curvature.raw, curvature.first + curvature.second)
            expected = float(curvature.raw.mean() / runs.scale.value)
            assert curvature.value == pytest.approx(expected)


def test_a_node_without_a_first_order_has_an_infinite_ratio(runs):
    grid = atp(runs, "z")
    none = replace(grid, raw=torch.zeros_like(grid.raw))
    node = Node("z", 0, head=1)
    assert torch.isinf(hvp(runs, none, [node])[node].ratio).all()


def test_a_scalar_metric_moves_all_pairs_together(directed):
    """One number of all pairs, not a mean of one each: the pairs' Hessian has corners."""

    def product(logits):
        return squared(logits).mean() * (logits[:, -1, 2].mean() + 3)

    runs = replace(in_double(directed._runs), metric_likes={"product": product})
    node = Node("z", 0, head=1)
    curvature = hvp(runs, atp(runs, "z"), [node])[node]
    assert curvature.second.shape == (1,)
    place = "z", 0
    step = runs.source.values[place] - runs.base.values[place]

    def along(length):
        def tap(site, layer, value):
            if (site, layer) != place:
                return value
            moved = value.clone()
            moved[:, :, 1] += length * step[:, :, 1]
            return moved

        return product(runs.engine.run(runs.base_tokens, tap).logits())

    h = 1e-3
    second = (along(h) - 2 * along(0) + along(-h)) / h**2 / 2
    assert_close(curvature.second[0], second, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("kind", "by"), CUTS)
def test_batches_do_not_mix(runs, kind, by, monkeypatch):
    nodes = list(runs.extent.nodes(kind, by))[::3][:25]
    grid = atp(runs, kind, by)
    whole = hvp(runs, grid, nodes)
    monkeypatch.setattr(copies, "ROWS", 2 * 10)
    parts = hvp(runs, grid, nodes[::-1])
    assert list(whole) == nodes
    assert list(parts) == nodes[::-1]
    for node in nodes:
        assert_close(parts[node].second, whole[node].second)


def test_a_node_asked_for_twice_is_there_once(runs):
    node = Node("z", 1, head=0)
    assert list(hvp(runs, atp(runs, "z"), [node, node])) == [node]
    assert hvp(runs, atp(runs, "z"), []) == {}


def test_the_cost_is_what_was_run(runs):
    engine, rows = counted(runs.engine)
    fresh = on_engine(runs, engine)
    grid = atp(fresh, "z")
    rows.clear()
    nodes = list(fresh.extent.nodes("z"))
    found = hvp(fresh, grid, nodes)
    # Of two pairs through two layers.
    assert sum(one.cost.forwards for one in found.values()) == sum(rows) / (2 * 2)
    assert all(one.cost.backwards == 4 * one.cost.forwards for one in found.values())


def test_nothing_of_it_needs_grad_afterwards(runs):
    node = Node("z", 0, head=1)
    curvature = hvp(runs, atp(runs, "z"), [node])[node]
    assert not curvature.second.requires_grad
    assert not curvature.ratio.requires_grad


def test_one_of_everything():
    model = random_model(STYLES[0], n_layers=1, n_heads=1)
    study = PatchStudy(model, *random_tokens(1, 1, differ=(0,)))
    for kind, by in CUTS:
        nodes = list(study.extent.nodes(kind, by))[:5]
        for one in hvp(study._runs, study.estimate(kind, by=by), nodes).values():
            assert one.raw.isfinite().all()
            assert not one.ratio.isnan().any()


def test_a_grid_of_something_else_is_refused(runs):
    node = Node("z", 0, head=1)
    with pytest.raises(ValueError, match="this grid is of 'ig'"):
        hvp(runs, ig(runs, "z"), [node])
    with pytest.raises(ValueError, match="the grid is of other runs: it has"):
        hvp(runs.reversed(), atp(runs, "z"), [node])
    with pytest.raises(ValueError, match=r"L0H1.q is not in a grid of z by"):
        hvp(runs, atp(runs, "z"), [Node("q", 0, head=1)])
    with pytest.raises(ValueError, match=r"L0H1.z@2 is not in a grid of z by"):
        hvp(runs, atp(runs, "z"), [Node("z", 0, head=1, pos=2)])
    with pytest.raises(IndexError, match="there is no head 9, only 0 to 2"):
        hvp(runs, atp(runs, "z"), [Node("z", 0, head=9)])


def test_through_hooks_there_is_only_atp():
    model = random_model(STYLES[0])
    handle = model.blocks[0].register_forward_hook(lambda *_: None)
    hooked = PatchStudy(model, *random_tokens(2, 5))
    with pytest.raises(ValueError, match="hvp needs the decoder"):
        hvp(hooked._runs, hooked.estimate("z"), [Node("z", 0, head=1)])
    handle.remove()


def test_a_study_gives_it_for_nodes_of_any_kinds(model, tokens):
    study = PatchStudy(
        model, *tokens, metric={"diff": "logit_diff", "right": "logprob"}
    )
    mixed = ["L1H0.q@3", Node("mlp_out", 0, pos=2), "L0H1.z", "L1H1.q@3", "L0H1.z"]
    for metric in (None, "right"):
        found = study.hvp(mixed, metric=metric)
        assert [str(node) for node in found] == [
            "L1H0.q@3",
            "L0.mlp_out@2",
            "L0H1.z",
            "L1H1.q@3",
        ]
        runs = study._runs.reading(metric or "diff")
        for node, curvature in found.items():
            grid = study.estimate(node.kind, by=node.by, metric=metric)
            alone = hvp(runs, grid, [node])[node]
            assert_close(curvature.raw, alone.raw)
            assert_close(curvature.first, at(grid, node))
            assert curvature.cost == alone.cost
    assert study.hvp([]) == {}
    assert set(study.hvp("L0H1.z")) == {Node("z", 0, head=1)}


def test_what_a_study_cannot_be_asked(model, tokens):
    study = PatchStudy(model, *tokens)
    with pytest.raises(IndexError, match="layer 7"):
        study.hvp("L7H0.z")
    with pytest.raises(ValueError, match="no metric 'kl': choose one of logit_diff"):
        study.hvp("L0H0.z", metric="kl")
    with pytest.raises(TypeError, match="5 is not a node"):
        study.hvp(5)
