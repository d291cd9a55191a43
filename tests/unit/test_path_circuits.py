"""Circuits of paths: the whole and nothing, one path less, and circuits that are known."""

from __future__ import annotations

import json
import math
import weakref
from dataclasses import replace
from itertools import product

import pytest
import torch
from allocated import allocated_by
from built_models import OUT, SUM, A, axis, built, built_pairs, either_suffices
from estimate_oracles import in_double
from through_hooks import by_hooks
from torch.testing import assert_close
from toy_models import STYLES, random_model, random_tokens

from patchwidget import Pairs, PatchStudy, PatchWidget, Reader, Writer, sources
from patchwidget.circuits import MIB_SHARES
from patchwidget.circuits.kept import Chosen
from patchwidget.circuits.path_runner import PathRunner
from patchwidget.circuits.plan import Plan
from patchwidget.circuits.whole_story import story_runs
from patchwidget.circuits.wiring import Wiring
from patchwidget.nodes import Extent
from patchwidget.paths import Path
from patchwidget.paths.path import obstacle
from patchwidget.runs import ablated
from patchwidget.widget.circuit_records import of_story

TOKENS = {"differ": (1, 3)}


def wired_of(study, *, by=None, runs=None, budget=None):
    return PathRunner(study._runs if runs is None else runs, by, study._watch, budget)


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
        if obstacle(writer, reader, parallel=wiring.parallel) is None
    ]
    return [
        Path((replace(writer, pos=pos),), (reader,))
        for writer, reader in ends
        for pos in places
    ]


def n_paths_of(extent):
    """How many there are, where MLPs read what the heads of their layer write."""
    heads, layers = extent.n_heads, extent.n_layers
    parts = heads + 2 * extent.n_kv_heads
    # Each layer's parts read all that is written before it, and its MLP its heads too.
    before = [1 + layer * (heads + 1) for layer in range(layers)]
    in_layers = sum(parts * n + n + heads for n in before)
    return in_layers + 1 + layers * (heads + 1)


def batches(wired, cuts):
    """Plans of circuits, as many in each as run together."""
    while cuts:
        plan = wired._plan()
        cuts = cuts[len(list(wired._fill(plan, cuts))) :]
        yield plan


def without(wiring, paths):
    return wiring.without(map(wiring.number, paths))


def only(wiring, paths):
    return wiring.only(map(wiring.number, paths))


def both_ends(wiring):
    """No path is cut, and all of them are."""
    return [wiring.without([]), wiring.only([])]


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
    clean, corrupted = raw_of(wired, both_ends(wired.wiring))
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
    wired = wired_of(plain, runs=runs)
    clean, nothing = raw_of(wired, both_ends(wired.wiring))
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
    [
        pytest.param(2, 5, 2, 2, marks=pytest.mark.long),
        (1, 1, 2, 3),
        (3, 4, 2, 1),
        (1, 2, 1, 1),
    ],
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
    n_paths = n_paths_of(study.extent)
    assert found.n_parts == 5 * n_paths
    assert study.whole_story("embed -> final").n_parts == n_paths


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
    n_paths = n_paths_of(random.extent)
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


@pytest.mark.parametrize("by", [pytest.param(None, marks=pytest.mark.long), "pos"])
def test_a_small_budget_gives_the_same(random, by):
    study = random.reversed()
    plenty = wired_of(study, by=by)
    paths = every_path(plenty.wiring)
    cuts = [without(plenty.wiring, [path]) for path in paths[::9]]
    cuts += [only(plenty.wiring, paths[n::4]) for n in range(4)]
    least = plenty._bytes(plenty._plan())
    tight = wired_of(study, by=by, budget=least)
    assert len(list(batches(tight, cuts))) == len(cuts)
    assert len(list(batches(plenty, cuts))) < len(cuts)
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
    assert not study.reversed()._path_runners[None].known.of()


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
    nothing_cut = whole.wiring.without([])
    assert_close(raw_of(whole, [nothing_cut])[0], torch.zeros(3), rtol=0, atol=1e-5)


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
    with torch.no_grad():
        usual = [random.model(tokens)[:, -1, 3] for tokens in (clean, corrupted)]

    def metric(logits):
        """Finite in the two runs that there are, and in none of those that are asked for."""
        value = logits[:, -1, 3]
        misses = torch.stack([(value.detach() - one).abs() for one in usual])
        is_usual = misses.amin(0) < 1e-4
        return torch.where(is_usual, value, math.nan)

    study = PatchStudy(random.model, clean, corrupted, answers, metric=metric)
    with pytest.raises(ValueError, match="the run of a circuit of paths"):
        study.whole_story(["embed -> L0H1.v", "L0H1 -> final"])


# --- what is kept, and what is not ------------------------------------------------------


@pytest.mark.parametrize(
    "source", ["zero", sources.Mean(random_tokens(4, 5, seed=1)[0])]
)
def test_a_question_that_was_refused_leaves_nothing_behind(source):
    """Ablated streams are made with the weights: not with those of a changed model."""
    model = random_model(STYLES[0], n_layers=2, n_heads=2)
    clean, _, answers = random_tokens(3, 5)
    expected = PatchStudy(model, clean, answers=answers, source=source)
    study = PatchStudy(model, clean, answers=answers, source=source)
    before = {name: one.detach().clone() for name, one in model.named_parameters()}
    generator = torch.Generator().manual_seed(0)
    for one in model.parameters():  # unseen by torch's own count of changes
        one.data.add_(0.3 * torch.randn(one.shape, generator=generator))
    circuit = SOME[:1]
    for ask in (study.whole_story, lambda c: study.circuit_cost("whole_story", c)):
        with pytest.raises(RuntimeError, match="weights changed"):
            ask(circuit)
    for name, one in model.named_parameters():
        one.data.copy_(before[name])
    found, right = (one.whole_story(circuit) for one in (study, expected))
    assert_close(found.all.raw, right.all.raw, rtol=0, atol=0)
    assert_close(found.per_pair, right.per_pair, rtol=0, atol=0)


def test_an_unknown_metric_is_refused_before_anything_is_made(random):
    study = PatchStudy(random.model, *random_tokens(3, 5, **TOKENS))
    for ask in (study.whole_story, study.circuit_curve):
        with pytest.raises(ValueError, match="there is no metric 'mine'"):
            ask(SOME, metric="mine")
    assert study._reversed is None
    assert not study._path_runners


def test_what_is_known_needs_no_memory(random):
    study = PatchStudy(random.model, *random_tokens(3, 5, **TOKENS))
    first = study.whole_story(SOME, subsets=1)
    wired = study.reversed()._path_runners[None]
    wired._ground = replace(wired._ground, swap=replace(wired._ground.swap, budget=10))
    assert study.circuit_cost("whole_story", SOME, subsets=1).patches == 0
    again = study.whole_story(SOME, subsets=1)
    assert_close(again.per_pair, first.per_pair, rtol=0, atol=0)
    with pytest.raises(ValueError, match="the budget is 10"):
        study.whole_story(SOME[:2])


def test_a_run_has_one_name_however_it_is_told():
    """Also that of just half of all paths."""
    wiring = Wiring(Extent(1, 1, 1, n_pos=2, d_mlp=0), parallel=False, by="pos")
    every = list(map(int, wiring.every.nonzero()[0]))
    assert len(every) == len(wiring) == 10
    inside, outside = every[::2], every[1::2]
    same = [
        wiring.only(inside),
        wiring.without(outside),
        wiring.also(wiring.without(outside[:2]), outside[2:]),
        wiring.also(wiring.only(every), reversed(outside)),
    ]
    assert len(set(same)) == 1
    assert len({wiring.only(inside), wiring.only(outside), wiring.only(every)}) == 3
    for cut in same:
        assert sorted(wiring.kept(cut).ravel().nonzero()[0]) == inside
    assert not wiring.only(every)
    assert wiring.only([])


def test_runs_of_a_long_question_share_their_paths(random):
    """Of many members each run is known by a name, and not by all the others."""
    study = PatchStudy(random.model, *random_tokens(3, 5, **TOKENS))
    wired = wired_of(study.reversed(), by="pos")
    paths = tuple(every_path(wired.wiring)[::5])
    numbers = tuple(map(wired.wiring.number, paths))
    chosen = Chosen(paths, numbers, wired.wiring)
    runs = story_runs(chosen, 2, 0)
    assert {id(run.circuit) for run in (*runs.ones, *runs.less)} == {
        id(runs.circuit.circuit)
    }
    assert {len(run.gone) for run in runs.ones} == {1}
    some = [runs.circuit, *runs.ones[:3]]
    raw_of(wired, some)
    for cut in wired.known.of():
        assert (cut.circuit.size, cut.gone) == (0, ())
    assert set(some) == set(wired.known.of())


def test_a_plan_is_gone_when_it_is_run(random, monkeypatch):
    wired = wired_of(random.reversed())
    least = wired._bytes(wired._plan())
    study = PatchStudy(random.model, *random_tokens(3, 5, **TOKENS), budget=least)
    plans, most = weakref.WeakSet(), []

    class Counted(Plan):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            plans.add(self)

    monkeypatch.setattr("patchwidget.circuits.path_runner.Plan", Counted)
    done = set()
    for step in study.steps("whole_story", SOME):
        most.append(len(plans))
        done.add(step.done)
    assert len(done) > 20, "a batch for each"
    assert max(most) <= 2


def test_what_was_priced_is_planned_once_more_and_not_twice(random, monkeypatch):
    study = PatchStudy(random.model, *random_tokens(3, 5, **TOKENS))
    added, add = [], Plan.add
    monkeypatch.setattr(Plan, "add", lambda *of: added.append(of[1]) or add(*of))
    cost = study.circuit_cost("whole_story", SOME, subsets=1)
    assert len(added) == cost.patches
    study.whole_story(SOME, subsets=1)
    assert len(added) == 2 * cost.patches


@pytest.mark.parametrize("by", [None, "pos"])
@pytest.mark.parametrize("source", [None, "zero"])
def test_what_a_batch_takes_is_counted(by, source):
    """Never less than it takes, and not several times as much."""
    model = random_model(STYLES[0], n_layers=3, n_heads=4)
    clean, corrupted, answers = random_tokens(4, 12, **TOKENS)
    given = corrupted if source is None else None
    study = PatchStudy(model, clean, given, answers, source=source, direction="noising")
    study._watch._ask_at = math.inf  # it would run the model in between
    wired = wired_of(study, by=by)
    paths = every_path(wired.wiring)
    cuts = [only(wired.wiring, paths[n::3]) for n in range(3)]
    cuts += [without(wired.wiring, [path]) for path in paths[:: len(paths) // 9]]

    def taken_by(plan):
        return allocated_by(lambda: list(wired._run(plan)))

    for n_cuts in (1, 4, len(cuts)):
        plan = wired._plan()
        for cut in cuts[: n_cuts - 1]:
            plan.add(cut)
        counted = wired._bytes(plan)  # with one more
        plan.add(cuts[n_cuts - 1])
        assert counted / 6 < taken_by(plan) <= counted


def test_only_paths_that_are_looked_at_are_made(random, monkeypatch):
    grid = random.paths(by="pos")
    curve = random.circuit_curve(grid)
    made = []
    of_grid = "patchwidget.circuits.ranked_paths.Path"
    monkeypatch.setattr(of_grid, lambda *ends: made.append(Path(*ends)) or made[-1])
    assert random.circuit_curve(grid).sizes == curve.sizes
    assert not made
    first, last, some = curve.order[0], curve.order[-1], curve.order[3:6]
    assert made == [first, last, *some]
    assert grid.top(1)[0][0] in (first, last)
    assert len(set(curve.order)) == len(curve.order) == 5 * n_paths_of(random.extent)


def test_rankings_of_paths_that_cannot_be(random):
    grid = random.paths()
    with pytest.raises(ValueError, match="names kinds of nodes"):
        random.circuit_curve(replace(grid, raw=grid.raw * math.nan), among="z")
    twice = random.exact_paths(["L0H0", "embed", "L0H0"], "final")
    with pytest.raises(ValueError, match="L0H0 is given twice in this grid"):
        random.circuit_curve(twice, shares=(0.01, 0.02))
    mixed = random.exact_paths(["L0H0", "L0H1@3"], "final")
    with pytest.raises(ValueError, match="cut differently"):
        random.circuit_curve(mixed, shares=(0.01, 0.02))
    other = PatchStudy(
        random_model(STYLES[0], n_layers=4, n_heads=2), *random_tokens(3, 5, **TOKENS)
    )
    with pytest.raises(IndexError, match="no layer 3"):
        random.circuit_curve(other.paths())
    longer = PatchStudy(random.model, *random_tokens(3, 6, **TOKENS))
    with pytest.raises(IndexError, match="no pos 5"):
        random.circuit_curve(longer.paths(by="pos"))


def test_a_path_of_a_grid_is_found_however_its_name_is_written(random):
    grid = random.paths()
    values = {grid[name] for name in ("L1H0->final", "L1H0 -> final", " L1H0->  final")}
    assert len(values) == 1


def test_the_pace_is_learnt_from_runs_of_paths(random):
    study = PatchStudy(random.model, *random_tokens(3, 5, **TOKENS))
    study.whole_story(SOME[:1], subsets=0)
    wired = study.reversed()._path_runners[None]
    assert wired._pace._work > 0
    assert not wired._works, "what is known is not to be run"


@pytest.mark.parametrize("what", ["one", "named", "grid", "node ranking"])
def test_the_page_runs_a_path_and_rankings(random, recorded, what):
    study = PatchStudy(random.model, *random_tokens(3, 5, **TOKENS))
    question, members = {
        "one": ("whole_story", Path.parse(SOME[0])),
        "named": ("whole_story", SOME[0]),
        "grid": ("circuit_curve", study.paths()),
        "node ranking": ("circuit_curve", study.estimate("z")),
    }[what]
    widget = PatchWidget(study)
    assert study.circuit_cost(question, members).patches > 0
    widget.run(question, members)
    widget.close()
    assert study.circuit_cost(question, members).patches == 0


def test_the_work_of_paths_is_shown_as_such(random):
    found = random.whole_story(SOME[:1], subsets=0)
    assert repr(found.all).startswith("paths cut: ")
