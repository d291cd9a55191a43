"""Several nodes patched in one run equal several hooks on the model itself."""

from __future__ import annotations

import random

import pytest
import torch
from family_models import FAMILY_CASES, family_model
from hook_oracle import Oracle
from through_hooks import by_hooks
from torch.testing import assert_close
from toy_models import STYLES, random_model, random_tokens

from patchwidget import Head, Node, Pairs, PatchStudy
from patchwidget.nodes import KINDS

CUTS = {
    **dict.fromkeys(KINDS, (None,)),
    **dict.fromkeys(("z", "q", "k", "v"), (None, "pos")),
    "pattern": (None, "dest", "dest_src"),
}


def random_sets(study, count, seed=0):
    """Sets of two to seven nodes of any kind and cut, wherever they lie."""
    generator = random.Random(seed)  # noqa: S311 - nodes, not secrets
    every = [
        node
        for kind, cuts in CUTS.items()
        if study.can_patch(kind)
        for by in cuts
        for node in study.extent.nodes(kind, by)
    ]
    return [generator.sample(every, generator.randint(2, 7)) for _ in range(count)]


def assert_joint_is_right(study, oracle, nodes):
    joint = study.joint(nodes)
    assert set(joint.nodes) == set(nodes)
    assert_close(
        joint.effect.raw, oracle.together(nodes), msg=lambda m: f"{nodes}: {m}"
    )
    for node in nodes:
        assert_close(joint.singles[node].raw, oracle.together([node]))
    singles = sum(float(oracle.together([node]).mean()) for node in nodes)
    assert_close(joint.sum * study.scale, singles, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module", params=STYLES)
def style(request):
    return request.param


@pytest.mark.parametrize("shape", [(3, 2, 2, 5), (1, 3, 1, 4), (2, 1, 3, 2)], ids=str)
def test_joint_patches_equal_several_hooks(style, shape):
    n_layers, n_heads, n_pairs, n_pos = shape
    model = random_model(style, n_layers=n_layers, n_heads=n_heads)
    clean, corrupted, answers = random_tokens(n_pairs, n_pos, differ=(1, 3))
    study = PatchStudy(model, clean, corrupted, answers)
    oracle = Oracle(model, corrupted, clean, answers)
    assert study.notice is None
    for nodes in random_sets(study, 12):
        assert_joint_is_right(study, oracle, nodes)


@pytest.mark.parametrize("family", FAMILY_CASES)
def test_joint_patches_in_every_family(family):
    model = family_model(family)
    clean, corrupted, answers = random_tokens(2, 6, differ=(1, 4))
    study = PatchStudy(model, clean, corrupted, answers, direction="noising")
    oracle = Oracle(model, clean, corrupted, answers)
    assert study.notice is None
    dead = {"pattern"} if family.startswith("opt") and oracle.bridge else set()
    for nodes in random_sets(study, 8, seed=1):
        if not dead & {node.kind for node in nodes}:
            assert_joint_is_right(study, oracle, nodes)


def on_both_engines(model, tokens):
    fast, slow = PatchStudy(model, *tokens), by_hooks(model, *tokens)
    assert fast.notice is None
    assert slow.notice is not None
    return fast, slow


def test_both_engines_agree(style):
    model = random_model(style)
    tokens = random_tokens(2, 5, differ=(1, 3))
    fast, slow = on_both_engines(model, tokens)
    for nodes in random_sets(fast, 6, seed=2):
        assert_close(fast.joint(nodes).effect.raw, slow.joint(nodes).effect.raw)


def test_both_engines_agree_where_two_edits_share_a_hook(style):
    """On a Bridge the middle of the stream is edited at what attention writes."""
    model = random_model(style)
    tokens = random_tokens(2, 5, differ=(1, 3))
    fast, slow = on_both_engines(model, tokens)
    nodes = [Node("resid_mid", 1, pos=3), Node("attn_out", 1, pos=3)]
    assert_close(fast.joint(nodes).effect.raw, slow.joint(nodes).effect.raw)
    assert_close(
        fast.joint(nodes).effect.raw, fast.joint(nodes[:1]).singles[nodes[0]].raw
    )


@pytest.mark.parametrize("position", [2, 3])
def test_sets_that_reach_nothing_that_is_read_are_exactly_zero(style, position):
    model = random_model(style, n_layers=2)
    clean, corrupted, answers = random_tokens(2, 6, differ=(1, 4))
    pairs = Pairs(clean, corrupted, answers=answers, position=position)
    study = PatchStudy(model, pairs)
    late = [Node("resid_pre", 0, pos=5), Node("mlp_out", 1, pos=4)]
    unread = [Node("mlp_out", 1, pos=1), Head(1, 0, "z", 1)]
    for nodes in (late, unread, [late[0], unread[0]]):
        assert study.cost(nodes).patches == 0
        assert not study.joint(nodes).effect.raw.any()
    mixed = study.joint([late[1], Node("mlp_out", 0, pos=1)])
    assert_close(mixed.effect.raw, mixed.singles["L0.mlp_out@1"].raw)
    tight = PatchStudy(model, pairs, budget=10**6)
    assert_close(
        tight.exact("mlp_out", window=2).raw, study.exact("mlp_out", window=2).raw
    )


def test_many_sets_run_as_one_batch(style):
    model = random_model(style)
    study = PatchStudy(model, *random_tokens(2, 5, differ=(1, 3)))
    alone = PatchStudy(model, *random_tokens(2, 5, differ=(1, 3)))
    sets = random_sets(study, 20, seed=3)
    found = [e for step in study.steps("joint", sets) for e in step.found]
    assert len(found) == 20
    by_patch = {effect.patch: effect for effect in found}
    for nodes in sets:
        one = alone.joint(nodes)
        assert_close(by_patch[one.nodes].raw, one.effect.raw)


def test_a_later_node_has_the_last_word(style):
    """With a head's z replaced, what its query does no longer matters."""
    model = random_model(style)
    study = PatchStudy(model, *random_tokens())
    both = study.joint([Head(1, 2, "q"), Head(1, 2)])
    assert_close(both.effect.raw, both.singles["L1H2.z"].raw)
    assert float(both.singles["L1H2.q"].raw.abs().max()) > 1e-4
    assert both.interaction == pytest.approx(-both.singles["L1H2.q"].value, abs=1e-5)


@pytest.mark.parametrize("by", [None, "pos"])
@pytest.mark.parametrize("width", [1, 2, 3, 99])
def test_windows_of_layers(style, width, by):
    kind = "mlp_out" if by is None else "z"
    model = random_model(style, n_layers=4, n_heads=2)
    clean, corrupted, answers = random_tokens(2, 4, differ=(1,))
    study = PatchStudy(model, clean, corrupted, answers)
    oracle = Oracle(model, corrupted, clean, answers)
    grid = study.exact(kind, by=by, window=width)
    assert grid.raw.shape == (2, *study.extent.shape(kind, by))
    assert grid.window == width
    for node in grid.nodes():
        start, stop = node.layer - width // 2, node.layer + (width + 1) // 2
        nodes = [
            Node(kind, layer, head=node.head, pos=node.pos)
            for layer in range(max(0, start), min(4, stop))
        ]
        cell = (slice(None), *node.cell)
        assert_close(grid.raw[cell], oracle.together(nodes))
    if width == 1:
        assert_close(grid.raw, study.exact(kind, by=by).raw)


def test_the_order_in_which_nodes_are_given_does_not_matter(style):
    study = PatchStudy(random_model(style), *random_tokens())
    nodes = [Head(1, 0), Head(0, 2, "v"), Node("mlp_out", 0, pos=3)]
    first = study.joint(nodes)
    ran = [e for step in study.steps("joint", [nodes[::-1]]) for e in step.found]
    assert ran == [], "known already"
    assert torch.equal(study.joint(nodes[::-1]).effect.raw, first.effect.raw)


@pytest.mark.parametrize("bad", [0, -1, 1.5, "two"])
def test_windows_that_cannot_be(style, bad):
    study = PatchStudy(random_model(style), *random_tokens())
    with pytest.raises(ValueError, match="number of layers from 1"):
        study.exact("mlp_out", window=bad)
    with pytest.raises(ValueError, match="window=2 cuts a kind"):
        study.exact([Head(0, 0)], window=2)
    with pytest.raises(ValueError, match="no node"):
        study.joint([])


@pytest.mark.parametrize("read", [0, 2, 4])
def test_sets_that_come_after_what_is_read_have_exactly_no_effect(style, read):
    model = random_model(style)
    clean, corrupted, answers = random_tokens(2, 7, differ=(1, 3))
    pairs = Pairs(clean, corrupted, answers=answers, position=read)
    study = PatchStudy(model, pairs)
    late = [Head(0, 0, pos=read + 1), Head(1, 1, pos=6), Node("resid_pre", 1, pos=5)]
    assert torch.equal(study.joint(late).effect.raw, torch.zeros(2))
    if read >= 1:
        # The late nodes of a set that begins before change nothing either.
        early = [Head(0, 0, pos=1), Head(0, 1, pos=1)]
        both = study.joint([*early, *late]).effect.raw
        assert both.abs().max() > 1e-4
        assert_close(both, study.joint(early).effect.raw)
