"""The hook engine gives what the decoder gives, and refuses hooks that do not act."""

from __future__ import annotations

import functools

import pytest
import torch
from through_hooks import by_hooks
from torch.testing import assert_close
from toy_models import STYLES, TL_MAJOR, random_model

from patchwidget import Head, Node, PatchStudy
from patchwidget.hooks import HookedModel, user_hooks
from patchwidget.nodes import KINDS

CUTS = [(kind, None) for kind in KINDS] + [
    ("z", "pos"),
    ("k", "pos"),
    ("pattern", "dest"),
    ("pattern", "dest_src"),
]


@pytest.fixture(scope="module", params=STYLES)
def studies(request, tokens):
    """The same study by the decoder and by hooks."""
    model = random_model(request.param)
    fast = PatchStudy(model, *tokens)
    return fast, by_hooks(model, *tokens)


@pytest.mark.parametrize(("kind", "by"), CUTS)
def test_estimates_are_the_decoders(studies, kind, by):
    for fast, slow in (studies, [study.reversed() for study in studies]):
        ours = fast.estimate(kind, by=by).raw
        assert_close(slow.estimate(kind, by=by).raw, ours)
        assert float(ours.abs().max()) > 0


@pytest.mark.parametrize(("kind", "by"), CUTS)
def test_exact_effects_are_the_decoders(studies, kind, by):
    nodes = list(studies[0].extent.nodes(kind, by))
    some = [*nodes[:: max(1, len(nodes) // 5)], nodes[-1]]
    fast, slow = (study.exact(some) for study in studies)
    for node in some:
        assert_close(slow[node].raw, fast[node].raw)
        for ours, theirs in zip(slow[node].halves, fast[node].halves, strict=True):
            assert_close(ours, theirs)
    assert max(float(effect.raw.abs().max()) for effect in slow.values()) > 0


def test_all_the_runs_agree(studies):
    fast, slow = studies
    assert slow.extent == fast.extent
    for one, two in zip(slow.baselines, fast.baselines, strict=True):
        assert_close(one, two)
    heads = [Head(0, 1), Head(1, 2)]
    assert_close(slow.attention(heads).clean, fast.attention(heads).clean)
    places = slow._runs.clean.values
    assert set(places) == set(fast._runs.clean.values)
    for place, value in places.items():
        assert_close(value, fast._runs.clean.values[place])


def test_the_middle_of_a_layer_is_the_stream_itself(studies):
    """What is put there reaches the MLP and, past it, everything that follows."""
    study = studies[1]
    place = Node("resid_mid", 0, pos=3)
    engine, tokens = HookedModel(study.model), study.pairs.clean
    step = torch.zeros(study.model.cfg.d_model)
    step[2] = 3.0

    def edit(site, layer, value):
        value = value.clone()
        value[:, place.pos] += step
        return value

    with torch.no_grad():
        middle = engine.run(tokens, edit, at=[("resid_mid", 0)]).logits()
        attn_out = engine.run(tokens, edit, at=[("attn_out", 0)]).logits()
        plain = engine.run(tokens, at=()).logits()
        if TL_MAJOR >= 4:
            # Their own hook of that name reaches the second norm alone.
            theirs = study.model.run_with_hooks(
                tokens,
                fwd_hooks=[("blocks.0.hook_resid_mid", lambda x, hook: edit("", 0, x))],
            )
            assert not torch.allclose(theirs, middle, atol=1e-2)
    assert_close(middle, attn_out)
    assert not torch.allclose(middle, plain, atol=1e-2)


DEAD = ("q", 1)


@pytest.fixture
def with_a_dead_hook(model, tokens, monkeypatch):
    """A study by hooks whose model does not listen to one of its hooks."""
    real = HookedModel._hooks

    def deaf(self, site, layer, tap):
        if (site, layer) == DEAD:
            return real(
                self, site, layer, lambda s, n, value: (tap(s, n, value), value)[1]
            )
        return real(self, site, layer, tap)

    study = by_hooks(model, *tokens)
    monkeypatch.setattr(HookedModel, "_hooks", deaf)
    return study


def test_a_dead_hook_is_refused(with_a_dead_hook):
    study = with_a_dead_hook
    message = r"q cannot be patched: an edit through blocks\.1\.attn\.hook_q does not"
    for ask in (
        lambda: study.exact([Head(1, 0, "q")]),
        lambda: study.exact([Head(0, 0, "q")]),
        lambda: study.estimate("q"),
        lambda: study.exact("q"),
    ):
        with pytest.raises(ValueError, match=message):
            ask()
    assert not study.can_patch("q")
    assert not study.verified
    # The others are still had.
    assert study.can_patch("k")
    assert float(study.exact([Head(1, 0, "k")])[Head(1, 0, "k")].raw.abs().max()) > 0


def test_a_missing_hook_is_refused(model, tokens, monkeypatch):
    study = by_hooks(model, *tokens)
    names = {n: h for n, h in model.hook_dict.items() if not n.endswith("hook_pattern")}
    # A property of a Bridge, an attribute of a HookedTransformer.
    owner = type(model) if hasattr(type(model), "hook_dict") else model
    monkeypatch.setattr(owner, "hook_dict", names)
    message = r"pattern cannot be patched: the model has no blocks\.0\.attn\.hook_patt"
    with pytest.raises(ValueError, match=message):
        study.exact([Head(0, 0, "pattern")])
    assert not study.can_patch("pattern")
    assert study.can_patch("z")


def test_a_probe_is_made_once_a_kind_and_draws_no_random_numbers(model, tokens):
    study = by_hooks(model, *tokens)
    state = torch.get_rng_state()
    study.exact([Head(0, 0)])
    assert torch.equal(torch.get_rng_state(), state)
    runs = []
    with pytest.MonkeyPatch.context() as patch:
        real = HookedModel.run
        patch.setattr(
            HookedModel, "run", lambda *a, **k: (runs.append(1), real(*a, **k))[1]
        )
        study.exact([Head(0, 1), Head(1, 1)])
    assert len(runs) == 2, "one run a patch"


@pytest.fixture
def own_model():
    return random_model(STYLES[-1])


def test_the_libraries_own_hooks_are_not_the_users(own_model, tokens):
    with torch.no_grad():
        own_model(tokens[0])
        own_model.run_with_cache(tokens[0])
    assert user_hooks(own_model) == {}


def spy(*_):
    """A hook that only looks."""


@pytest.mark.parametrize(
    "add",
    [
        lambda m: m.blocks[0].register_forward_hook(spy),
        lambda m: m.blocks[0].register_forward_pre_hook(spy),
        lambda m: m.blocks[0].register_full_backward_hook(spy),
        lambda m: m.blocks[0].register_forward_hook(functools.partial(spy)),
        # Built-in functions belong to no module.
        lambda m: m.blocks[0].register_forward_hook([].append),
    ],
    ids=["forward", "before", "backward", "partial", "built-in"],
)
def test_a_plain_torch_hook_is_seen(own_model, add):
    handle = add(own_model)
    assert list(user_hooks(own_model)) == ["blocks.0"]
    handle.remove()
    assert user_hooks(own_model) == {}


def test_a_backward_hook_on_a_hook_point_is_seen(own_model):
    own_model.add_hook("blocks.0.attn.hook_z", spy, "bwd")
    assert len(user_hooks(own_model)) == 1
    own_model.reset_hooks()
    assert user_hooks(own_model) == {}


def test_a_hook_on_a_hook_point_is_seen_and_told_from_another(own_model):
    own_model.add_hook("blocks.1.attn.hook_z", lambda value, hook: value)
    first = user_hooks(own_model)
    assert len(first) == 1
    own_model.reset_hooks()
    own_model.add_hook("blocks.1.attn.hook_z", lambda value, hook: value)
    assert list(user_hooks(own_model)) == list(first)
    assert user_hooks(own_model) != first


def test_hooks_of_a_context_are_gone_after_it(own_model):
    hooks = [("blocks.0.attn.hook_q", lambda value, hook: value)]
    with own_model.hooks(fwd_hooks=hooks):
        assert len(user_hooks(own_model)) == 1
    assert user_hooks(own_model) == {}


def test_a_plain_torch_hook_is_in_force(own_model, tokens):
    """It changes what a block gives; effects are those of the model as it then is."""
    plain = PatchStudy(own_model, *tokens).exact([Head(0, 1)])[Head(0, 1)].raw

    def double_first(module, given, out):
        if isinstance(out, tuple):
            return (2 * out[0], *out[1:])
        return 2 * out

    handle = own_model.blocks[0].mlp.register_forward_hook(double_first)
    study = PatchStudy(own_model, *tokens)
    assert ".mlp" in study.notice
    raw = study.exact([Head(0, 1)])[Head(0, 1)].raw
    assert not torch.allclose(raw, plain)
    handle.remove()
    assert_close(
        PatchStudy(own_model, *tokens).exact([Head(0, 1)])[Head(0, 1)].raw, plain
    )
