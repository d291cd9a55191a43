"""What a study says when it is asked about paths, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close
from toy_models import STYLES, random_model, random_tokens

from patchwidget import Head, PatchStudy, Reader, Writer, sources


@pytest.fixture(scope="module")
def model():
    return random_model(STYLES[0], n_layers=3, n_heads=2)


@pytest.fixture(scope="module")
def study(model):
    return PatchStudy(model, *random_tokens(3, 5, differ=(1, 3)))


def test_a_grid_of_all_paths(study):
    paths = study.paths()
    # One embedding, three layers of two heads and an MLP; three layers of 2 q, k, v, MLP.
    assert paths.axes == ("writer", "reader")
    assert paths.raw.shape == (3, 10, 22)
    assert paths.per_pair.shape == paths.raw.shape
    assert_close(paths.values, paths.per_pair.mean(0), equal_nan=True)
    assert_close(paths.mean_abs, paths.per_pair.abs().mean(0), equal_nan=True)
    assert (paths.method, paths.direction, paths.metric) == (
        "atp",
        "denoising",
        "logit_diff",
    )
    assert (paths.cost.forwards, paths.cost.backwards) == (2, 1)
    # Where no path is, no value is.
    there = ~paths.values.isnan()
    by_writer = dict(
        zip(map(str, (e[0] for e in paths.writers.entries)), there, strict=True)
    )
    assert int(by_writer["embed"].sum()) == 22
    assert int(by_writer["L0H1"].sum()) == 16, "its own MLP, two more layers, the end"
    assert int(by_writer["L0.mlp"].sum()) == 15
    assert int(by_writer["L2.mlp"].sum()) == 1


def test_paths_are_found_by_name(study):
    paths = study.paths()
    (best, value), *rest = paths.top(5)
    assert len(rest) == 4
    assert paths[best] == paths[str(best)] == value
    assert abs(value) == float(paths.values.abs().nan_to_num().max())
    (_, size), *_ = paths.top(1, mean_abs=True)
    assert size == float(paths.mean_abs.nan_to_num().max())
    assert len(paths.top(10**6)) == int((~paths.values.isnan()).sum()), "no gaps"
    writer, reader = best.writers[0], best.readers[0]
    assert float(paths.sel(writer=writer, reader=str(reader))) == value
    assert paths.sel(writer=writer).shape == (22,)
    assert paths.sel(reader="final").shape == (10,)
    assert paths.sel(writer=0).shape == (22,)
    assert str(best) in repr(paths)
    assert repr(paths).startswith(
        "atp 10 writers -> 22 readers (denoising, logit_diff)"
    )


@pytest.mark.parametrize("name", ["L9H0 -> final", "L0H0 -> L9H0.q", "L0H0", "L0H0 ->"])
def test_a_path_that_is_not_there_is_a_key_error(study, name):
    with pytest.raises(KeyError):
        study.paths()[name]


def test_axes_that_are_not_there_are_key_errors(study):
    with pytest.raises(KeyError, match=r"'L1H0' is no reader here: choose '.*, \.\.\."):
        study.paths().sel(reader="L1H0")
    with pytest.raises(KeyError, match="no axis"):
        study.paths().sel(head=1)
    with pytest.raises(KeyError, match="give a number"):
        study.exact_paths("L0H0", "q").sel(layer="L1")


def test_paths_by_position(study):
    paths = study.paths(by="pos")
    assert paths.axes == ("writer", "reader", "pos")
    assert paths.raw.shape == (3, 10, 22, 5)
    (best, value), *_ = paths.top(1)
    assert best.writers[0].pos is not None
    assert paths[best] == value
    with pytest.raises(KeyError, match="which position"):
        paths["L0H0 -> final"]


def test_a_scalar_metric_gives_sums_over_pairs(model, study):
    clean, corrupted, answers = random_tokens(3, 5, differ=(1, 3))

    def mean(logits):
        right, wrong = logits[:, -1].gather(1, answers).unbind(1)
        return (right - wrong).mean()

    scalar = PatchStudy(model, clean, corrupted, metric=mean)
    for ask in (
        lambda study: study.paths(),
        lambda study: study.paths("ig", steps=2),
        lambda study: study.exact_paths("L0H0", "q"),
        lambda study: study.exact_paths("head", "final"),
    ):
        found = ask(scalar)
        assert found.raw.shape[0] == 1
        assert_close(found.values, ask(study).values, equal_nan=True)


def test_several_metrics(model):
    metric = {"a": "logit_diff", "b": "logprob"}
    tokens = random_tokens(3, 5, differ=(1, 3))
    both = PatchStudy(model, *tokens, metric=metric)
    alone = PatchStudy(model, *tokens, metric="logprob")
    assert_close(both.paths(metric="b").raw, alone.paths().raw, equal_nan=True)
    assert_close(
        both.exact_paths("L0H0", "v", metric="b").raw,
        alone.exact_paths("L0H0", "v").raw,
        equal_nan=True,
    )
    with pytest.raises(ValueError, match="there is no metric 'c'"):
        both.paths(metric="c")


def test_a_metric_that_looks_elsewhere_than_before(model):
    """Where it looked at one position so far, runs were about to compute only that."""
    clean, corrupted, _ = random_tokens(3, 5, differ=(1, 3))
    both = [False]

    def moody(logits):
        return logits[:, -1, 7] - (logits[:, 2, 9] if both[0] else 0)

    ends = "L0H0", ["L1H0.v", "final"]
    study = PatchStudy(model, clean, corrupted, metric=moody)
    alone = study.exact_paths(*ends).raw
    both[0] = True
    found = study.exact_paths(*ends).raw + study._runs.scale.base[:, None]
    fresh = PatchStudy(model, clean, corrupted, metric=moody)
    expected = fresh.exact_paths(*ends).raw + fresh._runs.scale.base[:, None]
    assert_close(found, expected)
    assert not torch.allclose(found, alone + study._runs.scale.base[:, None])


def test_ways_to_name_ends(study):
    grid = study.exact_paths(Head(0, 1), "q")
    assert (grid.axes, grid.values.shape) == (("layer", "head"), (3, 2))
    assert bool(grid.values[0].isnan().all())
    one = study.exact_paths("L0H1", "L2H1.q")
    assert one.axes == ()
    assert float(one.values) == one["L0H1 -> L2H1.q"]
    assert_close(one.values, grid.values[2, 1])
    assert grid["L0H1 -> L2H1.q"] == float(grid.sel(layer=2, head=1))
    some = study.exact_paths([Head(0, 0), Writer("head", 0, 1)], [Reader("q", 2, 1)])
    assert (some.axes, some.values.shape) == (("writer", "reader"), (2, 1))
    assert_close(some.values[1, 0], grid.values[2, 1])
    mlps = study.exact_paths("mlp", "mlp")
    assert mlps.axes == ("writer_layer", "layer")
    assert mlps.values.isnan().sum() == 6
    assert study.exact_paths(["embed"], ["final"]).values.shape == (1, 1)
    assert [str(path) for path, _ in study.exact_paths("L1H0", ["final"]).top()] == [
        "L1H0 -> final"
    ]


def test_positions_have_names(model):
    from patchwidget import Pairs

    clean, corrupted, answers = random_tokens(3, 5, differ=(1, 3))
    pairs = Pairs(clean, corrupted, answers=answers, labels={"S2": 3})
    named = PatchStudy(model, pairs)
    assert_close(
        named.exact_paths("L0H0@S2", "L1H0.q").raw,
        named.exact_paths(Head(0, 0, pos=3), "L1H0.q").raw,
    )


def test_what_cannot_matter_is_exactly_nothing(study):
    """The prompts differ from position 1 on; the last position is read."""
    early = study.exact_paths(["L0H0@0", "embed@0"], ["L1H0.q", "final"])
    assert torch.equal(early.raw, torch.zeros_like(early.raw))
    before_the_end = study.exact_paths("L0H0@1", "final")
    assert torch.equal(before_the_end.raw, torch.zeros_like(before_the_end.raw))


def test_a_small_budget_gives_the_same(model, study):
    tokens = random_tokens(3, 5, differ=(1, 3))
    needed = 200_000
    careful = PatchStudy(model, *tokens, budget=needed)
    for ends in (("L0H0", "q"), ("head", "final"), ("head", {"L1H0.q", "L2H0.q"})):
        assert_close(
            careful.exact_paths(*ends).raw, study.exact_paths(*ends).raw, equal_nan=True
        )
    with pytest.raises(ValueError, match="the budget is 10"):
        PatchStudy(model, *tokens, budget=10).exact_paths("L0H0", "q")


def test_reversed_paths_are_of_the_other_direction(study):
    other = study.reversed()
    assert other.paths().direction == "noising"
    assert not torch.allclose(
        other.exact_paths("L0H0", "L1H0.q").raw, study.exact_paths("L0H0", "L1H0.q").raw
    )


def test_an_ablation_is_a_source_like_any_other(model):
    clean, corrupted, answers = random_tokens(3, 5, differ=(1, 3))
    study = PatchStudy(model, clean, answers=answers, source=sources.Mean(corrupted))
    paths, z = study.paths(), study.estimate("z").raw
    sums = paths.raw.nansum(2)
    for layer in range(3):
        for head in range(2):
            place = paths.writers.place(f"L{layer}H{head}")
            assert_close(sums[:, place], z[:, layer, head], rtol=1e-4, atol=1e-5)
    assert study.exact_paths("L0H0", "q").raw[:, 1:].isfinite().all()
    with pytest.raises(ValueError, match="an ablation has no other prompt"):
        study.paths("ig")


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        (("L2H0", "L1H0.q"), "runs backwards"),
        (("L1H0", "L1H0.q"), "leads to itself"),
        (("L1.mlp", {"L2H0.q", "L1H0.q"}), "L1.mlp -> L1H0.q leads into its own layer"),
        (({"L0H0", "L1H0"}, "L1H0.q"), "L1H0 -> L1H0.q leads to itself"),
        (("L2H0", "q"), "no path leads there"),
        (("L0H0", "z"), "'z' is not a reader"),
        (("L0H0", "L1H0.z"), "unknown reader 'z'"),
        (("L0H0.q", "L1H0.q"), "L0H0.q is not a writer"),
        (("L0H0", []), "no reader is given"),
        (([], "q"), "no writer is given"),
        (("L0H0", set()), "a set of readers is empty"),
        (([set()], "q"), "a set of writers is empty"),
        (("L0H0", {"L1H0.q", "final"}), "Ask for 'final' alone"),
        (({"L0H0", "L0H0@2"}, "q"), "L0H0 and L0H0@2 overlap"),
    ],
)
def test_what_is_no_path_is_refused(study, ends, words):
    with pytest.raises(ValueError, match=words):
        study.exact_paths(*ends)


def test_the_model_has_no_such_end(study):
    with pytest.raises(IndexError, match="there is no KV head 2, only 0 to 1"):
        study.exact_paths("L0H0", "L1H2.k")
    with pytest.raises(IndexError, match="there is no layer 7"):
        study.exact_paths("L7H0", "q")
    with pytest.raises(TypeError, match="3 is not a writer"):
        study.exact_paths([3], "q")
    with pytest.raises(TypeError, match="is not a reader: use a Reader"):
        study.exact_paths("L0H0", [0.5])


def test_unknown_methods_and_options(study):
    with pytest.raises(
        ValueError, match="unknown method 'relp': choose one of atp, ig"
    ):
        study.paths("relp")
    with pytest.raises(ValueError, match="paths cannot be had by 'dest'"):
        study.paths(by="dest")
    with pytest.raises(ValueError, match="steps must be a whole number"):
        study.paths("ig", steps=0)
    with pytest.raises(TypeError, match="steps"):
        study.paths("atp", steps=3)


def test_a_changed_model_is_refused():
    model = random_model(STYLES[0], n_layers=2, n_heads=2)
    study = PatchStudy(model, *random_tokens(2, 5))
    with torch.no_grad():
        next(model.parameters()).add_(1)
    for ask in (study.paths, lambda: study.exact_paths("L0H0", "q")):
        with pytest.raises(RuntimeError, match="weights"):
            ask()


def test_a_model_that_only_hooks_can_run_is_refused():
    model = random_model(STYLES[0], n_layers=2, n_heads=2)
    model.blocks[0].mlp.register_forward_hook(lambda *_: None)
    study = PatchStudy(model, *random_tokens(2, 5))
    assert study.notice is not None
    for ask in (study.paths, lambda: study.exact_paths("L0H0", "q")):
        with pytest.raises(ValueError, match="needs the decoder"):
            ask()


def test_a_metric_that_is_not_a_number_is_named(model):
    def broken(logits):
        moved = len(calls) > 2
        calls.append(1)
        value = logits[:, -1, 7]
        return value / 0 if moved else value

    calls = []
    study = PatchStudy(model, *random_tokens(2, 5)[:2], metric=broken)
    calls.extend([1] * 5)
    with pytest.raises(ValueError, match="broken is not finite on path L0H0 -> L1H0"):
        study.exact_paths("L0H0", "L1H0.q")


def test_the_users_modes_are_left_alone(model):
    tokens = random_tokens(2, 5)
    with torch.inference_mode():
        study = PatchStudy(model, *tokens)
        study.paths("ig", steps=1)
        study.exact_paths("L0H0", ["L1H0.q", "final"])
        assert torch.is_inference_mode_enabled()
    torch.set_grad_enabled(False)
    try:
        PatchStudy(model, *tokens).paths()
        assert not torch.is_grad_enabled()
    finally:
        torch.set_grad_enabled(True)


def test_steps_leave_the_grad_mode_as_it_is(study):
    from patchwidget.paths import ExactPaths
    from patchwidget.paths.sides import reader_side, writer_side

    ends = writer_side("head", study.extent, None), reader_side("q", study.extent)
    job = ExactPaths(study._runs, *ends, None)
    done = []
    for step in job.steps():
        assert torch.is_grad_enabled()
        done.append(step.done)
    assert done == sorted(done)
    assert done[-1] == 2 * 4 + 2 * 2, (
        "two heads to two layers of two, two to one of two"
    )
    early = ExactPaths(study._runs, *ends, None)
    steps = early.steps()
    next(steps)
    steps.close()
    assert bool(early.grid().raw.isnan().all()), "nothing was finished"


def test_a_metric_that_raises_is_told_with_its_path(model):
    calls = []

    def fails(logits):
        if len(calls) > 5:
            raise KeyError("answer")
        calls.append(1)
        return logits[:, -1, 7]

    study = PatchStudy(model, *random_tokens(2, 5)[:2], metric=fails)
    calls.extend([1] * 6)
    with pytest.raises(
        RuntimeError, match="raised KeyError: 'answer', on path L0H0 ->"
    ):
        study.exact_paths("L0H0", "q")
