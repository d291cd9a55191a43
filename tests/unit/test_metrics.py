"""Metrics against their formulas, and what is said of one that cannot be used."""

from __future__ import annotations

import functools

import pytest
import torch
from torch.testing import assert_close

from patchwidget import Head, Pairs, PatchStudy


def right_minus_wrong(logits, answers, position=-1):
    here = logits[:, position]
    right, wrong = answers.unbind(1)
    rows = torch.arange(len(here))
    return here[rows, right] - here[rows, wrong]


def log_prob(logits, answers, position=-1):
    rows = torch.arange(len(logits))
    return logits[:, position].log_softmax(-1)[rows, answers[:, 0]]


def prob(logits, answers, position=-1):
    rows = torch.arange(len(logits))
    return logits[:, position].softmax(-1)[rows, answers[:, 0]]


def kl_from(target, logits, position=-1):
    p, q = (x[:, position].softmax(-1).double() for x in (target, logits))
    return (p * (p / q).log()).sum(-1).float()


FORMULAS = {"logit_diff": right_minus_wrong, "logprob": log_prob, "prob": prob}


@pytest.fixture(scope="module")
def logits(model, tokens):
    """The model's own logits on clean and corrupted prompts."""
    with torch.no_grad():
        return model(tokens[0]), model(tokens[1])


@pytest.mark.parametrize("position", [-1, 3])
@pytest.mark.parametrize("metric", FORMULAS)
def test_named_metrics(model, tokens, logits, metric, position):
    clean, corrupted, answers = tokens
    pairs = Pairs(clean, corrupted, answers=answers, position=position)
    study = PatchStudy(model, pairs, metric=metric)
    expected = [FORMULAS[metric](run, answers, position) for run in logits]
    assert study.metric == metric
    for found, want in zip(study.baselines, expected, strict=True):
        assert found.shape == (3,)
        assert_close(found, want)
    assert study.scale == pytest.approx(
        float((expected[0] - expected[1]).mean()), rel=1e-5
    )


@pytest.mark.parametrize("metric", ["logprob", "prob"])
def test_the_right_answer_alone_is_enough(model, tokens, metric):
    alone = PatchStudy(model, *tokens[:2], tokens[2][:, :1], metric=metric)
    assert_close(
        alone.baselines[0], PatchStudy(model, *tokens, metric=metric).baselines[0]
    )


@pytest.mark.parametrize("direction", ["denoising", "noising"])
def test_kl_is_from_the_source_run(model, tokens, logits, direction):
    study = PatchStudy(model, *tokens[:2], metric="kl", direction=direction)
    clean, corrupted = logits
    source, base = (clean, corrupted) if direction == "denoising" else logits[::-1]
    of_base, of_source = study._runs.scale.base, study._runs.scale.source
    assert torch.equal(of_source, torch.zeros(3))
    assert_close(of_base, kl_from(source, base))
    assert float(of_base.min()) > 0
    # Turned round it is the divergence from the other run.
    assert_close(study.reversed()._runs.scale.base, kl_from(base, source))
    assert float(study.estimate("z").raw.abs().max()) > 0, "it has a gradient"


def test_an_effect_of_one_reaches_the_source(model, tokens):
    """All of the stream from the source at the end: the patched run is the source run."""
    for metric in ("logit_diff", "logprob", "prob", "kl"):
        study = PatchStudy(model, *tokens, metric=metric)
        (effect,) = study.exact(["L1.resid_post@6"]).values()
        assert effect.value == pytest.approx(1.0, abs=1e-4), metric


def test_a_function_per_pair(model, tokens, logits):
    answers = tokens[2]
    study = PatchStudy(
        model, *tokens[:2], metric=functools.partial(log_prob, answers=answers)
    )
    named = PatchStudy(model, *tokens, metric="logprob")
    assert study.metric == "partial"
    assert_close(study.baselines[1], log_prob(logits[1], answers))
    nodes = [Head(0, 1), Head(1, 2, "q"), Head(0, 0, "k", 2)]
    ours, theirs = study.exact(nodes), named.exact(nodes)
    for node in nodes:
        assert ours[node].raw.shape == (3,)
        assert_close(ours[node].raw, theirs[node].raw)
        assert ours[node].halves is None, "what it reads is its own affair"


def test_a_function_of_all_pairs_knows_only_the_mean(model, tokens):
    answers = tokens[2]

    def mean(logits):
        return log_prob(logits, answers).mean()

    study = PatchStudy(model, *tokens[:2], metric=mean)
    named = PatchStudy(model, *tokens, metric="logprob")
    assert study.metric == "mean"
    assert study.baselines[0].shape == (1,)
    assert study.scale == pytest.approx(named.scale, rel=1e-4)
    node = Head(1, 2)
    assert study.exact([node])[node].raw.shape == (1,)
    assert study.exact([node])[node].value == pytest.approx(
        named.exact([node])[node].value, rel=1e-4
    )
    assert study.exact("z").raw.shape == (1, 2, 3)


def test_a_function_sees_logits_of_every_position_and_each_patch_alone(model, tokens):
    shapes = []

    def metric(logits):
        shapes.append(tuple(logits.shape))
        return logits[:, 2, 5] - logits[:, 4, 7]

    study = PatchStudy(model, *tokens[:2], metric=metric)
    study.exact("z")
    assert set(shapes) == {(3, 7, 300)}


def test_a_count_has_exact_effects(model, tokens):
    """An accuracy is a metric too; only its gradient does not exist."""
    right = tokens[2][:, 0]

    def first(logits):
        return logits[:, -1].argmax(-1) == right

    def rank(logits):
        here = logits[:, -1]
        return (here > here.gather(1, right[:, None])).sum(-1)

    for metric in (first, rank):
        study = PatchStudy(model, *tokens[:2], metric=metric)
        grid = study.exact("resid_post")
        assert_close(grid.raw[:, -1, -1], study.baselines[0] - study.baselines[1])
        with pytest.raises(ValueError, match="cannot be differentiated"):
            study.estimate("z")
    assert study.scale is not None, "ranks differ here"


def test_a_metric_at_an_earlier_position_ignores_what_comes_later(model, tokens):
    clean, corrupted, answers = tokens
    study = PatchStudy(model, Pairs(clean, corrupted, answers=answers, position=3))
    later = [node for node in study.extent.nodes("resid_pre") if node.pos > 3]
    for effect in study.exact(later).values():
        assert torch.equal(effect.raw, torch.zeros(3))
    (read,) = study.exact(["L1.resid_pre@3"]).values()
    assert float(read.raw.abs().max()) > 0


BAD = {
    "a number": (lambda logits: 1.5, TypeError, "returned float 1.5: return a scalar"),
    "an item": (lambda logits: logits.mean().item(), TypeError, "returned float"),
    "nothing": (lambda logits: None, TypeError, "returned NoneType"),
    "a matrix": (
        lambda logits: logits[:, -1],
        ValueError,
        r"returned shape \[3, 300\]: a scalar or \[3\], one value a pair",
    ),
    "other rows": (lambda logits: logits[:2, -1, 0], ValueError, r"shape \[2\]"),
    "a column": (lambda logits: logits[:, -1, :1], ValueError, r"shape \[3, 1\]"),
    "an empty one": (lambda logits: logits[:0, -1, 0], ValueError, r"shape \[0\]"),
}


@pytest.mark.parametrize("name", BAD)
def test_functions_that_return_something_else(model, tokens, name):
    function, kind, message = BAD[name]
    with pytest.raises(kind, match=message):
        PatchStudy(model, *tokens[:2], metric=function)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_metric_that_is_no_number_on_a_run(model, tokens, bad):
    def some_bad(logits):
        return logits[:, -1, 0] + torch.tensor([0, bad, 0])

    message = r"metric some_bad is not finite on the base run, pairs \[1\]"
    with pytest.raises(ValueError, match=message):
        PatchStudy(model, *tokens[:2], metric=some_bad)


def test_a_metric_that_is_no_number_on_the_source_run_only(model, tokens, logits):
    limit = float((logits[0] - logits[1])[:, -1, 0].max())
    pair = int((logits[0] - logits[1])[:, -1, 0].argmax())
    base = logits[1][:, -1, 0]

    def breaks(out):
        here = out[:, -1, 0]
        return torch.where(here - base > limit / 2, torch.nan, here)

    assert limit > 0
    with pytest.raises(ValueError, match=rf"on the source run, pairs \[.*{pair}.*\]"):
        PatchStudy(model, *tokens[:2], metric=breaks)


def test_a_metric_that_is_no_number_at_a_node_names_the_node(model, tokens):
    clean, corrupted, answers = tokens
    plain = PatchStudy(model, clean, corrupted, answers)
    effects = plain.exact("z")
    (worst, _), *_ = plain.exact("z").top(1)
    pair = int(effects.raw[(slice(None), *worst.cell)].abs().argmax())
    raw = effects.raw[(pair, *worst.cell)]
    patched = plain._runs.scale.base[pair] + raw

    def breaks(logits):
        value = right_minus_wrong(logits, answers)
        return torch.where((value - patched).abs() < 1e-5, torch.nan, value)

    study = PatchStudy(model, clean, corrupted, metric=breaks)
    message = rf"not finite on the run in which {worst} is patched, pairs \[{pair}\]"
    with pytest.raises(ValueError, match=message):
        study.exact([worst])
    assert worst not in study.verified
    # The others are had all the same.
    other = next(node for node in study.extent.nodes("z") if node != worst)
    assert_close(study.exact([other])[other].raw, effects.raw[(..., *other.cell)])


@pytest.mark.parametrize(
    "metric",
    [
        lambda logits: logits.detach()[:, -1, 0],
        lambda logits: torch.from_numpy(logits[:, -1, 0].detach().numpy().copy()),
        lambda logits: torch.tensor(logits[:, -1, 0].tolist()),
        lambda logits: logits[:, -1].argmax(-1).float(),
    ],
)
def test_a_metric_without_a_gradient(model, tokens, metric):
    study = PatchStudy(model, *tokens[:2], metric=metric)
    with pytest.raises(
        ValueError, match=r"metric <lambda> cannot be differentiated.*\.detach"
    ):
        study.estimate("z")
    assert study.exact([Head(0, 0)])[Head(0, 0)].raw.shape == (3,), "exact it has"


@pytest.mark.parametrize(
    ("metric", "answers", "message"),
    [
        ("logit_diff", None, "needs a right and a wrong answer for each pair, got 0"),
        ("logit_diff", 1, "needs a right and a wrong answer for each pair, got 1"),
        ("logprob", None, "metric logprob needs a right answer for each pair, got 0"),
        ("prob", None, r"give answers=\[\(right, wrong\), ...\]"),
        ("logit", 2, "unknown metric 'logit': choose one of logit_diff, logprob, prob"),
    ],
)
def test_metrics_that_cannot_be_read(model, tokens, metric, answers, message):
    given = None if answers is None else tokens[2][:, :answers]
    with pytest.raises(ValueError, match=message):
        PatchStudy(model, *tokens[:2], given, metric=metric)


@pytest.mark.parametrize(
    "metric", [None, 3, ["logit_diff", "kl"], {"a": ["kl"]}, {"a": "kl", "b": None}]
)
def test_what_is_neither_a_name_nor_a_function(model, tokens, metric):
    with pytest.raises(TypeError, match=r"is not a metric: give a name.*metric=\{"):
        PatchStudy(model, *tokens, metric=metric)


def test_a_function_need_not_be_hashable(model, tokens):
    class Gap:
        __hash__ = None

        def __call__(self, logits):
            return logits[:, -1, 3] - logits[:, -1, 5]

    study = PatchStudy(model, *tokens, metric=Gap())
    assert study.metric == "Gap"
    assert study.exact(["L0H0.z"])["L0H0.z"].raw.shape == (3,)


@pytest.mark.parametrize(
    ("bad", "kind", "message"),
    [
        (
            lambda logits: logits[:2, -1, 0],
            ValueError,
            r"returned shape \[2\].* needed",
        ),
        (lambda logits: 2.5, TypeError, "returned float 2.5.*differentiated"),
    ],
)
def test_a_wrong_value_of_a_patched_run_names_the_node(
    model, tokens, bad, kind, message
):
    answers, calls = tokens[2], []

    def sometimes(logits):
        calls.append(logits)
        good = logits[:, -1].gather(1, answers[:, :1])[:, 0]
        return good if len(calls) <= 2 else bad(logits)  # the two captured runs

    study = PatchStudy(model, *tokens[:2], metric=sometimes)
    where = r", on the run in which L1H2\.z is patched"
    with pytest.raises(kind, match=f"metric sometimes {message}{where}"):
        study.exact(["L1H2.z"])


def test_every_logit_difference_has_halves(model, tokens):
    """Whichever metric comes first: all of them read the same two logits."""
    metrics = {"p": "prob", "diff": "logit_diff", "again": "logit_diff"}
    study = PatchStudy(model, *tokens, metric=metrics)
    node = "L1H2.z"
    alone = PatchStudy(model, *tokens).exact([node])[node]
    for name in ("diff", "again"):
        effect = study.exact([node], metric=name)[node]
        for half, expected in zip(effect.halves, alone.halves, strict=True):
            assert_close(half, expected)
        assert_close(sum(effect.halves), effect.raw)
    assert study.exact([node])[node].halves is None
