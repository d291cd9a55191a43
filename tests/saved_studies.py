"""Studies that know something of every kind, and whether two of them know the same."""

from __future__ import annotations

import torch

from patchwidget import Pairs, PatchStudy
from patchwidget.saving import SavedStudy

ASKED = (("z", None), ("v", "pos"), ("pattern", "dest_src"), ("attn_out", None))
HEADS = ["L0H0.z", "L0H0.q"]


def spread(logits):
    """A metric of one's own, of which only the mean is known."""
    return logits[:, -1].std()


def last_token(logits):
    """Another one, with a value a pair."""
    return logits[:, -1, 3]


METRICS = {"diff": "logit_diff", "nats": "logprob", "mine": last_token, "mean": spread}


def busy_study(model, tokens, **settings):
    """A study of which everything was asked that can be saved."""
    clean, corrupted, answers = tokens
    labels = {"S2": min(3, clean.shape[1] - 1)}
    pairs = Pairs(clean, corrupted, answers=answers, labels=labels)
    study = PatchStudy(model, pairs, **{"metric": METRICS, **settings})
    ask(study)
    if len(study.directions) > 1:
        study.reversed().estimate("z", metric="nats")
        study.reversed().exact(["L0H0.z"])
    return study


def ask(study):
    """Estimates by every method, single nodes, sets of them, and windows."""
    for kind, by in ASKED:
        for method in study.methods(kind):
            study.estimate(kind, method, by=by)
    study.estimate("z", metric="mine")
    if "ig" in study.methods("z"):
        study.estimate("z", "ig", path="activation", steps=2)
    study.exact("z")
    study.exact(["L0H0.q@0", "L0.resid_pre@S2", "L0H0.pattern@0,0"])
    study.exact("attn_out", window=2)
    last = study.extent.n_heads - 1
    study.joint(["L0H0.z", f"L0H{last}.q"])


def same_study(found, study):
    """Whether all results and settings are the same, bit for bit."""
    assert found.metrics == study.metrics
    assert found.extent == study.extent
    assert found.notice == study.notice
    assert found.model_name == study.model_name
    assert [found.obstacle(k) for k in ("resid_mid", "neuron")] == [
        study.obstacle(k) for k in ("resid_mid", "neuron")
    ]
    same_pairs(found.pairs, study.pairs)
    for kind, _ in ASKED:
        assert found.moving(kind) == study.moving(kind)
    same_side(found, study)
    if study._reversed is not None:
        assert set(found.directions) == {"denoising", "noising"}
        same_side(found.reversed(), study.reversed())


def same_pairs(found, pairs):
    for name in ("clean", "corrupted", "answers"):
        same_tensor(getattr(found, name), getattr(pairs, name))
    for name in ("labels", "position", "text", "answer_text"):
        assert getattr(found, name) == getattr(pairs, name)


def same_side(found, study):
    assert (found.direction, found.scale) == (study.direction, study.scale)
    for ours, theirs in zip(found.baselines, study.baselines, strict=True):
        same_tensor(ours, theirs)
    same_grids(grids_of(found), grids_of(study))
    for metric in study.metrics:
        scale, expected = scale_of(found, metric), scale_of(study, metric)
        assert (scale.dtype, scale.value) == (expected.dtype, expected.value)
        same_effects(effects_of(found, metric), effects_of(study, metric))
        same_grid(found.known("z", metric=metric), study.known("z", metric=metric))
    windows = found.known("attn_out", window=2)
    same_grid(windows, study.known("attn_out", window=2))
    assert list(found.verified) == list(study.verified)


def grids_of(study):
    is_saved = isinstance(study, SavedStudy)
    return dict(study._side.grids if is_saved else study._kept.items())


def scale_of(study, metric):
    is_saved = isinstance(study, SavedStudy)
    return study._scale(metric) if is_saved else study._runs.reading(metric).scale


def effects_of(study, metric):
    is_saved = isinstance(study, SavedStudy)
    if is_saved:
        return study._side.effects[metric]
    return study._runner.known.of(metric)


def same_grids(found, expected):
    assert list(found) == list(expected)
    for ours, theirs in zip(found.values(), expected.values(), strict=True):
        same_grid(ours, theirs)


def same_grid(found, expected):
    for name in (
        *("kind", "by", "method", "direction", "metric"),
        *("window", "signed", "cost", "axes"),
    ):
        assert getattr(found, name) == getattr(expected, name), name
    same_tensor(found.raw, expected.raw)
    same_tensor(found.shown, expected.shown)


def same_effects(found, expected):
    assert list(found) == list(expected)
    for ours, theirs in zip(found.values(), expected.values(), strict=True):
        assert ours.patch == theirs.patch
        same_tensor(ours.raw, theirs.raw)
        same_tensor(ours.shown(ours.raw), theirs.shown(theirs.raw))
        assert (ours.halves is None) == (theirs.halves is None)
        for half, other in zip(ours.halves or (), theirs.halves or (), strict=True):
            same_tensor(half, other)


def same_tensor(found, expected):
    if expected is None:
        assert found is None
        return
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    # Bits: a NaN is itself, and zero is not minus zero.
    assert bits(found).equal(bits(expected))


def bits(tensor):
    row = torch.empty(tensor.numel(), dtype=tensor.dtype)
    return row.copy_(tensor.detach().flatten()).view(torch.uint8)
