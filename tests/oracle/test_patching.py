"""`patchwidget.patching` gives what TransformerLens' own functions give."""

from __future__ import annotations

import pytest
import torch
from family_models import FAMILY_CASES, family_model
from hook_oracle import Oracle, PatternThroughZ, logit_diff
from torch.testing import assert_close
from toy_models import STYLES, TL_MAJOR, TL_VERSION, random_model, random_tokens

from patchwidget import Node, patching

SHAPES = [(3, 2, 2, 5), (1, 3, 1, 4), (2, 1, 3, 2), (2, 3, 2, 1)]
# On a Bridge, TransformerLens' own resid_mid edits only the input of the second norm.
WRONG = {"get_act_patch_resid_mid"} if TL_MAJOR >= 4 else set()
ONE_KIND = [
    name
    for name in patching.__all__
    if not name.endswith("_every") and name not in WRONG
]
# Together they patch every kind but one, and each way of cutting but one.
FEW = [
    "get_act_patch_block_every",
    "get_act_patch_attn_head_all_pos_every",
    "get_act_patch_attn_head_by_pos_every",
    "get_act_patch_attn_head_pattern_dest_src_pos",
    "get_act_patch_resid_mid",
]
pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")  # theirs, about tqdm


def theirs(name):
    from transformer_lens import patching as their_patching

    return getattr(their_patching, name)


class Case:
    """A model, prompts, and what was cached of the clean ones."""

    def __init__(self, model, clean, corrupted, answers):
        self.model, self.tokens, self.answers = model, corrupted, answers
        self.oracle = Oracle(model, corrupted, clean, answers)
        with torch.no_grad():
            self.cache = model.run_with_cache(clean)[1]

    def metric(self, logits):
        return logit_diff(logits, self.answers).mean()

    def edited(self):
        """A plain dict in which every value has changed somewhere and a head is gone."""
        generator = torch.Generator().manual_seed(1)
        cache = {name: value.clone() for name, value in self.cache.items()}
        for name, value in cache.items():
            if value.dim() > 2 and value.is_floating_point():
                noise = torch.randn(value[:, -1].shape, generator=generator)
                value[:, -1] += 0.3 * noise
            if name.endswith(("hook_z", "hook_q", "hook_k", "hook_v")):
                value[:, :, 0] = 0
            if name.endswith("hook_pattern"):
                value[:, 0] = 0
        return cache

    def by_edits(self, cells, cache, through=None):
        """The metric by independent edits, where TransformerLens' own is wrong."""
        self.oracle.source = cache
        editor = through(self.oracle) if through else self.oracle
        values = [editor.raw(node) + self.oracle.base_metric for node in cells]
        return torch.stack(values).mean(1)

    def expected(self, name, cache):
        n_layers, n_pos = self.model.cfg.n_layers, self.tokens.shape[1]
        if name in WRONG:
            nodes = [
                Node("resid_mid", layer, pos=pos)
                for layer in range(n_layers)
                for pos in range(n_pos)
            ]
            return self.by_edits(nodes, cache).reshape(n_layers, n_pos)
        with torch.no_grad():
            return theirs(name)(self.model, self.tokens, cache, self.metric)


@pytest.fixture(scope="module", params=STYLES)
def style(request):
    return request.param


@pytest.fixture(scope="module", params=SHAPES, ids=str)
def case(request, style):
    n_layers, n_heads, n_pairs, n_pos = request.param
    model = random_model(style, n_layers=n_layers, n_heads=n_heads)
    differ = (1, 3) if n_pos > 1 else (0,)
    return Case(model, *random_tokens(n_pairs, n_pos, differ=differ))


@pytest.fixture(scope="module")
def usual(style):
    return Case(random_model(style), *random_tokens(2, 5, differ=(1, 3)))


def assert_same(ours, expected):
    assert type(ours) is type(expected)
    assert ours.dtype == expected.dtype
    assert ours.device == expected.device
    assert_close(ours, expected)


@pytest.mark.parametrize("cached", ["as it was", "edited"])
@pytest.mark.parametrize("name", patching.__all__)
def test_results_equal_theirs(case, name, cached):
    cache = case.cache if cached == "as it was" else case.edited()
    ours = getattr(patching, name)(case.model, case.tokens, cache, case.metric)
    assert_same(ours, case.expected(name, cache))


def test_an_edited_cache_gives_another_result(usual):
    for name in patching.__all__:
        function = getattr(patching, name)
        one = function(usual.model, usual.tokens, usual.cache, usual.metric)
        other = function(usual.model, usual.tokens, usual.edited(), usual.metric)
        assert float((one - other).abs().max()) > 1e-3, name


@pytest.fixture(scope="module", params=FAMILY_CASES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def family_case(family):
    return Case(family_model(family), *random_tokens(2, 4, differ=(1,)))


@pytest.mark.parametrize("name", FEW)
def test_families_equal_theirs(family, family_case, name):
    case, cache = family_case, family_case.edited()
    function = getattr(patching, name)
    is_parallel = family.removesuffix(", compatible") in {"gpt-neox", "gpt-j"}
    parallel = is_parallel and name.endswith("resid_mid")
    bare = "attention only" in family and name.endswith(("block_every", "resid_mid"))
    if parallel or bare:
        with pytest.raises(KeyError):
            theirs(name)(case.model, case.tokens, cache, case.metric)
        with pytest.raises(ValueError, match=r"there is no .* in this model.*KeyError"):
            function(case.model, case.tokens, cache, case.metric)
        return
    ours = function(case.model, case.tokens, cache, case.metric)
    if crashes_under_groups(name, case.model):
        with pytest.raises(IndexError):
            theirs(name)(case.model, case.tokens, cache, case.metric)
        # Keys and values of KV heads alone, padded as later releases do.
        n_heads, n_kv = case.model.cfg.n_heads, case.model.cfg.n_key_value_heads
        assert ours.shape[0] == 5
        assert ours.shape[-1] == n_heads
        assert not ours[2:4, ..., n_kv:].any()
        assert ours[2:4, ..., :n_kv].any()
        outputs = name.replace("head_", "head_out_").removesuffix("_every")
        assert_same(ours[0], case.expected(outputs, cache))
        return
    expected = case.expected(name, cache)
    if TL_MAJOR >= 4 and family.startswith("opt") and "mid" not in name:
        expected = with_living_patterns(case, name, cache, expected)
    assert_same(ours, expected)


def crashes_under_groups(name, model):
    """Before 2.17 theirs looked for as many keys as there are queries."""
    grouped = model.cfg.n_key_value_heads not in (None, model.cfg.n_heads)
    return TL_VERSION < (2, 17) and grouped and "head" in name and "every" in name


def with_living_patterns(case, name, cache, expected):
    """TransformerLens 4.3 discards edits of OPT's pattern: by z instead."""
    layers, heads, positions = range(2), range(4), range(4)
    if "dest_src" in name:
        nodes = [
            Node("pattern", layer, head=head, pos=dest, src=src)
            for layer in layers
            for head in heads
            for dest in positions
            for src in positions
        ]
        return case.by_edits(nodes, cache, PatternThroughZ).reshape(2, 4, 4, 4)
    if "by_pos_every" in name:
        nodes = [
            Node("pattern", layer, head=head, pos=dest)
            for layer in layers
            for dest in positions
            for head in heads
        ]
    elif "all_pos_every" in name:
        nodes = [
            Node("pattern", layer, head=head) for layer in layers for head in heads
        ]
    else:
        return expected
    values = case.by_edits(nodes, cache, PatternThroughZ)
    dead = expected[4]
    assert_close(dead, dead.flatten()[0].expand_as(dead))
    return torch.cat([expected[:4], values.reshape(dead.shape)[None]])


def test_keys_and_values_are_padded_only_where_theirs_are():
    family = "qwen2" if TL_MAJOR >= 4 else "grouped heads"
    case = Case(family_model(family), *random_tokens(2, 4, differ=(1,)))
    given = case.model, case.tokens, case.cache, case.metric
    assert patching.get_act_patch_attn_head_k_all_pos(*given).shape == (2, 2)
    assert patching.get_act_patch_attn_head_v_by_pos(*given).shape == (2, 4, 2)
    every = patching.get_act_patch_attn_head_by_pos_every(*given)
    assert every.shape == (5, 2, 4, 4)
    assert not every[2:4, ..., 2:].any()


def all_positions(logits):
    return logits.log_softmax(-1)[..., 7].mean()


def an_early_position(logits):
    return logits[:, 2, 7].mean() - logits[0, 2, 11]


def the_largest_anywhere(logits):
    return logits.amax()


def a_count(logits):
    return (logits[:, -1] > 0).sum()


METRICS = [all_positions, an_early_position, the_largest_anywhere, a_count]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", FEW[:4])
def test_metrics_may_read_what_they_like(usual, name, metric):
    given = usual.model, usual.tokens, usual.edited(), metric
    assert_same(getattr(patching, name)(*given), theirs(name)(*given))


@pytest.mark.parametrize("name", ONE_KIND)
def test_a_table_says_which_cells_are_patched(usual, name):
    import pandas as pd

    given = usual.model, usual.tokens, usual.edited(), usual.metric
    tensor, table = theirs(name)(*given, return_index_df=True)
    ours, our_table = getattr(patching, name)(*given, return_index_df=True)
    pd.testing.assert_frame_equal(our_table, table)
    assert_same(ours, tensor)
    # One cell twice, and one counted from the end.
    some = table.iloc[[1, -1, 1]].copy()
    some.iloc[1, -1] = -1
    chosen = {"index_df": some, "index_axis_names": None}
    assert_same(
        getattr(patching, name)(*given, **chosen), theirs(name)(*given, **chosen)
    )
    assert getattr(patching, name)(*given, index_df=table[:0]).shape == (0,)


@pytest.mark.parametrize("name", ONE_KIND)
def test_one_cached_prompt_stands_for_all(usual, name):
    one = {name: value[:1] for name, value in usual.edited().items()}
    given = usual.model, usual.tokens, one, usual.metric
    assert_same(getattr(patching, name)(*given), theirs(name)(*given))


def test_a_cache_of_another_dtype_is_converted(usual):
    cache = {name: value.double() for name, value in usual.edited().items()}
    for name in FEW[:4]:
        given = usual.model, usual.tokens, cache, usual.metric
        assert_same(getattr(patching, name)(*given), theirs(name)(*given))


def test_a_prompt_without_a_batch_is_a_batch_of_one(usual):
    clean = usual.tokens[1]  # any other prompt of that length
    cache = usual.model.run_with_cache(clean)[1]
    given = usual.model, usual.tokens[0], cache, lambda logits: logits[0, -1, 5]
    for name in FEW[:4]:
        assert_same(getattr(patching, name)(*given), theirs(name)(*given))


def test_results_are_of_the_default_dtype(style):
    model = random_model(style).to(torch.float64)
    case = Case(model, *random_tokens(2, 4, differ=(1,)))
    given = model, case.tokens, case.cache, case.metric
    name = "get_act_patch_attn_head_out_all_pos"
    torch.set_default_dtype(torch.float64)
    try:
        assert_same(getattr(patching, name)(*given), theirs(name)(*given))
    finally:
        torch.set_default_dtype(torch.float32)
    assert_same(getattr(patching, name)(*given), theirs(name)(*given))


@pytest.mark.skipif(TL_MAJOR < 4, reason="all of TransformerLens 2's hooks act")
def test_theirs_are_wrong_where_we_say_so():
    case = Case(family_model("opt"), *random_tokens(2, 4, differ=(1,)))
    given = case.model, case.tokens, case.cache, case.metric
    dead = theirs("get_act_patch_attn_head_pattern_all_pos")(*given)
    assert_close(dead, dead[0, 0].expand_as(dead))
    ours = patching.get_act_patch_attn_head_pattern_all_pos(*given)
    assert float((ours - dead).abs().max()) > 1e-3
    other = theirs("get_act_patch_resid_mid")(*given)
    ours = patching.get_act_patch_resid_mid(*given)
    assert float((ours - other).abs().max()) > 1e-3
