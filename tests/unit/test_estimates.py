"""What holds for every estimate: pairs, metrics, both means, cost, and what is refused."""

from __future__ import annotations

import pytest
import torch
from estimate_oracles import defined
from torch.testing import assert_close
from toy_models import STYLES, random_model, random_tokens

from patchwidget import Grid, PatchStudy
from patchwidget.estimate import METHODS
from patchwidget.grids import Cost

KINDS = [("z", None), ("q", "pos"), ("k", None), ("k", "pos"), ("neuron", None)]
SIZES = ("graddrop", "atp_star")


@pytest.fixture(scope="module")
def deep():
    return random_model(STYLES[-1], n_layers=3, n_heads=2)


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


@pytest.fixture
def skip_undefined(request, method):
    if not defined(method, request.getfixturevalue("kind")):
        pytest.skip("RelP has no rule for queries and keys")


def right_minus_wrong(answers):
    def difference(logits):
        final = logits[:, -1]
        return (final.gather(1, answers[:, :1]) - final.gather(1, answers[:, 1:]))[:, 0]

    return difference


@pytest.mark.usefixtures("skip_undefined")
@pytest.mark.parametrize(("kind", "by"), KINDS)
def test_pairs_do_not_mix(deep, method, kind, by):
    tokens = random_tokens(3, 5, differ=(1, 3))
    together = PatchStudy(deep, *tokens).estimate(kind, method, by=by)
    for pair in range(3):
        alone = PatchStudy(deep, *(part[pair : pair + 1] for part in tokens))
        assert_close(
            together.raw[pair : pair + 1], alone.estimate(kind, method, by=by).raw
        )


@pytest.mark.usefixtures("skip_undefined")
@pytest.mark.parametrize(("kind", "by"), KINDS)
def test_opposite_pairs_cancel_in_the_mean_and_not_in_the_mean_of_sizes(
    deep, method, kind, by
):
    """The second pair asks the opposite; a third keeps the metric from adding up to 0."""
    clean, corrupted, answers = (part[[0, 0, 1]] for part in random_tokens(2, 5))
    answers[1] = answers[1].flip(0)
    grid = PatchStudy(deep, clean, corrupted, answers).estimate(kind, method, by=by)
    first, second, third = grid.per_pair
    sizes = (2 * first.abs() + third.abs()) / 3
    assert_close(grid.mean_abs, sizes)
    if method not in SIZES:
        assert_close(second, -first)
        assert_close(grid.values, third / 3)
    else:
        assert_close(second, first)
        assert_close(grid.values, sizes)
    assert float(first.abs().max()) > 1e-3
    by_size = grid.top(3, mean_abs=True)
    assert [value for _, value in by_size] == pytest.approx(
        sizes.flatten().topk(3).values.tolist()
    )


@pytest.mark.usefixtures("skip_undefined")
@pytest.mark.parametrize(("kind", "by"), KINDS)
def test_one_number_for_all_pairs_counts_as_one_pair(deep, method, kind, by):
    tokens = random_tokens(3, 5, differ=(1, 3))
    clean, corrupted, answers = tokens
    difference = right_minus_wrong(answers)
    per_pair = PatchStudy(deep, *tokens).estimate(kind, method, by=by)
    scalar = PatchStudy(deep, clean, corrupted, metric=lambda x: difference(x).mean())
    grid = scalar.estimate(kind, method, by=by)
    assert grid.raw.shape == (1, *per_pair.raw.shape[1:])
    if method not in SIZES:
        assert_close(grid.raw[0], per_pair.raw.mean(0))
    else:
        # Pairs are added up under each cut, before a size is taken: at most as much.
        assert bool((grid.raw[0] <= per_pair.raw.mean(0) + 1e-6).all())
        assert float((grid.raw[0] - per_pair.raw.mean(0)).abs().max()) > 1e-5


def test_one_number_of_one_pair_is_that_pair(deep, method):
    clean, corrupted, answers = random_tokens(1, 5, differ=(1, 3))
    difference = right_minus_wrong(answers)
    kind = "q" if defined(method, "q") else "v"
    named = PatchStudy(deep, clean, corrupted, answers).estimate(kind, method)
    scalar = PatchStudy(deep, clean, corrupted, metric=lambda x: difference(x).mean())
    assert_close(scalar.estimate(kind, method).raw, named.raw)


def test_identical_prompts_change_exactly_nothing(deep, method):
    clean, _, answers = random_tokens(2, 5)
    for metric in ("logit_diff", "kl"):
        study = PatchStudy(deep, clean, clean, answers, metric=metric)
        for kind, by in [cut for cut in KINDS if defined(method, cut[0])]:
            raw = study.estimate(kind, method, by=by).raw
            assert torch.equal(raw, torch.zeros_like(raw))


def test_identical_prompts_need_no_slope(deep, method):
    """That nothing has an effect is right there, whatever the gradient."""
    clean, _, _ = random_tokens(2, 5)
    study = PatchStudy(deep, clean, clean, metric=lambda x: (x[:, -1, 0] - 1000).relu())
    raw = study.estimate("z", method).raw
    assert torch.equal(raw, torch.zeros_like(raw))


@pytest.mark.parametrize("metric", ["logit_diff", "logprob", "prob", "kl"])
@pytest.mark.parametrize("direction", ["denoising", "noising"])
def test_every_metric_gives_numbers(deep, method, metric, direction):
    tokens = random_tokens(2, 5, differ=(1, 3))
    study = PatchStudy(deep, *tokens, metric=metric, direction=direction)
    for kind, by in [cut for cut in KINDS if defined(method, cut[0])]:
        grid = study.estimate(kind, method, by=by)
        assert grid.values.isfinite().all()
        assert float(grid.raw.abs().max()) > 0
        assert (grid.direction, grid.metric, grid.method) == (direction, metric, method)


def test_costs_are_reported(deep):
    study = PatchStudy(deep, *random_tokens(2, 5))
    costs = {name: study.estimate("z", name).cost for name in METHODS}
    assert costs["atp"] == costs["atp_qk"] == costs["relp"] == Cost(2, 1)
    assert costs["graddrop"] == costs["atp_star"] == Cost(forwards=2, backwards=2.0)
    assert costs["atp_star"].passes == 6
    # Five steps, from each of three layers on.
    assert costs["ig"] == Cost(forwards=2 + 5 * 2, backwards=5 * 2)
    assert study.exact("resid_post").cost is None
    assert Grid.from_tensor("z", torch.zeros(3, 2)).cost is None


def kl_from(logits):
    target = logits[:, -1].log_softmax(-1)

    def divergence(here):
        difference = target - here[:, -1].log_softmax(-1)
        return (target.exp() * difference).sum(-1)

    return divergence


def distance_from(logits):
    return lambda here: (here - logits)[:, -1].square().sum(-1)


AT_THE_BASE = [name for name in METHODS if name != "ig"]  # which looks further on


@pytest.mark.parametrize("method", AT_THE_BASE)
@pytest.mark.parametrize("make", [kl_from, distance_from])
@pytest.mark.parametrize("direction", ["denoising", "noising"])
def test_a_divergence_from_the_base_run_is_refused(deep, method, make, direction):
    clean, corrupted, _ = random_tokens(2, 5, differ=(1, 3))
    base, source = (corrupted, clean)[:: 1 if direction == "denoising" else -1]
    with torch.no_grad():
        metric, other = make(deep(base)), make(deep(source))
    study = PatchStudy(deep, clean, corrupted, metric=metric, direction=direction)
    message = "vanishes on the base run.*turns there.*metric='kl'"
    with pytest.raises(ValueError, match=message):
        study.estimate("z", method)
    from_source = PatchStudy(deep, clean, corrupted, metric=other, direction=direction)
    assert float(from_source.estimate("z", method).raw.abs().max()) > 0


@pytest.mark.parametrize("method", AT_THE_BASE)
def test_a_metric_that_is_constant_at_the_base_run_is_refused(deep, method):
    clean, corrupted, answers = random_tokens(2, 5, differ=(1, 3))
    difference = right_minus_wrong(answers)

    def hinge(logits):
        return (difference(logits) - 1000).relu()

    study = PatchStudy(deep, clean, corrupted, metric=hinge)
    with pytest.raises(ValueError, match=r"vanishes on the base run.*constant there"):
        study.estimate("z", method)


def test_a_small_probability_is_no_reason_to_refuse(deep, method):
    """Its slope on the base run is as small as itself, and no smaller."""
    clean, corrupted, _ = random_tokens(1, 5, differ=(1, 3, 4))
    with torch.no_grad():
        said = deep(clean)[:, -1].argmax(-1, keepdim=True)

    def probability(logits):
        return (50 * logits[:, -1]).softmax(-1).gather(1, said)[:, 0]

    study = PatchStudy(deep, clean, corrupted, metric=probability)
    clean_value, corrupted_value = study.baselines
    assert float(corrupted_value) < 1e-6
    assert float(clean_value) > 0.5
    assert float(study.estimate("z", method).raw.abs().max()) > 0


def test_hooks_give_plain_atp_only(tokens, method):
    model = random_model(STYLES[-1])
    model.add_hook("blocks.0.hook_resid_pre", lambda value, hook: 1.1 * value)
    study = PatchStudy(model, *tokens)
    assert "carries hooks" in study.notice
    if method == "atp":
        assert study.estimate("q", method).values.isfinite().all()
        return
    with pytest.raises(ValueError, match=f"{method} needs the decoder.*only 'atp'"):
        study.estimate("q", method)


@pytest.mark.parametrize(
    ("kind", "by", "message"),
    [("heads", None, "unknown kind 'heads'"), ("q", "dest", "q cannot be had by")],
)
def test_a_kind_that_does_not_exist_is_refused(study, method, kind, by, message):
    with pytest.raises(ValueError, match=message):
        METHODS[method](study._runs, kind, by)


def test_unknown_methods_are_named(study):
    with pytest.raises(
        ValueError, match="choose one of atp, atp_qk, graddrop, atp_star"
    ):
        study.estimate("z", "atp*")


def test_means_of_a_grid_over_opposite_pairs():
    grid = Grid("z", torch.tensor([[[2.0, 1.0]], [[-2.0, 1.0]]]))
    assert grid.values.tolist() == [[0.0, 1.0]]
    assert grid.mean_abs.tolist() == [[2.0, 1.0]]
    assert str(grid.top(1)[0][0]) == "L0H1.z"
    assert grid.top(1, mean_abs=True) == [(next(grid.nodes()), 2.0)]


def test_unknown_values_stay_unknown_in_both_means():
    grid = Grid("z", torch.tensor([[[float("nan"), 1.0]], [[1.0, -1.0]]]))
    assert grid.mean_abs.isnan().tolist() == [[True, False]]
    assert len(grid.top(2, mean_abs=True)) == 1


def test_an_ablation_has_estimates_too(deep, method):
    """Without another run effects are raw changes, and a flat metric is still refused."""
    clean, _, answers = random_tokens(2, 5)
    study = PatchStudy(deep, clean, answers=answers, source="zero")
    grid = study.estimate("z", method)
    assert grid.scale is None
    assert grid.values.isfinite().all()
    assert float(grid.values.abs().max()) > 1e-3
    with torch.no_grad():
        metric = kl_from(deep(clean))
    flat = PatchStudy(deep, clean, metric=metric, source="zero")
    if method == "ig":
        # It asks for slopes on the way, where there are some.
        assert float(flat.estimate("z", method).values.abs().max()) > 1e-6
        return
    with pytest.raises(ValueError, match="vanishes on the base run"):
        flat.estimate("z", method)
