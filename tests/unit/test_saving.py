"""What is saved comes back bit for bit, to look at and to go on with."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import warnings
from dataclasses import replace

import pytest
import torch
from saved_studies import (
    HEADS,
    METRICS,
    busy_study,
    effects_of,
    grids_of,
    last_token,
    same_study,
    same_tensor,
    spread,
)
from toy_models import STYLES, random_model, random_tokens

from patchwidget import Head, PatchStudy, demo, sources
from patchwidget.estimate import kept
from patchwidget.saving import NeedsModelError, SavedFileError, SavedStudy

OWN = {"mine": last_token, "mean": spread}


@pytest.fixture(scope="module")
def busy(model, tokens):
    return busy_study(model, tokens)


@pytest.fixture(scope="module")
def path(busy, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "study.patchwidget"
    busy.save(path, attention=HEADS)
    return path


@pytest.fixture
def saved(path):
    return PatchStudy.load(path)


def test_everything_comes_back_without_the_model(saved, busy):
    same_study(saved, busy)


def test_everything_comes_back_with_the_model(path, busy, model):
    study = PatchStudy.load(path, model, metric=OWN)
    assert type(study) is PatchStudy
    same_study(study, busy)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    ("shape", "pairs"),
    [
        ({"n_layers": 1, "n_heads": 1}, (1, 1)),
        ({"n_layers": 1}, (2, 5)),
        ({"n_heads": 1}, (1, 4)),
    ],
    ids=str,
)
def test_odd_shapes_come_back(style, shape, pairs, tmp_path):
    model, tokens = random_model(style, **shape), random_tokens(*pairs, differ=(0,))
    study = busy_study(model, tokens)
    study.save(tmp_path / "s")
    same_study(PatchStudy.load(tmp_path / "s"), study)
    same_study(PatchStudy.load(tmp_path / "s", model, metric=OWN), study)


def test_a_study_of_which_nothing_was_asked_comes_back(study, tmp_path, model):
    study.save(tmp_path / "s")
    for again in (
        PatchStudy.load(tmp_path / "s"),
        PatchStudy.load(tmp_path / "s", model),
    ):
        assert not again.verified
        assert again.scale == study.scale
    assert PatchStudy.load(tmp_path / "s").methods("z") == ()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_precision_comes_back(dtype, tokens, tmp_path):
    model = random_model(STYLES[-1]).to(dtype)
    study = busy_study(model, tokens)
    study.save(tmp_path / "s")
    again = PatchStudy.load(tmp_path / "s", model, metric=OWN)
    same_study(again, study)
    same_study(PatchStudy.load(tmp_path / "s"), study)
    assert effects_of(again, "diff")[Head(0, 0),].raw.dtype == study.baselines[0].dtype


def test_a_study_through_hooks_comes_back(tokens, tmp_path):
    model = random_model(STYLES[-1])
    name = "blocks.0.attn.hook_z"
    model.add_hook(name, lambda value, hook: value * 1.5)
    study = busy_study(model, tokens)
    study.save(tmp_path / "s")
    saved = PatchStudy.load(tmp_path / "s")
    assert "own hooks" in saved.notice
    same_study(saved, study)
    same_study(PatchStudy.load(tmp_path / "s", model, metric=OWN), study)


def test_a_hook_that_came_since_is_noticed(path, tokens):
    model = random_model(STYLES[-1])
    model.add_hook("blocks.0.attn.hook_z", lambda value, hook: value * 1.5)
    with pytest.raises(
        ValueError, match=r"metric diff on the base run differs .* hooks"
    ):
        PatchStudy.load(path, model, metric=OWN)


def test_noising_comes_back_as_noising(model, tokens, tmp_path):
    study = PatchStudy(model, *tokens, direction="noising")
    study.exact("z")
    study.save(tmp_path / "s")
    assert PatchStudy.load(tmp_path / "s").direction == "noising"
    same_study(PatchStudy.load(tmp_path / "s", model), study)


def test_going_on_runs_only_what_is_not_known(path, model, tokens):
    study = PatchStudy.load(path, model, metric=OWN)
    assert study.cost("z").patches == 0
    assert study.cost(["L0H0.z", "L1H2.k"]).patches == 1
    found = study.exact(["L1H2.k"])
    fresh = PatchStudy(model, *tokens, metric=METRICS).exact(["L1H2.k"])
    same_tensor(found["L1H2.k"].raw, fresh["L1H2.k"].raw)


def test_estimates_are_not_made_again(path, model, monkeypatch):
    study = PatchStudy.load(path, model, metric=OWN)
    grid = study.estimate("z")
    monkeypatch.setattr("patchwidget.estimate.asking.SLICES", {"atp": pytest.fail})
    assert study.estimate("z") is grid


@pytest.mark.parametrize(
    "source",
    [
        "zero",
        sources.Gaussian(2.0, seed=3),
        sources.Mean(random_tokens(4, 7, seed=9)[0]),
        sources.Resample(random_tokens(4, 7, seed=8)[0], seed=5),
    ],
    ids=lambda one: getattr(one, "name", one),
)
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "pairs"])
def test_ablations_come_back(source, alone, model, tokens, tmp_path):
    clean, corrupted, answers = tokens
    study = PatchStudy(
        model, clean, None if alone else corrupted, answers, source=source
    )
    study.estimate("z")
    study.exact("z")
    study.save(tmp_path / "s")
    saved, again = (
        PatchStudy.load(tmp_path / "s"),
        PatchStudy.load(tmp_path / "s", model),
    )
    assert saved.source.name == getattr(source, "name", source)
    assert saved.directions == ("noising",)
    with pytest.raises(NeedsModelError, match="the other direction"):
        saved.reversed()
    for found in (saved, again):
        same_study(found, study)
    # What is not known is the same, too: the same values are patched in.
    expected, found = study.exact("mlp_out"), again.exact("mlp_out")
    same_tensor(found.raw, expected.raw)


class Ones:
    """Somebody's own source."""

    name = "ones"

    def values(self, base, capture):
        return {place: torch.ones_like(value) for place, value in base.items()}


def test_a_source_of_ones_own_is_given_again(model, tokens, tmp_path):
    study = PatchStudy(model, tokens[0], None, tokens[2], source=Ones())
    study.exact("z")
    study.save(tmp_path / "s")
    with pytest.raises(ValueError, match=r"'ones' is of a class of your own.*source="):
        PatchStudy.load(tmp_path / "s", model)
    same_study(PatchStudy.load(tmp_path / "s", model, source=Ones()), study)
    same_study(PatchStudy.load(tmp_path / "s"), study)


def test_metrics_of_ones_own_are_given_again(path, model):
    with pytest.raises(ValueError, match=r"metric 'mine' is a function of your own"):
        PatchStudy.load(path, model)
    with pytest.raises(ValueError, match="'other' is given again, and only mine, mean"):
        PatchStudy.load(path, model, metric={"other": spread})
    with pytest.raises(ValueError, match="metric mine on the base run differs"):
        PatchStudy.load(path, model, metric={**OWN, "mine": lambda x: 2 * x[:, -1, 3]})


def test_what_is_not_needed_is_refused(path, study, model, tmp_path):
    study.save(tmp_path / "s")
    with pytest.raises(ValueError, match="and none is needed"):
        PatchStudy.load(tmp_path / "s", model, metric=spread)
    with pytest.raises(ValueError, match="none of your own was saved"):
        PatchStudy.load(tmp_path / "s", model, source=Ones())
    with pytest.raises(ValueError, match="metric is of no use without the model"):
        PatchStudy.load(path, metric=OWN)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"seed": 1}, "its weights"),
        ({"n_layers": 3}, "its n_layers is 3, the saved one's 2"),
        ({"n_ctx": 33}, "its n_ctx is 33"),
    ],
    ids=str,
)
def test_another_model_is_refused(path, change, reason):
    other = random_model(STYLES[-1], **change)
    with pytest.raises(ValueError, match=reason) as raised:
        PatchStudy.load(path, other, metric=OWN)
    assert str(path) in str(raised.value)


def test_another_precision_is_refused(path):
    with pytest.raises(ValueError, match="its weights, or their precision"):
        PatchStudy.load(path, random_model(STYLES[-1]).double(), metric=OWN)


def test_weights_that_no_sample_shows_are_noticed_by_the_metric(path):
    model = random_model(STYLES[-1])
    weight = max(model.parameters(), key=torch.numel)
    with torch.no_grad():
        weight.view(-1)[1::2] *= 1.5
        # The samples are every so many numbers from the first on.
        step = weight.numel() // 32
        original = max(random_model(STYLES[-1]).parameters(), key=torch.numel)
        weight.view(-1)[::step] = original.view(-1)[::step]
    with pytest.raises(ValueError, match=r"metric .* differs from the saved one by"):
        PatchStudy.load(path, model, metric=OWN)


def test_a_model_that_changed_before_saving_is_not_vouched_for(tokens, tmp_path):
    model = random_model(STYLES[-1])
    study = PatchStudy(model, *tokens)
    study.exact("z")
    with torch.no_grad():
        next(model.parameters()).mul_(2)
    study.save(tmp_path / "s")
    same_tensor(PatchStudy.load(tmp_path / "s").exact("z").raw, study.known("z").raw)
    with pytest.raises(ValueError, match="it had changed already"):
        PatchStudy.load(tmp_path / "s", model)


def test_what_was_not_saved_needs_the_model(saved):
    needs = r"needs the model: PatchStudy\.load\(path, model=model\)"
    for ask in (
        lambda: saved.estimate("k"),
        lambda: saved.estimate("z", "ig", steps=3),
        lambda: saved.estimate("z", by="pos"),
        lambda: saved.exact("k"),
        lambda: saved.exact(["L0H0.k"]),
        lambda: saved.exact("mlp_out", window=2),
        lambda: saved.joint(["L0H0.z", "L0H1.z"]),
        lambda: saved.attention("L1H1.z"),
        lambda: saved.moving("neuron"),
        lambda: saved.moving("z", by="pos"),
        lambda: saved.model,
        lambda: saved.verify("z"),
        lambda: saved.cost("z"),
        lambda: saved.steps("exact", "z"),
        lambda: saved.diagnose("L0H0.z"),
        lambda: saved.rank("z"),
    ):
        with pytest.raises(NeedsModelError, match=needs):
            ask()


def test_every_question_of_a_study_is_answered(saved):
    questions = [name for name in dir(PatchStudy) if not name.startswith("_")]
    for name in questions:
        assert callable(getattr(saved, name)) or not callable(getattr(PatchStudy, name))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = saved.nonsense


def test_wrong_questions_get_the_errors_of_a_study(saved, busy):
    for ask in (
        lambda study: study.estimate("nonsense"),
        lambda study: study.estimate("z", metric="nonsense"),
        lambda study: study.exact(["L9H0.z"]),
        lambda study: study.exact(["nonsense"]),
        lambda study: study.exact([3]),
        lambda study: study.exact(["L0H0.z"], by="pos"),
        lambda study: study.exact("z", window=0),
        lambda study: study.known("z", window=0),
        lambda study: study.known("z", metric="nonsense"),
        lambda study: study.obstacle("nonsense"),
        lambda study: study.attention([]),
        lambda study: study.attention("L0.resid_pre@1"),
        lambda study: study.methods("z", by="nonsense"),
    ):
        with pytest.raises((ValueError, IndexError, TypeError)) as expected:
            ask(busy)
        with pytest.raises(expected.type):
            ask(saved)


def test_answers_from_the_file(saved, busy):
    same_tensor(saved.exact("z", metric="nats").raw, busy.exact("z", metric="nats").raw)
    joint, expected = (one.joint(["L0H0.z", "L0H2.q"]) for one in (saved, busy))
    assert (joint.value, joint.sum) == (expected.value, expected.sum)
    assert saved.exact(["L0.resid_pre@S2"]).keys() == {saved.node("L0.resid_pre@S2")}
    assert set(saved.methods("z")) == set(busy.methods("z"))
    assert saved.methods("z", by="pos") == ()
    assert repr(saved).startswith("SavedStudy(")
    assert saved.subscribe(print)() is None


def test_attention_of_the_heads_that_were_asked_for(saved, busy):
    for heads in (["L0H0.q"], "L0H0.z", [Head(0, 0), Head(0, 0, "k")]):
        found, expected = saved.attention(heads), busy.attention(heads)
        assert (found.heads, found.text) == (expected.heads, expected.text)
        for name in ("clean", "corrupted", "clean_norms", "corrupted_norms"):
            same_tensor(getattr(found, name), getattr(expected, name))


def test_attention_in_another_order(busy, tmp_path):
    busy.save(tmp_path / "s", attention=["L1H2.z", "L0H1.z", "L1H0.z"])
    found = PatchStudy.load(tmp_path / "s").attention(["L1H0.z", "L1H2.z"])
    expected = busy.attention(["L1H0.z", "L1H2.z"])
    assert found.heads == expected.heads
    same_tensor(found.clean, expected.clean)
    same_tensor(found.corrupted_norms, expected.corrupted_norms)


def test_what_is_saved_once_is_saved_again(saved, busy, tmp_path):
    saved.save(tmp_path / "again")
    same_study(PatchStudy.load(tmp_path / "again"), busy)
    turned = saved.reversed()
    turned.save(tmp_path / "turned")
    assert PatchStudy.load(tmp_path / "turned").direction == "noising"
    assert PatchStudy.load(tmp_path / "turned").reversed().direction == "denoising"


def test_provenance(saved):
    assert set(saved.provenance) == {
        "patchwidget",
        "torch",
        "transformer_lens",
        "saved",
    }
    assert saved.provenance["torch"] == torch.__version__


def test_saving_asks_nothing_of_the_model(study, tmp_path, monkeypatch):
    study.estimate("z")
    monkeypatch.setattr(type(study.model), "forward", None)
    study.save(tmp_path / "s")


def test_the_newest_estimates_are_kept(study, monkeypatch, tmp_path):
    size = study.estimate("z").raw.numel() * 4
    monkeypatch.setattr(kept, "MOST_BYTES", 2 * size)
    first = study.estimate("z")
    study.estimate("q")
    study.estimate("z", "atp_qk")
    assert [asked.kind for asked in grids_of(study)] == ["q", "z"]
    with pytest.warns(RuntimeWarning, match="not saved: atp of z on logit_diff"):
        study.save(tmp_path / "s")
    again = study.estimate("z")
    assert again is not first
    same_tensor(again.raw, first.raw)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        study.save(tmp_path / "s")
    assert ["atp of q" in str(one.message) for one in caught] == [True]


def test_options_of_a_method_tell_grids_apart(study):
    few, many = (study.estimate("z", "ig", steps=n) for n in (1, 4))
    assert not few.raw.equal(many.raw)
    assert study.estimate("z", "ig", steps=4) is many
    with pytest.raises(ValueError, match="steps"):
        study.estimate("z", "ig", steps=[5])


def test_inside_of_inference_mode(path, busy, model, tmp_path):
    with torch.inference_mode():
        study = PatchStudy.load(path, model, metric=OWN)
        study.exact(["L1H1.v"])
        study.save(tmp_path / "s")
        saved = PatchStudy.load(tmp_path / "s")
    same_study(PatchStudy.load(path), busy)
    study.estimate("q", "ig")
    assert study.estimate("z").raw.is_inference() is False
    assert saved.estimate("z").raw.is_inference() is False
    same_tensor(saved.verified["L1H1.v"].raw, study.verified["L1H1.v"].raw)


FRESH = """
import hashlib, json, os, sys
from patchwidget import PatchStudy, demo
from patchwidget.saving import atomic

path, kind = sys.argv[1:]
def digest(study):
    seen = hashlib.sha256()
    for metric in study.metrics:
        seen.update(study.known("z", metric=metric).raw.numpy().tobytes())
    seen.update(study.estimate("q", "atp_qk").values.numpy().tobytes())
    seen.update(study.baselines[0].numpy().tobytes())
    return seen.hexdigest()

viewed = digest(PatchStudy.load(path))
study = PatchStudy.load(path, demo.load_model())
study.exact("v")
print(json.dumps([viewed, digest(study), len(study.verified)]), flush=True)

def hang(_):
    print("half", flush=True)
    sys.stdin.read()

atomic.os.fsync = hang
study.save(path)
"""


def test_in_a_fresh_process_that_is_killed_while_it_saves(tmp_path):
    path = tmp_path / "ioi.patchwidget"
    metric = {"logit_diff": "logit_diff", "kl": "kl"}
    study = PatchStudy(demo.load_model(), demo.ioi_pairs(), metric=metric)
    study.estimate("q", "atp_qk")
    study.exact("z")
    study.save(path)
    before = path.read_bytes()
    with subprocess.Popen(
        [sys.executable, "-c", FRESH, str(path), "z"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        viewed, went_on, verified = json.loads(process.stdout.readline())
        assert process.stdout.readline() == "half\n"
        process.kill()
    expected = digest(study)
    assert (viewed, went_on) == (expected, expected)
    assert verified == len(study.verified) + study.known("v").values.numel()
    assert path.read_bytes() == before
    (unfinished,) = set(tmp_path.iterdir()) - {path}
    assert unfinished.name.endswith(".unfinished")
    with pytest.raises((SavedFileError, OSError)):
        PatchStudy.load(tmp_path / "nowhere")
    study.save(path)
    assert isinstance(PatchStudy.load(path), SavedStudy)


def digest(study):
    seen = hashlib.sha256()
    for metric in study.metrics:
        seen.update(study.known("z", metric=metric).raw.numpy().tobytes())
    seen.update(study.estimate("q", "atp_qk").values.numpy().tobytes())
    seen.update(study.baselines[0].numpy().tobytes())
    return seen.hexdigest()


def test_metrics_stay_in_their_order(saved):
    assert saved.metrics == tuple(METRICS)
    assert replace(saved.estimate("z")).metric == "diff"
