"""Jobs go slice by slice: none is more than about a layer of a batch, whatever happens."""

from __future__ import annotations

import weakref
from functools import cache
from itertools import pairwise, product

import pytest
import torch
from estimate_oracles import defined, gradients_with_cut, in_double, on_engine
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode
from toy_models import STYLES, random_model, random_tokens

from patchwidget import Node, PatchStudy
from patchwidget.decoder import Decoder
from patchwidget.estimate import METHODS, SLICES, atp, hvp, hvp_slices, pattern_steps
from patchwidget.estimate.ig import middles
from patchwidget.estimate.relp import Relevance
from patchwidget.nodes import KINDS
from patchwidget.paths.attribution import _Scores, atp_steps
from patchwidget.runs import computed
from patchwidget.slices import whole
from patchwidget.verify import diagnosing
from patchwidget.verify.agreement import Check

LONG = pytest.mark.long
FEW = [m if m in ("atp", "graddrop") else pytest.param(m, marks=LONG) for m in METHODS]
# A slice may take as much work as one layer's forward and backward, and half as much more.
MOST = 1.5
DEEP = 12
TOKENS = {"n_pairs": 2, "n_pos": 5, "differ": (1, 3)}


@cache
def model_of(n_layers, n_heads):
    return random_model(STYLES[0], n_layers=n_layers, n_heads=n_heads)


def study_of(n_layers=3, n_heads=2):
    """A study that nobody has asked anything; its model stays as it is."""
    return PatchStudy(model_of(n_layers, n_heads), *random_tokens(**TOKENS))


# --- one way of computing ---------------------------------------------------------------


@pytest.mark.parametrize("rules", [None, Relevance()])
@pytest.mark.parametrize("n_layers", [1, 3])
def test_going_back_by_layers_is_one_backward_bit_for_bit(n_layers, rules):
    """Also from a graph that others left, and under other rules."""
    runs = study_of(n_layers)._runs
    if rules is not None:
        runs = on_engine(runs, Decoder(runs.engine.weights, rules))
    assert (runs.base.spare is None) == (rules is not None)
    for one in (runs, runs.reversed()):
        at_once = gradients_with_cut(one, -1, ())
        assert list(whole(one.differentiating())) == list(at_once)
        for place, gradient in at_once.items():
            assert torch.equal(whole(one.differentiating())[place], gradient), place


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_at_one_place_is_that_of_one_backward(kind):
    """Integrated gradients of one step, in every layer, beside a backward in one piece."""
    runs = study_of()._runs
    grid = METHODS["ig"](runs, kind, steps=1)
    (way,) = middles(1, runs.scale.base)
    for node in runs.extent.nodes(kind):
        if node.pos not in (None, 3) or node.neuron not in (None, 2):
            continue
        place = node.kind, node.layer
        base, source = (run.values[place] for run in (runs.base, runs.source))
        moved = (base + way * (source - base)).requires_grad_(True)

        def tap(site, layer, value, place=place, moved=moved):
            return moved if (site, layer) == place else value

        readout = runs.engine.run(runs.base_tokens, tap)
        (gradient,) = torch.autograd.grad(runs.metric.values(readout).sum(), moved)
        change = ((source - base) * gradient)[node.index].reshape(2, -1).sum(1)
        assert_close(grid.raw[(slice(None), *node.cell)], change)


@pytest.mark.parametrize("kind", ["q", "k"])
@pytest.mark.parametrize("by", [None, "pos"])
def test_some_heads_at_a_time_are_all_heads(monkeypatch, kind, by):
    runs = study_of(n_heads=4)._runs
    at_once = METHODS["atp_qk"](runs, kind, by), METHODS["atp_star"](runs, kind, by)
    monkeypatch.setattr(pattern_steps, "AT_ONCE", 1)
    assert len(list(pattern_steps.pattern_steps(runs, kind, by, 0))) == 4
    again = on_engine(runs, runs.engine)
    apart = METHODS["atp_qk"](again, kind, by), METHODS["atp_star"](again, kind, by)
    for one, other in zip(at_once, apart, strict=True):
        assert_close(one.raw, other.raw, rtol=1e-6, atol=1e-8)


# --- how much is one slice --------------------------------------------------------------


@pytest.fixture(scope="module")
def deep():
    return random_model(STYLES[0], n_layers=DEEP, n_heads=3, d_head=8, d_mlp=96)


@pytest.fixture
def fresh(deep, monkeypatch):
    """A deep study that nobody has asked anything, one point of a path a batch."""
    monkeypatch.setattr("patchwidget.estimate.copies.ROWS", 1)
    return PatchStudy(deep, *random_tokens(**TOKENS))


def work_of(slices):
    """Floating-point operations of the products in each slice."""
    with FlopCounterMode(display=False) as counter:
        ends = [0, *(counter.get_total_flops() for _ in slices)]
    return [
        after - before for before, after in pairwise([*ends, counter.get_total_flops()])
    ]


def one_layer(runs):
    """Operations of a layer's forward and backward, of all pairs."""
    stream = runs.base.values["resid_pre", 0].clone().requires_grad_(True)
    with FlopCounterMode(display=False) as counter:
        steps = runs.engine.steps(stream, 0, "resid_pre")
        next(steps)
        torch.autograd.grad(next(steps).sum(), stream)
    return counter.get_total_flops()


def assert_even(slices, runs, least):
    """No slice is too large, and all of them together are at least so many layers."""
    found, unit = work_of(slices), one_layer(runs)
    assert sum(found) > least * unit
    assert max(found) <= MOST * unit


@pytest.mark.parametrize("is_traced", [True, False])
@pytest.mark.parametrize(
    "kind", [k if k in ("k", "z") else pytest.param(k, marks=LONG) for k in KINDS]
)
@pytest.mark.parametrize("method", ["atp", "atp_qk", "relp"])
def test_one_backward_goes_by_layers(fresh, method, kind, is_traced):
    if not defined(method, kind):
        pytest.skip("no rule")
    runs = fresh._runs
    if not is_traced:
        runs.drop_graphs()
    # A graph that is there needs no forward.
    least = DEEP / 3 if is_traced and method != "relp" else 0.9 * DEEP
    assert_even(computed(SLICES[method](runs, kind)), runs, least)


@pytest.mark.parametrize("cuts", ["layer", pytest.param("sublayer", marks=LONG)])
@pytest.mark.parametrize("method", [pytest.param("graddrop", marks=LONG), "atp_star"])
def test_cuts_go_by_layers(fresh, method, cuts):
    runs = fresh._runs
    slices = computed(SLICES[method](runs, "q", "pos", cuts=cuts))
    assert_even(slices, runs, DEEP * DEEP / 5)


@pytest.mark.parametrize("path", [pytest.param("activation", marks=LONG), "input"])
@pytest.mark.parametrize(
    "kind", ["q", *(pytest.param(k, marks=LONG) for k in ("resid_pre", "resid_post"))]
)
def test_paths_between_runs_go_by_layers(fresh, kind, path):
    runs = fresh._runs
    least = 2 * DEEP * 0.8 if path == "input" else 2 * DEEP * DEEP / 2 * 0.7
    slices = computed(SLICES["ig"](runs, kind, path=path, steps=2))
    assert_even(slices, runs, least)


@pytest.mark.parametrize("by", [None, "pos"])
def test_path_attribution_goes_by_layers(fresh, by):
    assert_even(atp_steps(fresh._runs, by), fresh._runs, DEEP / 3)


@LONG
@pytest.mark.parametrize("by", [None, "pos"])
def test_where_many_writers_meet_a_layer_some_positions_are_a_slice(monkeypatch, by):
    model = random_model(STYLES[0], n_layers=DEEP, n_heads=6, d_head=2, d_mlp=12)
    runs = PatchStudy(model, *random_tokens(2, 20, differ=(1, 13)))._runs
    assert_even(atp_steps(runs, by), runs, DEEP)
    grid = whole(atp_steps(runs, by))
    monkeypatch.setattr(_Scores, "_that_are_a_layer", lambda _: 20)
    assert max(work_of(atp_steps(runs, by))) > MOST * one_layer(runs)
    at_once = whole(atp_steps(runs, by))
    assert_close(grid.raw, at_once.raw, rtol=1e-4, atol=1e-6, equal_nan=True)


@LONG
@pytest.mark.parametrize("node", [Node("q", 0, head=1), Node("z", 0, head=1)], ids=str)
def test_second_orders_and_diagnoses_go_by_layers(fresh, node):
    runs = fresh._runs
    grid = atp(runs, node.kind)
    assert_even(computed(hvp_slices(runs, grid, [node])), runs, 2 * DEEP)
    again = PatchStudy(fresh.model, *random_tokens(**TOKENS))._runs
    check = Check(node, 0.1, 0.1, 0.5)
    assert_even(diagnosing(again, check), again, DEEP * DEEP / 5)


# --- whatever happens in between --------------------------------------------------------


def taken(slices):
    """How many slices there are, and what they find."""
    count = 0
    while True:
        try:
            next(slices)
        except StopIteration as end:
            return count, end.value
        count += 1


@pytest.mark.parametrize("method", METHODS)
def test_two_who_ask_in_turns_get_the_same(method):
    study, alone = study_of(), study_of()
    expected = alone.estimate("z", method).raw
    asking = [study.estimating("z", method), study.estimating("z", method)]
    found = []
    while asking:
        for one in list(asking):
            try:
                next(one)
            except StopIteration as end:
                found.append(end.value.raw)
                asking.remove(one)
            assert torch.is_grad_enabled(), "whoever has the turn has their own modes"
    assert all(torch.equal(raw, expected) for raw in found)


@pytest.mark.parametrize("method", METHODS)
def test_a_cell_that_asks_in_the_middle_gets_the_same(method):
    study, alone = study_of(), study_of()
    expected = {name: alone.estimate("v", name).raw for name in METHODS}
    slices = study.estimating("v", method)
    for _ in range(4):
        next(slices)
    for name, raw in expected.items():
        assert torch.equal(study.estimate("v", name).raw, raw), name
    study.exact([Node("z", 1, head=0)])  # which wants the memory of graphs
    assert torch.equal(whole(slices).raw, expected[method])


@pytest.fixture
def graphs(monkeypatch):
    """References to what every layer gave that was run with a graph."""
    made, block = [], Decoder._block

    def seen(*args):
        found = block(*args)
        if found.requires_grad:
            made.append(weakref.ref(found))
        return found

    monkeypatch.setattr(Decoder, "_block", seen)
    return made


@pytest.mark.parametrize("method", FEW)
def test_what_is_closed_in_the_middle_leaves_nothing_and_is_asked_again(method, graphs):
    expected = study_of().estimate("z", method).raw
    n_slices, _ = taken(study_of().estimating("z", method))
    assert n_slices > 5
    stops = {1, 3, n_slices // 2, n_slices - 1}
    for stop, is_spare in product(stops, [True, False]):
        study = study_of()
        if not is_spare:
            study._runs.drop_graphs()
        if not is_spare or method in ("relp", "ig"):  # which have graphs of their own
            graphs.clear()
        slices = study.estimating("z", method)
        for _ in range(stop):
            next(slices)
        slices.close()
        assert graphs or stop == 1
        assert not any(graph() is not None for graph in graphs)
        assert torch.equal(study.estimate("z", method).raw, expected)


@pytest.mark.parametrize("method", FEW)
def test_weights_that_are_others_for_a_slice_give_an_error_and_no_number(method):
    """Whichever slice it is; and when they are what they were, all is well."""
    model = random_model(STYLES[0])
    tokens = random_tokens(**TOKENS)
    expected = PatchStudy(model, *tokens).estimate("z", method).raw
    n_slices, _ = taken(PatchStudy(model, *tokens).estimating("z", method))
    before = [parameter.detach().clone() for parameter in model.parameters()]
    for number in range(1, n_slices + 1):
        study = PatchStudy(model, *tokens)
        slices = study.estimating("z", method)
        for _ in range(number):
            next(slices)
        for parameter in model.parameters():
            parameter.data.mul_(1.5)  # torch does not count it
        with pytest.raises(RuntimeError, match="changed since this study ran it"):
            next(slices)
        assert not list(study._kept.items())
        for parameter, value in zip(model.parameters(), before, strict=True):
            parameter.data.copy_(value)
        assert torch.equal(study.estimate("z", method).raw, expected), number


def test_weights_that_torch_sees_change_give_our_error():
    study = PatchStudy(random_model(STYLES[0]), *random_tokens(**TOKENS))
    slices = study.estimating("z", "graddrop")
    for _ in range(3):
        next(slices)
    with torch.no_grad():
        next(study.model.parameters()).add_(1)
    with pytest.raises(RuntimeError, match="weights changed"):
        next(slices)


def test_second_orders_by_layers_are_those_of_one_graph():
    """Beside the derivative of a derivative, of one graph through all layers."""
    runs = in_double(study_of(4)._runs)
    names = ("L1H0.q", "L0.resid_pre@3", "L3.resid_post@4", "L2.neuron@4#1", "L0H1.k@1")
    for name in names:
        node = Node.parse(name)
        place = node.kind, node.layer
        step = torch.zeros_like(runs.base.values[place])
        change = runs.source.values[place] - runs.base.values[place]
        step[node.index] = change[node.index]
        length = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        moved = length.reshape(-1, *[1] * (step.dim() - 1)) * step

        def tap(site, number, value, place=place, moved=moved):
            return value + moved if (site, number) == place else value

        values = runs.metric.values(runs.engine.run(runs.base_tokens, tap))
        (first,) = torch.autograd.grad(values.sum(), length, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), length)
        found = hvp(runs, atp(runs, node.kind, node.by), [node])[node]
        assert_close(found.second, second / 2, rtol=1e-9, atol=1e-13)
        assert float(second.abs().max()) > 1e-6, node
