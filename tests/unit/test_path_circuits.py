"""Circuits of paths: the whole and nothing, one path less, and circuits that are known."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import product

import pytest
import torch
from built_models import OUT, SUM, A, axis, built, built_pairs, either_suffices
from estimate_oracles import in_double
from through_hooks import by_hooks
from torch.testing import assert_close
from toy_models import STYLES, random_model, random_tokens

from patchwidget import Pairs, PatchStudy, PatchWidget, Reader, Writer, sources
from patchwidget.circuits import MIB_SHARES, Wired
from patchwidget.circuits.wired import wiring_of
from patchwidget.circuits.wiring import Cut
from patchwidget.paths import Path
from patchwidget.runs import ablated
from patchwidget.widget.circuit_records import of_story

TOKENS = {"differ": (1, 3)}


def wired_of(study, *, by=None, runs=None, budget=None):
    runs = study._runs if runs is None else runs
    wiring = wiring_of(runs, by)
    return Wired(runs, wiring, study._watch, study._runner, budget)


def raw_of(wired, cuts):
    """Change of the metric when paths are cut, `[cuts, B]`."""
    for _ in wired.steps(cuts):
        pass
    return torch.stack([wired.known.of()[cut].raw for cut in cuts])


def every_path(wiring):
    places = [None] if wiring.by is None else range(wiring.extent.n_pos)
    ends = [
        (writer, reader)
        for writer, reader in product(wiring.writers, wiring.readers)
        if (writer, reader) in wiring._numbers
    ]
    return [
        Path((replace(writer, pos=pos),), (reader,))
        for writer, reader in ends
        for pos in places
    ]


def without(wiring, paths):
    return wiring.without(map(wiring.number, paths))


def only(wiring, paths):
    return wiring.only(map(wiring.number, paths))


NOTHING_CUT, ALL_CUT = Cut(frozenset(), False), Cut(frozenset(), True)


@pytest.fixture(scope="module", params=STYLES)
def model(request):
    return random_model(request.param, n_layers=2, n_heads=2)


@pytest.fixture(scope="module")
def random():
    model = random_model(STYLES[0], n_layers=3, n_heads=2)
    return PatchStudy(model, *random_tokens(3, 5, **TOKENS))


# --- the whole and nothing --------------------------------------------------------------


@pytest.mark.parametrize("by", [None, "pos"])
def test_all_paths_are_the_clean_run_and_none_the_corrupted_one(model, by):
    study = PatchStudy(model, *random_tokens(2, 5, **TOKENS), direction="noising")
    runs = in_double(study._runs)
    wired = wired_of(study, by=by, runs=runs)
    clean, corrupted = raw_of(wired, [NOTHING_CUT, ALL_CUT])
    scale = runs.scale
    assert clean.dtype == torch.float64
    assert_close(clean, torch.zeros_like(clean))
    assert_close(corrupted, scale.source - scale.base)
    assert float(corrupted.abs().max()) > 1e-3


class Drawn:
    """Values that are of no run at all."""

    name = "drawn"

    def values(self, base, capture):
        generator = torch.Generator().manual_seed(0)
        return {
            place: torch.randn(value.shape, generator=generator).to(value)
            for place, value in base.items()
        }


@pytest.mark.parametrize("source", [sources.Zero(), Drawn()])
def test_all_paths_are_the_clean_run_whatever_is_ablated(model, source):
    """And with none of them what was written instead runs into the end of the model."""
    clean, _, answers = random_tokens(2, 5)
    plain = PatchStudy(model, clean, clean, answers, direction="noising")
    runs = ablated(in_double(plain._runs), source, model)
    clean, nothing = raw_of(wired_of(plain, runs=runs), [NOTHING_CUT, ALL_CUT])
    assert_close(clean, torch.zeros_like(clean))
    values, weights = runs.ablation, runs.engine.weights
    stream = values["resid_pre", 0].clone()
    for number, layer in enumerate(weights.layers):
        for head in range(2):
            stream += values["z", number][:, :, head] @ layer.attn.W_O[head]
        stream += layer.attn.b_O + values["mlp_out", number]
    readout = runs.engine.resume(stream, 1, "resid_post")
    assert_close(nothing, runs.metric.values(readout)[0] - runs.scale.base)


# --- one path less ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_pairs", "n_pos", "n_layers", "n_heads"),
    [(2, 5, 2, 2), (1, 1, 2, 3), (3, 4, 2, 1), (1, 2, 1, 1)],
)
@pytest.mark.parametrize("by", [None, "pos"])
def test_without_one_path_is_to_patch_it_into_the_clean_run(
    n_pairs, n_pos, n_layers, n_heads, by
):
    """Exact path patching, which computes nothing of this, one path after the other."""
    model = random_model(STYLES[0], n_layers=n_layers, n_heads=n_heads)
    tokens = random_tokens(n_pairs, n_pos, differ=(0, n_pos - 1))
    study = PatchStudy(model, *tokens, direction="noising")
    wired = wired_of(study, by=by)
    paths = every_path(wired.wiring)[:: 1 if by is None else 3]
    raw = raw_of(wired, [without(wired.wiring, [path]) for path in paths])
    for path, found in zip(paths, raw, strict=True):
        expected = study.exact_paths(path.writers[0], path.readers[0]).raw
        assert_close(found, expected.reshape(-1), rtol=1e-4, atol=1e-5)
    assert float(raw.abs().max()) > 1e-3


def test_a_path_from_the_embedding_alone_is_its_direct_effect(random):
    """Where nothing is kept of the rest, the corrupted run is what it comes to."""
    found = random.whole_story("embed->final")
    direct = random.exact_paths("embed", "final")
    assert random.direction == "denoising"
    gap = float(found.all.raw.mean())
    assert_close(found.per_pair * -gap, direct.raw, rtol=1e-4, atol=1e-5)
    assert found.faithfulness == pytest.approx(float(direct.values), rel=1e-3)
    alone = random.whole_story("L0H1 -> final").per_pair * gap
    assert_close(alone, torch.zeros_like(alone), rtol=0, atol=1e-5)


# --- circuits that are known ------------------------------------------------------------


def one_after_the_other():
    """L0H0 hands A on, and L1H1 writes the answer where it is handed something."""
    return built(
        {
            (0, 0): (axis((A, 1)), axis((SUM, 1))),
            (1, 1): (axis((SUM, 1)), axis((OUT, 1))),
        }
    )


CHAIN = ["embed -> L0H0.v", "L0H0 -> L1H1.v", "L1H1 -> final"]


@pytest.mark.parametrize("source", [None, "zero", sources.Mean(torch.full((3, 1), 2))])
def test_of_a_chain_every_link_is_needed(source):
    study = PatchStudy(one_after_the_other(), built_pairs(), source=source)
    found = study.whole_story(CHAIN)
    assert found.faithfulness == pytest.approx(1)
    assert found.minimality == {link: pytest.approx(1) for link in CHAIN}
    assert found.complement == pytest.approx(0)
    assert found.incompleteness == pytest.approx(0)
    assert repr(found).startswith(f"3 of {found.n_parts} paths keep 1.000")
    heads = study.whole_story(["L0H0", "L1H1"])
    assert heads.faithfulness == pytest.approx(1)
    assert list(heads.minimality.values()) == [1, 1]
    other = study.whole_story([*CHAIN[:2], "L1H0 -> final"])
    assert other.faithfulness == pytest.approx(0)
    assert found.drop("L0H0->L1H1.v").tolist() == [1, 1]
    assert found.drop(found.members[0]).tolist() == [1, 1]
    with pytest.raises(KeyError, match="L1H0->final is not among"):
        found.drop("L1H0->final")


def test_of_two_ways_each_looks_needless():
    study = PatchStudy(either_suffices(), built_pairs())
    ways = [
        [f"embed -> L0H{head}.v", f"L0H{head} -> L0.mlp", "L0.mlp -> final"]
        for head in (0, 2)
    ]
    both = study.whole_story([*ways[0], *ways[1][:2]])
    assert both.faithfulness == pytest.approx(1)
    drops = both.minimality
    assert drops.pop("L0.mlp -> final") == pytest.approx(1)
    assert drops == {path: pytest.approx(0) for path in [*ways[0][:2], *ways[1][:2]]}
    assert both.incompleteness == pytest.approx(0)
    alone = study.whole_story(ways[0])
    assert alone.faithfulness == pytest.approx(1)
    assert alone.minimality == {path: pytest.approx(1) for path in ways[0]}
    assert alone.incompleteness == pytest.approx(1), "the other way stands in for it"


def test_positions_may_be_named():
    model, (clean, corrupted, answers) = (
        random_model(STYLES[0], n_layers=2, n_heads=2),
        random_tokens(3, 5, **TOKENS),
    )
    pairs = Pairs(clean, corrupted, answers=answers, labels={"S": 3})
    study = PatchStudy(model, pairs)
    found = study.whole_story(["embed@S -> L0.mlp", "L0.mlp@S->L1H0.k"], subsets=0)
    assert list(found.minimality) == ["embed@3 -> L0.mlp", "L0.mlp@3 -> L1H0.k"]
    assert found.n_parts == 5 * study.whole_story("embed -> final").n_parts


def test_the_page_gets_a_record_of_it():
    study = PatchStudy(one_after_the_other(), built_pairs())
    told = json.loads(json.dumps(of_story(study.whole_story(CHAIN))))
    assert told["nodes"] == CHAIN
    assert told["minimality"] == dict.fromkeys(CHAIN, 1)


# --- curves -----------------------------------------------------------------------------


def test_a_curve_over_paths_has_the_areas_of_mib():
    study = PatchStudy(one_after_the_other(), built_pairs())
    n_paths = study.whole_story(CHAIN, subsets=0).n_parts
    shares = (2 / n_paths, 3 / n_paths, 0.5)
    order = [*CHAIN, *(f"L0H2 -> L1H{h}.{part}" for h in range(3) for part in "qkv")]
    curve = study.circuit_curve(order, shares=shares[:2])
    assert curve.sizes == (2, 3)
    assert_close(curve.values, torch.tensor([0.0, 1.0]))
    assert curve.cpr == pytest.approx(1 / n_paths * 0.5)
    assert curve.cmd == pytest.approx(1 / n_paths * 0.5)
    with pytest.raises(ValueError, match="only 12 are ranked"):
        study.circuit_curve(order, shares=shares)


@pytest.mark.parametrize("by", [None, "pos"])
def test_a_grid_of_paths_ranks_them(random, by):
    grid = random.paths(by=by)
    n_paths = int((~grid.values.isnan()).sum())
    for absolute in (False, True):
        curve = random.circuit_curve(grid, absolute=absolute)
        assert curve.shares == MIB_SHARES
        assert curve.sizes == tuple(int(share * n_paths) for share in MIB_SHARES)
        values = [grid[path] for path in curve.order[:40]]
        values = [abs(value) for value in values] if absolute else values
        assert values == sorted(values, reverse=True)
        assert len(curve.order) == n_paths
        assert float(curve.values[-1]) == pytest.approx(1)
    first = [path.name for path in curve.order[: curve.sizes[-2]]]
    story = random.whole_story(first, subsets=0)
    assert_close(story.per_pair, curve.per_pair[:, -2], rtol=1e-3, atol=1e-4)


def test_grids_that_rank_nothing(random):
    grid = random.paths()
    gaps = replace(grid, raw=grid.raw.clone())
    gaps.raw[:, 0, 2] = math.nan
    with pytest.raises(
        ValueError, match=r"1 of \d+ paths have no value, embed -> L0H0"
    ):
        random.circuit_curve(gaps)
    sets = random.exact_paths("embed", [{"L1H0.q", "L1H1.q"}, "final"])
    with pytest.raises(ValueError, match="several ends"):
        random.circuit_curve(sets)
    few = random.exact_paths("head", "final")
    with pytest.raises(ValueError, match="only 6 are ranked"):
        random.circuit_curve(few)
    n_paths = len(wiring_of(random._runs, None))
    assert random.circuit_curve(few, shares=(1 / n_paths, 2 / n_paths)).sizes == (1, 2)


# --- what it costs, and how it is run ---------------------------------------------------

SOME = ["embed -> L0H1.v", "L0H1 -> L2H0.q", "L1.mlp -> final", "embed -> final"]


def test_what_is_known_is_not_run_again(random):
    study = PatchStudy(random.model, *random_tokens(3, 5, **TOKENS))
    asked, options = ("whole_story", SOME), {"subsets": 2, "seed": 1}
    cost = study.circuit_cost(*asked, **options)
    assert cost.multiplications > 0
    assert cost.seconds > 0
    steps = list(study.steps(*asked, **options))
    assert (steps[0].done, steps[0].total) == (0, cost.patches)
    assert (steps[-1].done, steps[-1].total, steps[-1].work) == (*[cost.patches] * 2, 1)
    assert [step.work for step in steps] == sorted(step.work for step in steps)
    assert study.circuit_cost(*asked, **options).patches == 0
    assert [step.work for step in study.steps(*asked, **options)] == [1]
    assert study.circuit_cost("whole_story", SOME[:2], subsets=0).patches > 0
    other = study.reversed()
    assert other.circuit_cost(*asked, **options).patches == 0
    first, second = (one.whole_story(SOME, **options) for one in (study, other))
    assert_close(first.per_pair, second.per_pair, rtol=0, atol=0)
    # No path, the circuit, it without each member, and both without what is taken away.
    every = set(first.members)
    gone = [set(one.removed) for one in first.subsets]
    kept = [
        set(),
        every,
        *(every - {path} for path in every),
        *(every - k for k in gone),
    ]
    assert cost.patches == len(set(map(frozenset, kept))) + len(gone)


def test_steps_that_are_closed_keep_what_they_finished(random):
    study = PatchStudy(random.model, *random_tokens(3, 5, **TOKENS), budget=200_000)
    before = study.circuit_cost("whole_story", SOME).patches
    steps = study.steps("whole_story", SOME)
    done = next(step.done for step in steps if step.done)
    steps.close()
    assert 0 < done < before
    assert study.circuit_cost("whole_story", SOME).patches == before - done


@pytest.mark.parametrize("by", [None, "pos"])
def test_a_small_budget_gives_the_same(random, by):
    study = random.reversed()
    plenty = wired_of(study, by=by)
    paths = every_path(plenty.wiring)
    cuts = [without(plenty.wiring, [path]) for path in paths[::9]]
    cuts += [only(plenty.wiring, paths[n::4]) for n in range(4)]
    least = plenty._bytes(plenty._plan())
    tight = wired_of(study, by=by, budget=least)
    assert len(list(filter(None, tight._plans(cuts)))) == len(cuts)
    assert len(list(filter(None, plenty._plans(cuts)))) < len(cuts)
    assert_close(raw_of(tight, cuts), raw_of(plenty, cuts), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=f"give budget={least} or more"):
        raw_of(wired_of(study, by=by, budget=least - 1), cuts)


def test_the_page_and_others_have_turns_in_between(random, recorded):
    study = PatchStudy(random.model, *random_tokens(3, 5, **TOKENS))
    with torch.inference_mode():
        steps = study.steps("whole_story", SOME, subsets=1)
        next(step for step in steps if step.work)
        assert torch.is_inference_mode_enabled()
        steps.close()
    widget = PatchWidget(study)
    widget.run("whole_story", list(map(Path.parse, SOME)), subsets=1)
    widget.close()
    assert study.circuit_cost("whole_story", SOME, subsets=1).patches == 0
    found, expected = (
        one.whole_story(SOME, subsets=1).per_pair for one in (study, random)
    )
    assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_a_model_that_changes_meanwhile_is_noticed():
    model = random_model(STYLES[0], n_layers=2, n_heads=2)
    study = PatchStudy(model, *random_tokens(3, 5, **TOKENS))
    steps = study.steps("whole_story", SOME[:1])
    next(step for step in steps if step.work)
    with torch.no_grad():
        next(model.parameters()).add_(0.5)
    with pytest.raises(RuntimeError, match="weights changed"):
        list(steps)
    assert not study.reversed()._wired[None].known.of()


def test_what_circuits_have_in_common_is_computed_once(random):
    wired = wired_of(random.reversed())
    wiring, plan = wired.wiring, wired._plan()
    chain = list(
        map(Path.parse, ["embed -> L0H1.v", "L0H1 -> L2H0.q", "L2H0 -> final"])
    )
    plan.add(only(wiring, chain))
    # The embedding, and both heads.
    assert plan.n_states == 3
    plan.add(only(wiring, chain))
    assert plan.works[1] < plan.works[0] / 10
    plan.add(only(wiring, chain[:2]))
    assert plan.n_states == 3, "the same heads write the same"
    plan.add(only(wiring, chain[1:]))
    assert plan.n_states == 3, "no head reads anything new"
    plan.add(wiring.without([]))
    assert plan.n_states == 3 + len(wiring.writers) - 1


def test_a_metric_may_read_several_positions(random):
    def metric(logits):
        return logits[:, -1, 7] - logits[:, 1, 5] + logits[:, 0, 3]

    tokens = random_tokens(3, 5, **TOKENS)
    study = PatchStudy(
        random.model, *tokens, metric={"mine": metric, "ld": "logit_diff"}
    )
    found = study.whole_story(SOME, subsets=1)
    cost = study.circuit_cost("whole_story", SOME, subsets=1)
    assert cost.patches == 0
    other = study.whole_story(SOME, subsets=1, metric="ld")
    expected = random.whole_story(SOME, subsets=1)
    assert_close(other.per_pair, expected.per_pair, rtol=1e-3, atol=1e-4)
    assert float((found.per_pair - other.per_pair).abs().max()) > 1e-3
    whole = wired_of(study.reversed())
    assert_close(raw_of(whole, [NOTHING_CUT])[0], torch.zeros(3), rtol=0, atol=1e-5)


# --- what cannot be ---------------------------------------------------------------------

BAD = {
    "the set is empty": ([], {}),
    "is a path and L0H1 is none": (["L0H1 -> final", "L0H1"], {}),
    "L0H1 -> final is given twice": (["L0H1 -> final", "L0H1->final"], {}),
    "cut differently: name all paths": (["L0H1@3 -> final", "L0H0 -> final"], {}),
    "runs backwards": (["L1H0 -> L0H1.q"], {}),
    "leads to itself": (["L1H0 -> L1H0.q"], {}),
    "is not a reader": (["L1H0 -> L2"], {}),
    "several ends": (
        [Path((Writer("embed"), Writer("mlp", 0)), (Reader("final"),))],
        {},
    ),
    "names kinds of nodes": (["embed -> final"], {"among": "z"}),
    "subsets is a number": (["embed -> final"], {"subsets": -1}),
}


@pytest.mark.parametrize("words", BAD)
def test_circuits_of_paths_that_cannot_be(random, words):
    circuit, options = BAD[words]
    for ask in (
        random.whole_story,
        lambda *a, **o: random.steps("whole_story", *a, **o),
    ):
        with pytest.raises(ValueError, match=words):
            ask(circuit, **options)


def test_ends_that_are_not_there(random):
    with pytest.raises(IndexError, match="no layer 7"):
        random.whole_story("L7H0 -> final")
    with pytest.raises(IndexError, match="no pos 5"):
        random.whole_story("embed@5 -> final")


def test_without_the_decoder_there_are_no_circuits_of_paths(random):
    slow = by_hooks(random.model, *random_tokens(3, 5, **TOKENS))
    with pytest.raises(ValueError, match="a circuit of paths needs the decoder"):
        slow.whole_story("embed -> final")


def test_work_that_is_not_there_cannot_be_kept(random):
    clean, _, answers = random_tokens(2, 4)
    study = PatchStudy(random.model, clean, clean, answers)
    with pytest.raises(ValueError, match="nothing that a circuit could keep"):
        study.whole_story("embed -> final")


def test_a_metric_that_is_not_finite_is_said(random):
    clean, corrupted, answers = random_tokens(2, 5, **TOKENS)

    def metric(logits):
        value = logits[:, -1, 3]
        is_other = bool((value - seen[0]).abs().max() > 1e-3) if seen else False
        seen.append(value)
        return value * math.nan if is_other and len(seen) > 4 else value

    seen = []
    study = PatchStudy(random.model, clean, corrupted, answers, metric=metric)
    with pytest.raises(ValueError, match="the run of a circuit of paths"):
        study.whole_story("embed -> final")
