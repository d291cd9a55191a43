"""Results with values per example, several metrics or a baseline equal theirs."""

from __future__ import annotations

import itertools

import pytest
import torch
from family_models import family_model
from torch.testing import assert_close
from toy_models import STYLES, TL_MAJOR, random_model, random_tokens

from patchwidget import patching

NAMES = [name for name in patching.__all__ if not name.endswith("resid_mid")]
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:UserWarning"),  # theirs, about tqdm
    pytest.mark.skipif(TL_MAJOR < 4, reason="TransformerLens 2 has no such results"),
]


def per_example(logits):
    return logits[:, -1, 5] - logits[:, -1, 9]


def elsewhere(logits):
    return logits[:, 1].logsumexp(-1)


def scalar(logits):
    return per_example(logits).mean()


def several(first, second):
    return {"difference": first, "elsewhere": second}


FORMS = [
    {"patching_metric": metric, "reduce": reduce, "baseline": baseline}
    for (reduce, metrics), baseline in itertools.product(
        [
            ("scalar", (scalar, several(scalar, lambda x: elsewhere(x).sum()))),
            ("mean", (per_example, several(per_example, elsewhere))),
            ("none", (per_example, several(per_example, elsewhere))),
        ],
        [False, True],
    )
    for metric in metrics
]


def form_name(form):
    many = "several" if isinstance(form["patching_metric"], dict) else "one"
    return f"{many}-{form['reduce']}-{form['baseline']}"


@pytest.fixture(scope="module", params=[(3, 4), (1, 2)], ids=str)
def case(request):
    """A model whose keys and values have fewer heads, and prompts of two sizes."""
    model = family_model("qwen2")
    clean, corrupted, _ = random_tokens(*request.param, differ=(1,))
    return model, corrupted, model.run_with_cache(clean)[1]


def both(name, given, form):
    from transformer_lens import patching as theirs

    form = dict(form)
    metric = form.pop("patching_metric")
    return (
        getattr(module, name)(*given, metric, **form) for module in (patching, theirs)
    )


def assert_same(ours, theirs):
    import pandas as pd

    assert type(ours) is type(theirs)
    if isinstance(theirs, torch.Tensor):
        assert_close(ours, theirs)
        return
    assert_close(ours.values, theirs.values)
    pd.testing.assert_frame_equal(ours.index_df, theirs.index_df)
    assert (ours.baseline is None) == (theirs.baseline is None)
    if theirs.baseline is not None:
        assert_close(ours.baseline, theirs.baseline)
    for field in (
        "axis_names",
        "metric_names",
        "reduced",
        "has_metric_axis",
        "patch_type_names",
    ):
        assert getattr(ours, field) == getattr(theirs, field), field


@pytest.mark.parametrize("form", FORMS, ids=form_name)
@pytest.mark.parametrize(
    "name",
    [
        "get_act_patch_resid_pre",
        "get_act_patch_attn_head_v_by_pos",
        "get_act_patch_attn_head_pattern_by_pos",
        "get_act_patch_attn_head_by_pos_every",
        "get_act_patch_block_every",
    ],
)
def test_every_form_of_result_is_theirs(case, name, form):
    assert_same(*both(name, case, form))


@pytest.mark.parametrize("name", NAMES)
def test_every_function_gives_all_forms(name):
    model = random_model(STYLES[0], n_layers=1, n_heads=2)
    clean, corrupted, _ = random_tokens(2, 3, differ=(1,))
    given = model, corrupted, model.run_with_cache(clean)[1]
    # The last has most in it: an axis of metrics, one of examples, and a baseline.
    assert_same(*both(name, given, FORMS[-1]))


def test_a_table_of_cells_gives_a_flat_result(case):
    from transformer_lens.patching import make_df_from_ranges

    form = {
        **FORMS[-1],
        "index_df": make_df_from_ranges([2, 2], ["layer", "pos"]),
        "index_axis_names": None,
    }
    assert_same(*both("get_act_patch_mlp_out", case, form))


def test_statistics_work_on_ours(case):
    name = "get_act_patch_attn_head_all_pos_every"
    result = getattr(patching, name)(*case, per_example, reduce="none", baseline=True)
    assert_close(result.effect().mean(-1), result.mean() - result.baseline.mean())
    assert len(result.to_dataframe()) == 5 * 2 * 4 * len(case[1])


@pytest.mark.parametrize(
    ("metric", "reduce"),
    [
        (per_example, "scalar"),
        (lambda logits: logits[:1, -1, 5], "scalar"),
        (scalar, "mean"),
        (scalar, "none"),
        (lambda logits: logits[:, -1], "none"),
        (scalar, "sum"),
        ({}, "scalar"),
    ],
)
def test_what_theirs_refuse_is_refused(case, metric, reduce):
    for result in ("get_act_patch_resid_pre", "get_act_patch_block_every"):
        for module in modules():
            with pytest.raises(ValueError, match=r"scalar|batch|reduce|metric"):
                getattr(module, result)(*case, metric, reduce=reduce)


def modules():
    from transformer_lens import patching as theirs

    return patching, theirs


def test_a_result_carries_its_table_itself(case):
    for module in modules():
        with pytest.raises(ValueError, match="return_index_df"):
            module.get_act_patch_resid_pre(
                *case, scalar, return_index_df=True, baseline=True
            )


def test_numbers_will_do_for_tensors(case):
    for module in modules():
        found = module.get_act_patch_resid_pre(*case, lambda logits: 0.5)
        assert bool((found == 0.5).all())
