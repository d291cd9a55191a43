"""The model families in use: exact effects on the decoder equal the hook loop."""

from __future__ import annotations

import pytest
from family_models import DIRECTIONS, FAMILIES, family_model
from hook_oracle import Oracle, PatternThroughZ
from test_exact import CUTS, spread
from torch.testing import assert_close
from toy_models import TL_MAJOR, random_tokens

from patchwidget import PatchStudy
from patchwidget.nodes import KINDS

# TransformerLens 4.3 discards edits of OPT's pattern: its hooks cannot be the oracle.
DEAD = {("opt", "pattern"), ("opt, compatible", "pattern")} if TL_MAJOR >= 4 else set()


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def model(family):
    return family_model(family)


@pytest.fixture(scope="module", params=DIRECTIONS)
def case(request, model):
    clean, corrupted, answers = random_tokens(2, 6, differ=(1, 3))
    study = PatchStudy(model, clean, corrupted, answers, direction=request.param)
    base, source = corrupted, clean
    if request.param == "noising":
        base, source = clean, corrupted
    return study, Oracle(model, base, source, answers)


def test_the_decoder_agrees_with_the_model(case):
    assert case[0].notice is None


@pytest.mark.parametrize(("kind", "by"), CUTS)
def test_exact_effects_equal_the_hook_loop(family, case, kind, by):
    study, oracle = case
    if not study.can_patch(kind):
        assert_absent(family, kind)
        return
    if (family, kind) in DEAD:
        oracle = PatternThroughZ(oracle)
    nodes = spread(study.extent.nodes(kind, by), at_most=16)
    effects = study.exact(nodes)
    for node in nodes:
        assert_close(
            effects[node].raw, oracle.raw(node), msg=lambda m, n=node: f"{n}: {m}"
        )


def test_a_kind_that_a_family_lacks_is_refused(case):
    study, _ = case
    for kind in KINDS:
        if study.can_patch(kind):
            continue
        for ask in (study.exact, study.estimate):
            with pytest.raises(ValueError, match=f"there is no {kind} in this model"):
                ask(kind)


def assert_absent(family, kind):
    if kind == "resid_mid":
        assert family.removesuffix(", compatible") in {"gpt-neox", "gpt-j"} or (
            "attention only" in family
        )
    else:
        assert "attention only" in family
        assert kind in ("mlp_out", "neuron")


def test_every_kind_has_an_effect(case):
    study, _ = case
    for kind in filter(study.can_patch, KINDS):
        nodes = [node for node in study.extent.nodes(kind) if node.pos in (None, 3)]
        effects = study.exact(nodes[:12])
        assert max(float(e.raw.abs().max()) for e in effects.values()) > 1e-4, kind


def test_key_and_value_grids_have_kv_heads(case):
    study, _ = case
    for kind in ("k", "v"):
        assert study.estimate(kind).values.shape == (2, study.extent.n_kv_heads)
        assert study.exact(kind).values.shape == (2, study.extent.n_kv_heads)
