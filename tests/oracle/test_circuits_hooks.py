"""Questions about circuits against hooks on the model itself, in the families in use."""

from __future__ import annotations

from itertools import combinations, product

import pytest
import torch
from family_models import family_model
from hook_oracle import HOOKS, Oracle, logit_diff
from torch.testing import assert_close
from toy_models import STYLES, TL_MAJOR, random_model, random_tokens

from patchwidget import Head, PatchStudy, Writer

# Differences of logits between two runs, each rounded, which a share multiplies again.
CLOSE = {"rtol": 1e-5, "atol": 2e-5}
STYLE_CASES = [
    STYLES[0],
    *(pytest.param(s, marks=pytest.mark.long) for s in STYLES[1:]),
]


@pytest.fixture(scope="module", params=STYLE_CASES)
def deep(request):
    return random_model(request.param, n_layers=3, n_heads=2)


@pytest.fixture(scope="module", params=STYLE_CASES)
def model(request):
    return random_model(request.param, n_layers=2, n_heads=2)


def assert_equals_hooks(model, tokens, members):
    """Every single and joint patch by hooks on the model itself, in both directions."""
    clean, corrupted, answers = tokens
    found = PatchStudy(model, *tokens).interactions(members)
    for way, (base, source) in {
        "denoising": (corrupted, clean),
        "noising": (clean, corrupted),
    }.items():
        oracle, side = Oracle(model, base, source, answers), found[way]
        alone = [oracle.together(part.nodes) for part in found.parts]
        for (i, a), (j, b) in combinations(enumerate(found.parts), 2):
            both = oracle.together([*a.nodes, *b.nodes])
            assert_close(side.raw[:, i, j], both - alone[i] - alone[j])
            assert_close(side.joint[:, i, j], both)
        scale = side.scale.value
        assert_close(side.per_pair, side.raw / scale, equal_nan=True)
        assert_close(side.values, side.per_pair.mean(0), equal_nan=True)
        assert side.spread.shape == (4, len(alone), len(alone))
        low, high = side.spread[:2, 0, 1]
        assert low <= float(side.values[0, 1]) <= high


def test_interactions_equal_hooks_on_the_model(model):
    members = ["L0H1.z", Head(1, 0, "q"), "L1H1.pattern", "L0.resid_pre@3", "L0.mlp"]
    assert_equals_hooks(model, random_tokens(3, 5, differ=(1, 3)), members)


@pytest.mark.parametrize("family", ["gpt-neox", "llama"])
def test_interactions_in_families(family):
    members = [Head(0, 3), Head(0, 1, "k"), Head(1, 2, "q"), Writer("mlp", 0)]
    assert_equals_hooks(
        family_model(family), random_tokens(2, 5, differ=(1, 3)), members
    )


class FrozenEnd:
    """Direct effects with the model's own final norm and unembedding, the scale held.

    The norm is asked as it stands; its scale is computed here, and put back to the base
    run's by hand: norm(x) - norm(0) is proportional to 1 / scale(x).
    """

    def __init__(self, oracle, *, centred, eps):
        self.oracle, self.centred, self.eps = oracle, centred, eps
        last = oracle.model.cfg.n_layers - 1
        self.base = oracle.base[f"blocks.{last}.hook_resid_post"]

    def scale(self, stream):
        if self.centred:
            stream = stream - stream.mean(-1, keepdim=True)
        return (stream.pow(2).mean(-1, keepdim=True) + self.eps).sqrt()

    def metric(self, change):
        model, stream = self.oracle.model, self.base + change
        with torch.no_grad():
            offset = model.ln_final(torch.zeros_like(stream))
            ratio = self.scale(stream) / self.scale(self.base)
            normal = (model.ln_final(stream) - offset) * ratio + offset
            return logit_diff(model.unembed(normal), self.oracle.answers)

    def effect(self, change):
        return self.metric(change) - self.metric(torch.zeros_like(self.base))

    def head_write(self, cache, layer, head):
        z = cache[f"blocks.{layer}.attn.hook_z"][:, :, head]
        return z @ self.oracle.model.blocks[layer].attn.W_O[head].detach()


def patched_cache(oracle, nodes):
    """Every activation of the run with nodes patched, by hooks on the model."""
    at = {}
    for node in nodes:
        at.setdefault(f"blocks.{node.layer}.{HOOKS[node.kind]}", []).append(node)

    # A Bridge's hooks are known under several names, and are told one of them.
    def put(name):
        def edit(value, hook):
            value = value.clone()
            for node in at[name]:
                index = oracle._index(node)
                value[index] = oracle.source[name][index]
            return value

        return name, edit

    model = oracle.model
    with model.hooks(fwd_hooks=list(map(put, at))), torch.no_grad():
        cache = model.run_with_cache(oracle.tokens)[1]
        return {name: value.clone() for name, value in cache.items()}


def assert_self_repair_is_right(model, tokens, members, *, centred, eps=1e-5):
    clean, corrupted, answers = tokens
    study = PatchStudy(model, *tokens, direction="noising")
    oracle = Oracle(model, clean, corrupted, answers)
    end = FrozenEnd(oracle, centred=centred, eps=eps)
    found = study.self_repair(members)
    patched = patched_cache(oracle, found.patch)
    first, own = found.patch[0].layer, {(n.layer, n.head) for n in found.patch}
    rest = patched[f"blocks.{model.cfg.n_layers - 1}.hook_resid_post"] - end.base
    for layer, head in product(range(model.cfg.n_layers), range(model.cfg.n_heads)):
        write = end.head_write(oracle.base, layer, head)
        assert_close(found.before.raw[:, layer, head], -end.effect(-write), **CLOSE)
        change = end.head_write(patched, layer, head) - write
        if layer <= first or (layer, head) in own:
            assert bool(found.heads.raw[:, layer, head].isnan().all())
            continue
        assert_close(found.heads.raw[:, layer, head], end.effect(change), **CLOSE)
        rest = rest - change
    for layer in range(model.cfg.n_layers):
        name = f"blocks.{layer}.hook_mlp_out"
        change = patched[name] - oracle.base[name]
        if layer >= first:
            assert_close(found.mlps[:, layer], end.effect(change), **CLOSE)
            rest = rest - change
    assert_close(found.own.raw, end.effect(rest), **CLOSE)
    assert_close(found.effect.raw, oracle.together(found.patch), **CLOSE)
    parts = found.own.raw + found.heads.raw.nansum((1, 2)) + found.mlps.nansum(1)
    assert_close(parts + found.norm.raw, found.effect.raw, **CLOSE)
    assert float(found.heads.raw.nan_to_num().abs().max()) > 1e-4


@pytest.mark.parametrize(
    "members", ["L0H1.z", ["L0H0.q", "L1H1.v"], ["L1H0.pattern", "L0H0.z@3"]], ids=str
)
def test_self_repair_equals_hooks_on_the_model(deep, members):
    tokens = random_tokens(2, 5, differ=(1, 3))
    assert_self_repair_is_right(deep, tokens, members, centred=True)


@pytest.mark.parametrize(("family", "eps"), [("gpt-neox", 1e-5), ("llama", 1e-6)])
def test_self_repair_in_families(family, eps):
    model = family_model(family)
    eps = eps if TL_MAJOR >= 4 else model.cfg.eps
    assert_self_repair_is_right(
        model,
        random_tokens(2, 5, differ=(1, 3)),
        ["L0H3.z", "L0H1.z"],
        centred=family != "llama",
        eps=eps,
    )


def test_a_kv_head_is_its_query_heads_own():
    study = PatchStudy(family_model("llama"), *random_tokens(2, 5, differ=(1, 3)))
    found = study.self_repair(["L0H1.k", "L1H1.v"])
    gaps = found.heads.raw[0].isnan()
    assert gaps.tolist() == [[True] * 4, [False, False, True, True]]


def test_blocks_that_norm_what_they_write_are_refused():
    study = PatchStudy(family_model("gemma2"), *random_tokens(2, 5, differ=(1, 3)))
    with pytest.raises(ValueError, match=r"no part of the stream is one head's own"):
        study.self_repair("L0H1.z")


def outside(study, inside, kinds):
    """Every node of some kinds, and all MLPs, that is not of a circuit."""
    extent = study.extent
    every = [node for kind in kinds for node in extent.nodes(kind)]
    return [node for node in every if str(node) not in inside]


def assert_story_is_right(model, tokens, circuit, kinds, among):
    """Faithfulness, minimality and completeness by hooks, run by run."""
    clean, corrupted, answers = tokens
    study = PatchStudy(model, *tokens)
    oracle = Oracle(model, clean, corrupted, answers)
    found = study.whole_story(circuit, among=among, subsets=2)
    nodes = {part.name: part.nodes for part in found.members}
    inside = {str(node) for held in nodes.values() for node in held}
    rest = outside(study, inside, kinds)
    all_raw = oracle.together([*rest, *(n for held in nodes.values() for n in held)])
    assert_close(found.all.raw, all_raw)

    # In the metric's units: shares are of a difference that may be small.
    def lost(patched):
        return oracle.together(patched) if patched else torch.zeros(len(all_raw))

    gap = float(found.all.raw.mean())
    assert_close((1 - found.faithfulness) * gap, float(lost(rest).mean()), **CLOSE)
    for number, name in enumerate(nodes):
        without = (1 - found.without[:, number].mean()) * gap
        assert_close(without, lost([*rest, *nodes[name]]).mean(), **CLOSE)
    for one in found.subsets:
        removed = [node for part in one.removed for node in part.nodes]
        left = (1 - one.circuit.mean()) * gap
        assert_close(left, lost([*rest, *removed]).mean(), **CLOSE)
        assert_close((1 - one.model.mean()) * gap, lost(removed).mean(), **CLOSE)


HEADS = ["L0H1.z", "L1H0.z", "L1H1.z"]


def test_a_circuit_of_heads_equals_hooks_on_the_model(model):
    tokens = random_tokens(3, 5, differ=(1, 3))
    assert_story_is_right(model, tokens, HEADS[:2], ["z"], None)
    whole = [*HEADS[:2], "L1.mlp"]
    assert_story_is_right(model, tokens, whole, ["z", "mlp_out"], None)


@pytest.mark.parametrize("family", ["gpt-neox", "llama"])
def test_circuits_in_families(family):
    model, tokens = family_model(family), random_tokens(2, 5, differ=(1, 3))
    assert_story_is_right(model, tokens, HEADS, ["z", "mlp_out"], ["z", "mlp"])
    inside = ["L0H1.k", "L1H0.v", "L1H3.q"]
    assert_story_is_right(model, tokens, inside, ["k", "v", "q"], None)


def test_a_curve_equals_hooks_on_the_model(model):
    tokens = clean, corrupted, answers = random_tokens(3, 5, differ=(1, 3))
    study = PatchStudy(model, *tokens)
    oracle = Oracle(model, clean, corrupted, answers)
    curve = study.circuit_curve(study.estimate("z"), absolute=True)
    nodes = [part.nodes[0] for part in curve.order]
    gap = oracle.together(nodes).mean()
    for size, value in zip(curve.sizes, curve.values, strict=True):
        left = nodes[size:]
        raw = oracle.together(left).mean() if left else torch.tensor(0.0)
        assert_close((1 - value) * gap, raw, **CLOSE)


def test_all_positions_but_a_few(model):
    """Hundreds of nodes in one run."""
    tokens = clean, corrupted, answers = random_tokens(2, 9, differ=(1, 3))
    study = PatchStudy(model, *tokens, direction="noising")
    oracle = Oracle(model, clean, corrupted, answers)
    nodes = [
        node
        for kind in ("z", "q", "k", "v")
        for node in study.extent.nodes(kind, "pos")
        if node.pos != 3
    ] + [node for node in study.extent.nodes("mlp_out") if node.pos != 4]
    assert len(nodes) > 130
    assert_close(study.joint(nodes).effect.raw, oracle.together(nodes))


def test_a_query_head_is_no_kv_head():
    study = PatchStudy(family_model("llama"), *random_tokens(2, 5, differ=(1, 3)))
    with pytest.raises(IndexError, match="Query head 3 is served by KV head 1"):
        study.interactions(["L0H1.z", "L1H3.v"])
