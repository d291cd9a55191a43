"""Heads that make up for one that is taken away, in a model where they are known."""

from __future__ import annotations

from math import isnan

import pytest
import torch
from built_models import OUT, A, axis, backed_up, built, built_pairs
from through_hooks import by_hooks
from torch.testing import assert_close
from toy_models import STYLES, random_model, random_tokens

from patchwidget import Head, Node, PatchStudy, sources

MOVER, BACKUP, NEGATIVE = Head(0, 0), Head(1, 1), Head(1, 2)


@pytest.fixture(scope="module")
def backed():
    return PatchStudy(backed_up(), built_pairs(), direction="noising")


def test_a_backup_head_is_found_and_single_ablation_misses_it(backed):
    # Before: the mover writes 1, its backup 0, the negative head -0.5. The metric is 0.5.
    assert backed.scale == pytest.approx(-0.5)
    alone = backed.exact("z").values
    assert float(alone[BACKUP.cell]) == 0, "single ablation misses it"
    found = backed.self_repair(MOVER)
    assert_close(found.own.raw, torch.full((2,), -1.0))
    assert_close(found.heads.raw[:, 1], torch.tensor([[0, 1.0, 0.5]] * 2))
    assert_close(found.before.values, torch.tensor([[1.0, 0, 0], [0, 0, -0.5]]))
    assert bool(found.heads.raw[:, 0].isnan().all()), "its own layer comes not later"
    assert_close(found.norm.raw, torch.zeros(2))
    assert_close(found.effect.raw, torch.full((2,), 0.5))
    assert_close(backed.exact([MOVER])[MOVER].raw, found.effect.raw)
    assert found.undone == pytest.approx(1.5), "more than all of it"
    assert found.damage == pytest.approx(-1)
    first, second = found.against()
    assert (first.head, first.role, first.change) == (BACKUP, "backup", -2)
    assert (second.head, second.role, second.before) == (
        NEGATIVE,
        "negative head",
        -0.5,
    )
    assert [one.head for one in found.against(1)] == [BACKUP]
    assert len(found.against()) == 2, "a head that does next to nothing is none"
    assert "L1H1.z: -2.0000, backup" in repr(found)


@pytest.mark.parametrize(
    "source", ["zero", sources.Mean(torch.full((3, 1), 2)), sources.Gaussian(0.5)]
)
def test_any_source_can_take_it_away(source):
    study = PatchStudy(backed_up(), built_pairs(), source=source)
    found = study.self_repair(MOVER)
    own = found.own.raw
    assert float(own.abs().min()) > 0.01
    assert_close(found.heads.raw[:, 1, 1], -own)
    assert_close(found.heads.raw[:, 1, 2], -own / 2)


def test_heads_taken_away_together_are_not_later_ones(backed):
    found = backed.self_repair([MOVER, BACKUP])
    assert_close(found.own.raw, torch.full((2,), -1.0))
    assert bool(found.heads.raw[:, 1, 1].isnan().all())
    assert_close(found.heads.raw[:, 1, 2], torch.full((2,), 0.5))
    assert found.undone == pytest.approx(0.5)


def test_what_is_inside_a_head_is_its_own(backed):
    whole = backed.self_repair(MOVER)
    for name in ("L0H0.v", "L0.attn_out@0"):
        found = backed.self_repair(name)
        assert_close(found.own.raw, whole.own.raw)
        assert_close(found.heads.raw, whole.heads.raw, equal_nan=True)
    # The stream holds the token, too, which the backup head reads.
    stream = backed.self_repair("L0.resid_mid@0")
    assert_close(stream.own.raw, whole.own.raw)
    assert_close(stream.heads.raw[:, 1], torch.tensor([[0, 0, 0.5]] * 2))
    # The embedding is what the heads of its own layer read.
    stream = backed.self_repair("embed")
    assert_close(stream.heads.raw[:, 0], torch.tensor([[-1.0, 0, 0]] * 2))
    assert_close(stream.own.raw, torch.zeros(2))
    assert isnan(stream.undone)
    assert stream.damage == pytest.approx(-0.5), "all of it works through others"


def test_a_negative_head_that_turns_round_is_a_backup():
    """What is left of it is judged: from -0.5 to +0.5 is no letting go."""
    model = built(
        {
            (0, 0): (axis((A, 1)), axis((OUT, 1))),
            (1, 2): (axis((A, 0.5), (OUT, -1)), axis((OUT, 1))),
        }
    )
    study = PatchStudy(model, built_pairs(), direction="noising")
    (found,) = study.self_repair(MOVER).against()
    assert (found.before, found.role) == (-0.5, "backup")


def test_a_metric_that_is_not_linear(backed):
    study = PatchStudy(
        backed_up(),
        built_pairs(),
        direction="noising",
        metric={"p": "prob", "l": "logit_diff"},
    )
    found = study.self_repair(MOVER)
    assert found.heads.metric == "p"
    assert float(found.heads.raw[0, 1, 1]) > float(found.heads.raw[0, 1, 2]) > 0
    linear = study.self_repair(MOVER, metric="l")
    assert_close(linear.heads.raw, backed.self_repair(MOVER).heads.raw, equal_nan=True)


@pytest.fixture(scope="module")
def random():
    model = random_model(STYLES[0], n_layers=2, n_heads=2)
    return model, random_tokens(2, 5, differ=(1, 3))


def test_the_parts_add_up_to_the_effect():
    """Exactly, for a logit difference: here to the rounding of float64."""
    model = random_model(STYLES[0], n_layers=3, n_heads=2).to(torch.float64)
    study = PatchStudy(model, *random_tokens(2, 5, differ=(1, 3)), direction="noising")
    found = study.self_repair(["L0H1.q", "L1.mlp", "L1H0.z@3"])
    parts = found.own.raw + found.heads.raw.nansum((1, 2)) + found.mlps.nansum(1)
    assert_close(parts + found.norm.raw, found.effect.raw, rtol=0, atol=1e-13)
    assert float(found.norm.raw.abs().min()) > 1e-3
    assert_close(study.joint(found.patch).effect.raw, found.effect.raw)


def test_a_metric_of_ones_own_reads_where_it_likes(random):
    model, (clean, corrupted, answers) = random

    def everywhere(logits):
        return (logits[:, 2, 7] - logits[:, -1, 9]) * 0.1

    study = PatchStudy(model, clean, corrupted, answers, metric=everywhere)
    found = study.self_repair("L0H1.z")
    parts = found.own.raw + found.heads.raw.nansum((1, 2)) + found.mlps.nansum(1)
    assert_close(parts + found.norm.raw, found.effect.raw, rtol=1e-4, atol=1e-5)
    tight = PatchStudy(
        model, clean, corrupted, answers, metric=everywhere, budget=10**6
    )
    assert_close(tight.self_repair("L0H1.z").heads.raw, found.heads.raw, equal_nan=True)


def test_a_metric_of_which_only_the_mean_is_known(random):
    model, (clean, corrupted, answers) = random

    def mean(logits):
        right, wrong = logits[:, -1].gather(1, answers).unbind(1)
        return (right - wrong).mean()

    ours = PatchStudy(model, clean, corrupted, answers).self_repair("L0H1.z")
    found = PatchStudy(model, clean, corrupted, metric=mean).self_repair("L0H1.z")
    assert found.heads.raw.shape == (1, 2, 2)
    mean_of_ours = ours.heads.raw.mean(0, keepdim=True)
    assert_close(found.heads.raw, mean_of_ours, equal_nan=True)
    assert_close(found.own.raw, ours.own.raw.mean(0, keepdim=True))


def test_where_both_runs_have_one_metric_changes_are_raw(random):
    """As for effects: there is nothing of which they could be a fraction."""
    model, (clean, corrupted, _) = random
    answers = torch.tensor([[7, 7]] * len(clean))
    found = PatchStudy(model, clean, corrupted, answers).self_repair("L0H1.z")
    assert "own direct effect +0.0000" in repr(found)
    assert found.against() == []


def test_no_change_is_exactly_none(random):
    model, (clean, corrupted, answers) = random
    found = PatchStudy(model, clean, corrupted, answers).self_repair("L0H1.z@0")
    for raw in (found.own.raw, found.heads.raw.nan_to_num(), found.mlps.nan_to_num()):
        assert not raw.any()


def test_what_is_refused(random):
    model, tokens = random
    study = PatchStudy(model, *tokens)
    with pytest.raises(ValueError, match="the set is empty"):
        study.self_repair([])
    with pytest.raises(ValueError, match=r"L0H1\.z is given twice"):
        study.self_repair(["L0H1.z", "L0H1.z"])
    with pytest.raises(ValueError, match=r"L1\.attn_out@2 replaces what others"):
        study.self_repair(["L0H1.z", Node("attn_out", 1, pos=2)])
    with pytest.raises(ValueError, match="needs the decoder"):
        by_hooks(model, *tokens).self_repair("L0H1.z")
    with pytest.raises(IndexError, match="no head 5"):
        study.self_repair("L0H5.z")
    with pytest.raises(ValueError, match="no metric"):
        study.self_repair("L0H1.z", metric="nll")
