"""Ablations put in what they say, and nothing else."""

from __future__ import annotations

import pytest
import torch
from family_models import FAMILIES, family_model
from hook_oracle import HOOKS, Oracle, logit_diff
from through_hooks import by_hooks
from torch.testing import assert_close
from toy_models import STYLES, random_model, random_tokens

from patchwidget import PatchStudy, sources
from patchwidget.nodes import KINDS

PROMPTS = torch.randint(1, 300, (4, 7), generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module", params=STYLES)
def model(request):
    return random_model(request.param)


@pytest.fixture(scope="module")
def grouped():
    return family_model("llama")


@pytest.fixture(scope="module")
def tokens():
    return random_tokens()


def cache_of(model, prompts):
    with torch.no_grad():
        return model.run_with_cache(prompts)[1]


def expected_values(source, model, clean, name):
    """What an ablation puts at a hook, from TransformerLens' own caches."""
    base = cache_of(model, clean)[name]
    if source.name == "zero":
        return torch.zeros_like(base)
    if source.name == "mean":
        return cache_of(model, PROMPTS)[name].mean(0, keepdim=True).expand_as(base)
    generator = torch.Generator().manual_seed(source.seed)
    rows = torch.randint(len(PROMPTS), (len(base),), generator=generator)
    return cache_of(model, PROMPTS)[name][rows]


@pytest.mark.parametrize("make", [PatchStudy, by_hooks], ids=["decoder", "hooks"])
@pytest.mark.parametrize(
    "source",
    [sources.Zero(), sources.Mean(PROMPTS), sources.Resample(PROMPTS, seed=3)],
    ids=lambda source: source.name,
)
def test_effects_equal_the_same_edit_through_hooks(model, tokens, source, make):
    clean, _, answers = tokens
    study = make(model, clean, answers=answers, source=source)
    assert study.direction == "noising"
    with torch.no_grad():
        base = logit_diff(model(clean), answers)
    for name in (
        "L1H2.z",
        "L0H1.q@3",
        "L1H0.k",
        "L0H0.v",
        "L0H2.pattern",
        "L0.mlp_out@2",
    ):
        node = study.node(name)
        hook = f"blocks.{node.layer}.{HOOKS[node.kind]}"
        values = expected_values(source, model, clean, hook)

        def put(value, hook, node=node, values=values):
            value = value.clone()
            value[node.index] = values[node.index]
            return value

        with torch.no_grad():
            patched = model.run_with_hooks(clean, fwd_hooks=[(hook, put)])
        effect = study.exact([node])[node]
        expected = logit_diff(patched, answers) - base
        assert_close(effect.raw, expected)
        assert effect.value == pytest.approx(float(expected.mean()), abs=1e-5), (
            "without corrupted prompts an effect is the raw change"
        )


@pytest.mark.parametrize(
    "source",
    [sources.Zero(), sources.Mean(PROMPTS), sources.Resample(PROMPTS, seed=3)],
    ids=lambda source: source.name,
)
def test_nodes_of_every_kind_where_heads_share_keys(grouped, tokens, source):
    clean, _, answers = tokens
    study = PatchStudy(grouped, clean, answers=answers, source=source)
    assert study.extent.n_kv_heads == 2
    oracle = Oracle(grouped, clean, clean, answers)
    last = clean.shape[1] - 1
    for kind in KINDS:
        node = next(
            node
            for node in study.extent.nodes(kind)
            if node.head in (None, 1) and node.pos in (None, last)
        )
        hook = f"blocks.{node.layer}.{HOOKS[kind]}"
        oracle.source[hook] = expected_values(source, grouped, clean, hook)
        expected = oracle.raw(node)
        assert float(expected.abs().max()) > 1e-4, f"{node} has an effect"
        effect = study.exact([node])[node]
        assert_close(effect.raw, expected, msg=lambda m, n=node: f"{n}: {m}")


def test_noise_is_of_the_size_asked_for_and_seeded(model, tokens):
    clean, _, answers = tokens

    def step(**settings):
        study = PatchStudy(
            model, clean, answers=answers, source=sources.Gaussian(**settings)
        )
        runs = study._runs
        return {
            place: runs.source.values[place] - value
            for place, value in runs.base.values.items()
        }, runs.base.values

    steps, base = step(sigma=3.0, seed=1)
    again, _ = step(sigma=3.0, seed=1)
    other, _ = step(sigma=3.0, seed=2)
    smaller, _ = step(sigma=1.5, seed=1)
    for kind in KINDS:
        noise, values = steps[kind, 1], base[kind, 1]
        assert torch.equal(noise, again[kind, 1])
        assert not torch.equal(noise, other[kind, 1])
        assert_close(noise, 2 * smaller[kind, 1], rtol=1e-3, atol=1e-5)
        if kind == "pattern":
            assert not noise.triu(1).any(), "what a destination does not see stays 0"
            continue
        # A thousandfold of numbers would be needed for less than a tenth of spread.
        assert float(noise.std() / values.std()) == pytest.approx(3.0, rel=0.25)


def test_noise_is_the_same_on_both_engines_and_hidden_cells_stay_0(tokens):
    model = family_model(FAMILIES[-1] if "mistral" not in FAMILIES else "mistral")
    clean, _, answers = tokens
    source = sources.Gaussian(2.0, seed=3)
    fast = PatchStudy(model, clean, answers=answers, source=source)
    slow = by_hooks(model, clean, answers=answers, source=source)
    for place, value in slow._runs.source.values.items():
        assert_close(value, fast._runs.source.values[place], rtol=1e-4, atol=1e-4)
    for layer in range(2):
        base = fast._runs.base.values["pattern", layer]
        noised = fast._runs.source.values["pattern", layer]
        assert not noised[base == 0].any(), "nor outside a window"
        assert noised[base != 0].ne(base[base != 0]).all()


class Odd:
    """A source that gives what its test wants."""

    name = "odd"

    def __init__(self, change):
        self.change = change

    def values(self, base, capture):
        return self.change(dict(base))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: {p: x for p, x in v.items() if p[0] != "q"}, "0's q has no values"),
        (lambda v: {p: x[:1, :1] for p, x in v.items()}, r"has shape \[1, 1, "),
        (lambda v: {p: x * torch.nan for p, x in v.items()}, "are not finite"),
    ],
)
def test_what_a_source_gives_is_checked(model, tokens, change, message):
    clean, _, answers = tokens
    with pytest.raises(ValueError, match=message):
        PatchStudy(model, clean, answers=answers, source=Odd(change))
    with pytest.raises(TypeError, match="is not a source: give"):
        PatchStudy(model, clean, answers=answers, source=sources.Zero)


def test_prompts_of_a_source_begin_as_the_studys_do(model):
    start = torch.zeros(3, 1, dtype=torch.long)
    clean, _, answers = random_tokens()
    with_start = torch.cat([start, clean[:, 1:]], 1)
    with pytest.raises(ValueError, match="begins with"):
        PatchStudy(model, with_start, answers=answers, source=sources.Mean(clean))


def test_estimates_go_with_the_same_values(model, tokens):
    """Small noise: first order is nearly all there is."""
    clean, _, answers = tokens
    source = sources.Gaussian(1e-3, seed=4)
    study = PatchStudy(model, clean, answers=answers, source=source)
    estimate, exact = study.estimate("z").raw, study.exact("z").raw
    assert float(exact.abs().max()) > 1e-5
    assert_close(estimate, exact, rtol=0.05, atol=1e-6)


def test_with_corrupted_prompts_effects_are_fractions(model, tokens):
    study = PatchStudy(model, *tokens, source="zero")
    other = PatchStudy(model, *tokens, direction="noising")
    assert study.scale == other.scale
    effect = study.exact(["L1H2.z"])["L1H2.z"]
    assert effect.value == pytest.approx(float(effect.raw.mean()) / study.scale)


def test_grids_without_corrupted_prompts_are_raw(model, tokens):
    clean, _, answers = tokens
    study = PatchStudy(model, clean, answers=answers, source="zero")
    grid = study.exact("mlp_out")
    assert grid.scale is None
    assert torch.equal(grid.values, grid.raw.mean(0))
    assert "raw" in repr(study.exact(["L1H2.z"])["L1H2.z"])


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"source": "nil"}, ValueError, "unknown source 'nil': 'zero', or"),
        ({"source": 3}, TypeError, "3 is not a source"),
        ({"source": "zero", "direction": "denoising"}, ValueError, "changes the clean"),
        (
            {"source": sources.Mean(PROMPTS[:, :4])},
            ValueError,
            "the source's prompts have 4 tokens, the study's 7",
        ),
    ],
)
def test_what_cannot_be_a_source(model, tokens, kwargs, error, message):
    clean, _, answers = tokens
    with pytest.raises(error, match=message):
        PatchStudy(model, clean, answers=answers, **kwargs)


def test_bad_noise_and_the_other_direction(model, tokens):
    with pytest.raises(ValueError, match=r"sigma must be positive, got -1\.0"):
        sources.Gaussian(-1.0)
    with pytest.raises(ValueError, match="no other direction"):
        PatchStudy(model, *tokens, source="zero").reversed()
    with pytest.raises(ValueError, match="corrupted prompts are missing"):
        PatchStudy(model, tokens[0], answers=tokens[2])
