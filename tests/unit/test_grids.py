"""Grids: effects per pair, what is not known, and ways to read one."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from through_hooks import by_hooks
from torch import tensor
from torch.testing import assert_close
from toy_models import TL_MAJOR

from patchwidget import Grid, Head, Node, PatchStudy
from patchwidget.grids import Scale
from patchwidget.nodes import KINDS

# The old environment has neither package; the new one must have both.
needs = {
    name: pytest.mark.skipif(
        TL_MAJOR < 4 and importlib.util.find_spec(name) is None,
        reason=f"{name} is not part of the TransformerLens 2 environment",
    )
    for name in ("pandas", "matplotlib")
}
CUTS = [(kind, None) for kind in KINDS] + [
    ("z", "pos"),
    ("k", "pos"),
    ("pattern", "dest"),
    ("pattern", "dest_src"),
]


@pytest.fixture
def grid():
    """Two pairs, 2 layers, 3 heads; the scale is 2 - (-2) = 4 on average."""
    raw = tensor([[[1.0, -6.0, 0.5], [0.0, 2.0, 3.0]], [[3.0, -2.0, 0.5], [0, -2, 5]]])
    scale = Scale(base=tensor([-1.0, -3.0]), source=tensor([3.0, 1.0]))
    return Grid("z", raw, scale=scale, method="atp", metric="logit_diff")


def test_values_are_means_of_per_pair_effects(grid):
    assert grid.axes == ("layer", "head")
    assert_close(grid.per_pair, grid.raw / 4)
    assert_close(grid.values, tensor([[0.5, -1.0, 0.125], [0.0, 0.0, 1.0]]))


def test_a_mean_of_effects_is_a_ratio_of_means():
    """Pairs of very different size: never a mean of ratios."""
    raw = tensor([[[1.0]], [[30.0]]])
    scale = Scale(base=tensor([0.0, 0.0]), source=tensor([2.0, 60.0]))
    assert float(Grid("z", raw, scale=scale).values) == pytest.approx(31 / 62)
    uneven = Grid("z", tensor([[[2.0]], [[30.0]]]), scale=scale)
    assert float(uneven.values) == pytest.approx(32 / 62)
    assert_close(uneven.per_pair.flatten(), tensor([2 / 31, 30 / 31]))


@pytest.mark.parametrize("direction", ["denoising", "noising"])
def test_a_study_scales_by_source_minus_base(model, tokens, direction):
    study = PatchStudy(model, *tokens, direction=direction)
    clean, corrupted = study.baselines
    sign = 1 if direction == "denoising" else -1
    expected = sign * float((clean - corrupted).mean())
    assert study.scale == pytest.approx(expected, rel=1e-5)
    for grid in (study.estimate("z"), study.exact("z")):
        assert grid.direction == direction
        assert grid.metric == "logit_diff"
        assert_close(grid.values, grid.raw.mean(0) / study.scale)


def test_top_is_by_size_and_stable(grid):
    names = [(str(node), value) for node, value in grid.top(3)]
    assert names == [("L0H1.z", -1.0), ("L1H2.z", 1.0), ("L0H0.z", 0.5)]
    assert len(grid.top(100)) == 6
    assert grid.top(0) == grid.top(-1) == []


def test_top_leaves_out_what_is_not_known(grid):
    raw = grid.raw.clone()
    raw[:, 0, 1] = torch.nan
    holed = Grid("z", raw, scale=grid.scale)
    found = holed.top(100)
    assert len(found) == 5
    assert Head(0, 1) not in dict(found)
    assert found[0][0] == Head(1, 2)


def test_top_reads_the_axes_of_its_kind():
    values = torch.zeros(2, 3, 5, 7)
    values[1, 2, 4, 6] = 3
    ((node, value),) = Grid.from_tensor("pattern", values, by="dest_src").top(1)
    assert (str(node), value) == ("L1H2.pattern@4,6", 3.0)
    values = torch.zeros(2, 5, 3)
    values[1, 4, 2] = -3
    ((node, value),) = Grid.from_tensor("q", values, by="pos").top(1)
    assert (str(node), value) == ("L1H2.q@4", -3.0)


def test_sel(grid):
    assert_close(grid.sel(layer=1), grid.values[1])
    assert_close(grid.sel(head=1), grid.values[:, 1])
    assert float(grid.sel(layer=0, head=1)) == -1.0
    assert_close(grid.sel(), grid.values)
    with pytest.raises(KeyError, match=r"no axis \['pos'\].*'layer', 'head'"):
        grid.sel(pos=3)
    with pytest.raises(IndexError):
        grid.sel(layer=2)


def test_a_node_reads_its_cell(grid):
    assert grid[Head(0, 1)] == -1.0
    for node in (Head(0, 1, "q"), Head(0, 1, pos=0)):
        with pytest.raises(KeyError, match="is not in a grid of z"):
            grid[node]


def test_every_node_once_in_the_order_of_the_cells():
    grid = Grid.from_tensor("neuron", torch.arange(30.0).reshape(2, 3, 5))
    nodes = list(grid.nodes())
    assert [grid[node] for node in nodes] == list(range(30))
    assert nodes[-1] == Node("neuron", 1, pos=2, neuron=4)


def test_from_tensor_takes_effects():
    effects = torch.rand(2, 3)
    mine = Grid.from_tensor("attn.hook_z", effects)
    assert (mine.kind, mine.method, mine.scale) == ("z", "yours", None)
    assert_close(mine.values, effects)
    assert Grid.from_tensor("pattern", torch.rand(2, 3, 5), by="pos").by == "dest"


@pytest.mark.parametrize(
    ("kind", "shape", "by", "message"),
    [
        ("z", (2,), None, r"\('layer', 'head'\), got shape \[2\]: is another"),
        ("z", (2, 3), "pos", r"\('layer', 'pos', 'head'\), got shape \[2, 3\]"),
        ("z", (2, 5, 3), None, "is another `by` meant"),
        ("resid_pre", (3, 2, 3), None, r"\('layer', 'pos'\)"),
        ("zz", (2, 3), None, "unknown kind 'zz'"),
        ("z", (2, 3), "dest", "z cannot be had by 'dest'"),
    ],
)
def test_tensors_that_are_no_grid(kind, shape, by, message):
    with pytest.raises(ValueError, match=message):
        Grid.from_tensor(kind, torch.rand(shape), by=by)


@needs["pandas"]
def test_to_dataframe():
    grid = Grid.from_tensor("q", torch.rand(2, 5, 3), by="pos")
    frame = grid.to_dataframe()
    assert list(frame.columns) == ["layer", "pos", "head", "node", "effect"]
    assert len(frame) == 30
    for row in frame.itertuples():
        node = Node("q", row.layer, head=row.head, pos=row.pos)
        assert row.node == str(node)
        assert row.effect == grid[node]


@needs["matplotlib"]
def test_plot(grid, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    import matplotlib.pyplot as plt

    axes = grid.plot()
    (image,) = axes.images
    assert_close(tensor(image.get_array().data), grid.values)
    assert image.get_clim() == (-1.0, 1.0), "centred at 0"
    assert axes.get_title() == "z, atp (denoising)"
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("Layer", "Head")
    own = plt.subplots()[1]
    assert grid.plot(own) is own
    plt.close("all")


@needs["matplotlib"]
def test_plot_of_unknown_and_of_zero(study, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    import matplotlib.pyplot as plt

    for grid in (study.known("z"), Grid.from_tensor("z", torch.zeros(2, 3))):
        (image,) = grid.plot().images
        assert image.get_clim() == (-1.0, 1.0)
    plt.close("all")


def test_only_two_axes_make_a_picture():
    grid = Grid.from_tensor("q", torch.rand(2, 5, 3), by="pos")
    with pytest.raises(ValueError, match=r"two axes, this grid has .*'pos'"):
        grid.plot()


def test_grids_and_effects_compare_as_objects(study):
    node = Head(0, 0)
    assert study.known("z") != study.known("z")
    assert study.estimate("z") == study.estimate("z")  # one object: it is kept
    effects = study.exact([node])
    assert dict(effects) == dict(study.exact([node])), "the same known effect"


@pytest.mark.parametrize(
    ("base", "source", "differ"),
    [
        ([1.0, 2.0], [1.0, 2.0], False),
        ([1.0, 2.0], [2.0, 1.0], False),  # on average the same
        ([1000.0], [1000.0001], False),  # less than float32 resolves
        ([1.0, 2.0], [1.0, 2.001], True),
        ([0.0], [1e-30], True),  # small, but not beside its own size
    ],
)
def test_the_scale_is_none_where_rounding_hides_it(base, source, differ):
    scale = Scale(tensor(base), tensor(source))
    assert (scale.value is not None) == differ


@pytest.fixture(scope="module", params=["decoder", "hooks"])
def identical(request, model, tokens):
    """A study of identical prompts, by either engine."""
    clean, _, answers = tokens
    make = by_hooks if request.param == "hooks" else PatchStudy
    return make(model, clean, clean, answers)


def test_identical_prompts_have_no_effects(identical):
    assert identical.scale is None
    assert "logit_diff: clean" in repr(identical)
    message = "clean and corrupted prompts give the same metric.*read .raw"
    for grid in (identical.estimate("z"), identical.exact("z")):
        for read in (lambda g=grid: g.values, lambda g=grid: g.per_pair, grid.top):
            with pytest.raises(ValueError, match=message):
                read()
    (effect,) = identical.exact([Head(0, 1)]).values()
    for read in (lambda: effect.value, lambda: float(effect), lambda: effect.per_pair):
        with pytest.raises(ValueError, match=message):
            read()
    assert repr(effect) == "L0H1.z: raw +0"


@pytest.mark.parametrize(("kind", "by"), CUTS)
def test_identical_prompts_change_exactly_nothing(identical, kind, by):
    for study in (identical, identical.reversed()):
        estimate = study.estimate(kind, by=by).raw
        assert torch.equal(estimate, torch.zeros_like(estimate))
        nodes = [
            next(study.extent.nodes(kind, by)),
            [*study.extent.nodes(kind, by)][-1],
        ]
        for effect in study.exact(nodes).values():
            assert torch.equal(effect.raw, torch.zeros(3))
            rise, fall = effect.halves
            assert torch.equal(rise, torch.zeros(3))
            assert torch.equal(fall, torch.zeros(3))


def test_positions_before_the_first_difference_change_nothing(study):
    """Prompts differ from position 2 on: what lies before is the same in both runs."""
    for kind in ("resid_pre", "mlp_out"):
        raw = study.exact(kind).raw
        assert torch.equal(raw[:, :, :2], torch.zeros(3, 2, 2))
        assert float(raw[:, 0, 2].abs().max()) > 0


@pytest.mark.parametrize("direction", ["denoising", "noising"])
def test_halves_add_up_and_are_read_from_the_patched_run(model, tokens, direction):
    clean, corrupted, answers = tokens
    study = PatchStudy(model, clean, corrupted, answers, direction=direction)
    base, source = (corrupted, clean)[:: 1 if direction == "denoising" else -1]
    with torch.no_grad():
        before, after = (model(run)[:, -1].gather(1, answers) for run in (base, source))
    # The end of the stream from the source makes the run the source run.
    (effect,) = study.exact(["L1.resid_post@6"]).values()
    rise, fall = effect.halves
    assert_close(rise, after[:, 0] - before[:, 0])
    assert_close(fall, before[:, 1] - after[:, 1])
    for node in (Head(0, 1, "q"), Head(1, 2), Head(1, 0, "pattern")):
        effect = study.exact([node])[node]
        assert_close(sum(effect.halves), effect.raw)


def test_known_is_a_number_only_where_exact_is_known(study):
    before = study.known("z")
    assert torch.isnan(before.raw).all()
    assert before.raw.shape == (3, 2, 3)
    assert before.top(3) == []
    effects = study.exact([Head(1, 2), Head(0, 0, pos=3), Head(0, 1, "q")])
    known = study.known("z")
    assert_close(known.raw[:, 1, 2], effects[Head(1, 2)].raw)
    assert int(torch.isnan(known.raw).sum()) == 3 * 5
    assert known[Head(1, 2)] == pytest.approx(effects[Head(1, 2)].value)
    by_position = study.known("z", by="pos")
    assert_close(by_position.raw[:, 0, 3, 0], effects[Head(0, 0, pos=3)].raw)
    assert int((~torch.isnan(by_position.raw)).sum()) == 3
    assert known.method == "exact"


def test_a_grid_tells_what_it_is_and_not_its_numbers():
    effects = torch.tensor([[0.1, -0.7], [0.4, float("nan")]])
    assert repr(Grid.from_tensor("z", effects)) == (
        "yours z [layer 2, head 2], 3 of 4 known (denoising, metric)\n"
        "L0H1.z: -0.7000\nL1H0.z: +0.4000\nL0H0.z: +0.1000"
    )
    same = Scale(base=torch.ones(1), source=torch.ones(1))
    raw = Grid("mlp_out", effects[None], scale=same, window=3, metric="prob")
    assert repr(raw).startswith(
        "exact mlp_out of 3 layers [layer 2, pos 2], 3 of 4 known "
        "(denoising, prob, not normalised)\nL0.mlp_out@1: -0.7000"
    )
    unknown = Grid.from_tensor("z", torch.full((2, 2), float("nan")))
    assert (
        repr(unknown) == "yours z [layer 2, head 2], 0 of 4 known (denoising, metric)"
    )
