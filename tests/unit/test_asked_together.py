"""Who asks for estimates while others have them made goes on with the same slices."""

from __future__ import annotations

import random
import weakref
from functools import cache

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from toy_models import STYLES, random_model, random_tokens

from patchwidget import PatchStudy, watch
from patchwidget.decoder import Decoder
from patchwidget.estimate import METHODS, SLICES
from patchwidget.once import Once
from patchwidget.slices import whole

TOKENS = {"n_pairs": 2, "n_pos": 5, "differ": (1, 3)}
# Two who ask may cost so many times one.
MOST = 1.2
SHARED = ("atp", "relp", "graddrop", "atp_star", "ig")


@cache
def shared_model():
    return random_model(STYLES[0], n_layers=3, n_heads=2)


def study_of(model=None):
    """A study that nobody has asked anything."""
    return PatchStudy(model or shared_model(), *random_tokens(**TOKENS))


@cache
def alone(kind, method, *, is_reversed=False):
    study = study_of()
    study = study.reversed() if is_reversed else study
    return study.estimate(kind, method).raw


def in_turns(asking, turn=None):
    """What those who ask find, by their names; `turn` says whose turn it is."""
    found, left = {}, dict(asking)
    while left:
        for name in [turn(list(left))] if turn else list(left):
            try:
                next(left[name])
            except StopIteration as end:
                found[name] = end.value.raw
                del left[name]
    return found


def flops(do):
    with FlopCounterMode(display=False) as counter:
        do()
    return counter.get_total_flops()


def test_what_is_there_is_not_given_up_with_the_last_who_asked():
    made, once = [], Once()

    def compute():
        made.append(1)
        yield
        return 7

    asked = once.slices("seven", compute)
    next(asked)
    next(asked)  # it is found, and not yet believed
    asked.close()
    assert whole(once.slices("seven", compute)) == 7
    assert len(made) == 1


# --- at the cost of one -----------------------------------------------------------------


@pytest.mark.parametrize("kinds", [("z", "z"), ("z", "v")])
@pytest.mark.parametrize("method", SHARED)
def test_two_in_turns_cost_as_much_as_one(method, kinds):
    one, two = study_of(), study_of()
    asking = {n: two.estimating(kind, method) for n, kind in enumerate(kinds)}
    cost = flops(lambda: one.estimate(kinds[0], method))
    if method == "ig" and len(set(kinds)) > 1:  # each kind has a path of its own
        cost *= 2
    assert 0 < flops(lambda: in_turns(asking)) <= MOST * cost


@pytest.mark.parametrize("method", SHARED)
def test_a_cell_in_the_middle_of_a_job_goes_on_with_it(method):
    one, two, expected = study_of(), study_of(), alone("z", method)
    job = two.estimating("z", method)

    def ask():
        for _ in range(4):
            next(job)
        assert torch.equal(two.estimate("z", method).raw, expected)
        assert torch.equal(whole(job).raw, expected)

    assert flops(ask) <= MOST * flops(lambda: one.estimate("z", method))


def test_the_fix_asks_for_no_plain_sizes_that_others_make():
    first, both = study_of(), study_of()
    asking = {"graddrop": "z", "atp_star": "q"}
    together = flops(
        lambda: in_turns({m: both.estimating(k, m) for m, k in asking.items()})
    )
    one_by_one = flops(lambda: [first.estimate(k, m) for m, k in asking.items()])
    assert together <= MOST * one_by_one


# --- the same numbers -------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_many_at_random_get_what_each_gets_alone(seed):
    study = study_of()
    sides = {False: study, True: study.reversed()}
    asked = [
        (kind, method, is_reversed)
        for kind in ("z", "q")
        for method in ("atp", "graddrop", "atp_star")
        for is_reversed in sides
    ]
    found = in_turns(
        {one: sides[one[2]].estimating(one[0], one[1]) for one in asked},
        random.Random(seed).choice,  # noqa: S311 - not a secret
    )
    for kind, method, is_reversed in asked:
        expected = alone(kind, method, is_reversed=is_reversed)
        assert torch.equal(found[kind, method, is_reversed], expected), (kind, method)


@pytest.mark.parametrize("stop", [1, 4])
@pytest.mark.parametrize("method", METHODS)
def test_when_one_is_closed_the_other_goes_on(method, stop):
    study = study_of()
    one, other = study.estimating("v", method), study.estimating("v", method)
    next(other)
    for _ in range(stop):
        next(one)
    one.close()
    assert torch.equal(whole(other).raw, alone("v", method))


def test_slices_have_our_modes_whoever_has_the_turn():
    runs = study_of()._runs
    asking = [SLICES["graddrop"](runs, "z"), SLICES["graddrop"](runs, "z")]
    for _ in range(3):
        with torch.inference_mode():
            next(asking[0])
        next(asking[1])
        assert torch.is_grad_enabled()
    with torch.no_grad():
        found = whole(asking[1]).raw
    assert torch.equal(found, alone("z", "graddrop"))
    assert not found.is_inference()


# --- whatever happens in between --------------------------------------------------------


@pytest.mark.parametrize("method", ["atp", "relp", "graddrop", "ig"])
def test_no_graph_outlives_the_last_of_them(method, monkeypatch):
    graphs, block = [], Decoder._block

    def seen(*args):
        found = block(*args)
        graphs.extend([weakref.ref(found)] * found.requires_grad)
        return found

    monkeypatch.setattr(Decoder, "_block", seen)
    study = study_of()
    study._runs.drop_graphs()
    graphs.clear()
    asking = [study.estimating(kind, method) for kind in ("z", "z", "v")]
    for _ in range(2):
        for one in asking:
            next(one)
    for left, one in enumerate(asking, -2):
        assert any(graph() is not None for graph in graphs), left
        one.close()
    assert not any(graph() is not None for graph in graphs)
    assert torch.equal(study.estimate("z", method).raw, alone("z", method))


def test_weights_that_changed_are_told_to_all_who_wait():
    model = random_model(STYLES[0], n_layers=3, n_heads=2)
    study = study_of(model)
    asking = [study.estimating(kind, "graddrop") for kind in ("z", "v")]
    asking.append(study.reversed().estimating("z"))
    late = study.estimating("z")
    for _ in range(3):
        for one in asking:
            next(one)
    weight = next(model.parameters()).data
    before = weight.clone()
    weight.mul_(1.5)
    with pytest.raises(RuntimeError, match="weights changed since this study ran it"):
        next(asking[0])
    weight.copy_(before)
    for one in asking[1:]:
        with pytest.raises(RuntimeError, match="changed for a while since this study"):
            next(one)
    for runs in (study._runs, study.reversed()._runs):
        assert not runs.has("gradients")
        assert not runs.has(("graddrop", "layer"))
    assert torch.equal(whole(late).raw, alone("z", "atp"))
    assert torch.equal(study.estimate("z", "graddrop").raw, alone("z", "graddrop"))


@pytest.mark.parametrize("method", ["atp", "relp", "graddrop", "ig"])
def test_what_only_the_end_notices_is_not_kept(method, monkeypatch):
    """Where no sample shows it, the logits do; then what was made before is not believed."""
    model = random_model(STYLES[0], n_layers=3, n_heads=2)
    monkeypatch.setattr(watch.Watch, "_sampled", lambda _: torch.zeros(1))
    study = study_of(model)
    weights = [p.data for p in model.parameters() if p.dim() > 1]
    before = [weight.clone() for weight in weights]
    slices = study.estimating("z", method)
    next(slices)
    for weight in weights:
        weight.mul_(1.5)
    study._watch._ask_at = 0.0
    with pytest.raises(RuntimeError, match="logits differ from those"):
        whole(slices)
    for weight, value in zip(weights, before, strict=True):
        weight.copy_(value)
    assert torch.equal(study.estimate("z", method).raw, alone("z", method))


# --- without a model --------------------------------------------------------------------


def counting(log, end=3):
    for number in range(end):
        log.append(number)
        yield
    return "found"


def test_an_error_is_for_who_has_the_turn_and_the_others_begin_anew():
    once, log = Once(), []

    def make():
        if not log:
            log.append("first")
            yield
            raise KeyboardInterrupt
        return (yield from counting(log))

    one, other = once.slices("key", make), once.slices("key", make)
    next(one)
    with pytest.raises(KeyboardInterrupt):
        next(one)
    assert "key" not in once
    assert whole(other) == "found"
    assert log == ["first", 0, 1, 2]


def test_what_was_being_made_when_all_was_forgotten_is_made_again():
    once, log = Once(), []
    one, other = (once.slices("key", lambda: counting(log)) for _ in range(2))
    next(one)
    next(other)
    once.forget()
    assert "key" not in once
    assert whole(one) == whole(other) == "found"
    assert log == [0, 1, 0, 1, 2]


def test_who_asks_from_within_computes_it_alone():
    once, log = Once(), []

    def make():
        yield
        if not log:
            log.append("outer")
            log.append(whole(once.slices("key", make)))
        return "found"

    assert whole(once.slices("key", make)) == "found"
    assert log == ["outer", "found"]
