"""The patching functions: what they are called, what they refuse, what they leave alone."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
import warnings

import pytest
import torch
from torch.testing import assert_close
from toy_models import TL_MAJOR, random_model

import patchwidget
from patchwidget import patching

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")  # theirs, about tqdm
ONE = "get_act_patch_attn_head_out_all_pos"


def last(logits):
    return logits[:, -1, 5].mean()


def their_module():
    from transformer_lens import patching as theirs

    return theirs


@pytest.fixture(scope="module")
def cache(model, tokens):
    return dict(model.run_with_cache(tokens[0])[1].items())


@pytest.fixture
def given(model, tokens, cache):
    """What a function is given: change the copy of the cache as you like."""
    return model, tokens[1], dict(cache), last


# ---- names ----------------------------------------------------------------------------


def test_every_function_of_theirs_is_there():
    theirs = {name for name in dir(their_module()) if name.startswith("get_act_patch")}
    ours = set(patching.__all__)
    assert ours <= theirs
    # Paths are not activations: a later day's engine.
    assert {name for name in theirs - ours if "direct_path" not in name} == set()
    assert all(getattr(patching, name) is not None for name in theirs)


@pytest.mark.parametrize("name", patching.__all__)
def test_signatures_are_theirs(name):
    ours = dict(inspect.signature(getattr(patching, name)).parameters)
    theirs = inspect.signature(getattr(their_module(), name)).parameters
    if TL_MAJOR < 4:
        # Known by name in order to say that this version does not have them.
        added = ("kwargs",) if name.endswith("_every") else ("reduce", "baseline")
        for extra in added:
            ours.pop(extra)
    assert list(ours) == list(theirs)
    for parameter, their_own in theirs.items():
        assert ours[parameter].kind == their_own.kind, parameter
        if parameter == "patch_setter":
            # Theirs is a function of a module that is not loaded to ask for a name.
            assert ours[parameter].default is None
        else:
            assert ours[parameter].default == their_own.default, parameter


@pytest.mark.parametrize("name", patching.__all__)
def test_functions_know_their_names(name):
    function = getattr(patching, name)
    assert function.__name__ == name
    assert name in function.__doc__
    assert pickle.loads(pickle.dumps(function)) is function  # noqa: S301 - made here


def test_what_is_not_ours_is_theirs():
    theirs = their_module()
    names = ["generic_activation_patch", "make_df_from_ranges"]
    names += [name for name in vars(theirs) if name.endswith("_setter")]
    names += [name for name in vars(theirs) if "direct_path" in name]
    for name in names:
        assert getattr(patching, name) is getattr(theirs, name)
        assert name in dir(patching)
    assert len(names) >= 8
    with pytest.raises(AttributeError, match=r"neither .* nor .* has a 'nothing'"):
        _ = patching.nothing
    with pytest.raises(AttributeError):
        _ = patching.__wrapped__


def test_transformer_lens_is_not_loaded_for_a_name():
    code = (
        "import sys, inspect; from patchwidget import patching; dir(patching);"
        f"inspect.signature(patching.{ONE}); hasattr(patching, '__wrapped__');"
        "print('transformer_lens' in sys.modules, 'pandas' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"]
    assert "patching" in patchwidget.__all__


def test_arguments_may_be_given_by_name(given):
    model, tokens, cache, metric = given
    named = {"model": model, "corrupted_tokens": tokens, "clean_cache": cache}
    ours = patching.get_act_patch_resid_pre(patching_metric=metric, **named)
    assert_close(ours, patching.get_act_patch_resid_pre(*given))
    assert patching.get_act_patch_block_every(metric=metric, **named).dim() == 3


# ---- calls that are not ours ----------------------------------------------------------


def test_a_setter_of_ones_own_goes_to_theirs(given):
    def halfway(value, index, cached):
        value[:, index[1]] = (value[:, index[1]] + cached[:, index[1]]) / 2
        return value

    ours, theirs = (
        module.get_act_patch_resid_pre(*given, patch_setter=halfway)
        for module in (patching, their_module())
    )
    assert torch.equal(ours, theirs)
    assert not torch.allclose(ours, patching.get_act_patch_resid_pre(*given))


def test_another_activation_goes_to_theirs(given):
    ours = patching.get_act_patch_resid_pre(*given, activation_name="resid_post")
    theirs = their_module().get_act_patch_resid_pre(
        *given, activation_name="resid_post"
    )
    assert torch.equal(ours, theirs)


def test_an_unknown_axis_is_named(given):
    with pytest.raises(
        ValueError, match="unknown axis 'token': choose from layer, pos"
    ):
        patching.get_act_patch_resid_pre(*given, index_axis_names=("layer", "token"))
    with pytest.raises(ValueError, match="which cells to patch"):
        patching.get_act_patch_resid_pre(*given, index_axis_names=None)


# ---- what is not run ------------------------------------------------------------------


def test_what_cannot_matter_is_not_run(given, monkeypatch):
    model, tokens, cache, metric = given
    calls = []

    def counted(logits):
        calls.append(1)
        return metric(logits)

    found = patching.get_act_patch_resid_pre(model, tokens, cache, counted)
    # Prompts differ from position 2 on: before it, the model cached what it has anyway.
    assert bool((found[:, :2] == found[0, 0]).all())
    assert len(calls) <= 1 + found[:, 2:].numel()
    with torch.no_grad():
        assert_close(found[0, 0], metric(model(tokens)))


# ---- what is refused ------------------------------------------------------------------


def test_a_missing_hook_is_named(given):
    del given[2]["blocks.1.attn.hook_z"]
    with pytest.raises(KeyError, match=r"clean_cache has no 'blocks.1.attn.hook_z'"):
        getattr(patching, ONE)(*given)


@pytest.mark.parametrize("cut", [lambda x: x[0], lambda x: x[:2], lambda x: x[:, :5]])
def test_a_shape_that_does_not_fit_is_shown_beside_the_other(given, cut):
    name = "blocks.0.attn.hook_z"
    given[2][name] = cut(given[2][name])
    shapes = rf"{list(given[2][name].shape)}, in the corrupted run it is \[3, 7, 3, 4\]"
    with pytest.raises(ValueError, match=shapes.replace("[", r"\[", 1)):
        getattr(patching, ONE)(*given)


def test_a_cached_value_must_be_a_tensor(given):
    given[2]["blocks.0.attn.hook_z"] = [1, 2]
    with pytest.raises(TypeError, match=r"hook_z'\] is no tensor but \[1, 2\]"):
        getattr(patching, ONE)(*given)


@pytest.mark.parametrize(
    ("wrong", "error", "match"),
    [
        ("a prompt", TypeError, "corrupted_tokens must be a tensor"),
        (torch.ones(2, 3), ValueError, r"token ids \[batch, pos\], got torch.float32"),
        (torch.ones(1, 2, 3).long(), ValueError, r"got torch.int64 \[1, 2, 3\]"),
        (torch.tensor([[1, 999]]), ValueError, "token 999 is not in a vocabulary of 3"),
        (torch.tensor([[1, -1]]), ValueError, "token -1 is not in a vocabulary"),
        (
            torch.ones(1, 40).long(),
            ValueError,
            "hold 40 tokens a prompt, the model take",
        ),
    ],
)
def test_tokens_that_do_not_fit_are_refused(given, wrong, error, match):
    with pytest.raises(error, match=match):
        getattr(patching, ONE)(given[0], wrong, *given[2:])


def test_a_cell_that_does_not_exist_is_named(given):
    table = patching.make_df_from_ranges([2, 4], ["layer", "head"])
    with pytest.raises(IndexError, match=r"L0H3.z: there is no head 3, only 0 to 2"):
        getattr(patching, ONE)(*given, index_df=table)
    table["pos"] = 0
    with pytest.raises(ValueError, match=r"has columns .*, 2 are needed: layer, head"):
        getattr(patching, ONE)(*given, index_df=table)


def test_a_metric_that_is_no_number_names_the_node(given):
    *given, metric = given
    calls = []

    def broken(logits):
        calls.append(1)
        return metric(logits) * (float("nan") if len(calls) > 2 else 1)

    with pytest.raises(
        ValueError, match=r"broken is not finite on .* L\dH\d.z is patch"
    ):
        getattr(patching, ONE)(*given, broken)


def test_a_metric_that_raises_names_the_node(given):
    *given, metric = given
    calls = []

    def broken(logits):
        calls.append(1)
        return metric(logits) if len(calls) < 3 else {}["nothing"]

    with pytest.raises(
        RuntimeError, match=r"raised KeyError.* L\dH\d.z is pat"
    ) as info:
        getattr(patching, ONE)(*given, broken)
    assert isinstance(info.value.__cause__, KeyError)


def test_a_metric_must_be_a_function(given):
    with pytest.raises(
        TypeError, match="'logit_diff' must be a function of the logits"
    ):
        getattr(patching, ONE)(*given[:3], "logit_diff")
    with pytest.raises(TypeError, match="'text' returned 'much': return a tensor"):
        getattr(patching, ONE)(*given[:3], named(lambda logits: "much", "text"))


def named(function, name):
    function.__name__ = name
    return function


def test_a_metric_must_give_one_number(given):
    with pytest.raises(ValueError, match=r"must return a scalar .*, got shape \(3,\)"):
        getattr(patching, ONE)(*given[:3], lambda logits: logits[:, -1, 5])


@pytest.mark.skipif(TL_MAJOR >= 4, reason="TransformerLens 4 has these")
@pytest.mark.parametrize("form", [{"reduce": "mean"}, {"baseline": True}, {}])
def test_forms_that_the_version_lacks_are_refused(given, form):
    metric = given[3] if form else {"one": given[3]}
    for name in (ONE, "get_act_patch_block_every"):
        with pytest.raises(TypeError, match=r"TransformerLens 2\..* does not have"):
            getattr(patching, name)(*given[:3], metric, **form)


@pytest.mark.skipif(TL_MAJOR >= 4, reason="TransformerLens 4 refuses it")
def test_a_tensor_of_one_value_is_a_scalar_as_in_theirs(given):
    def one(logits):
        return logits[:1, -1, 5]

    ours, theirs = (
        getattr(module, ONE)(*given[:3], one) for module in (patching, their_module())
    )
    assert_close(ours, theirs)


def test_what_several_kinds_do_not_take_is_refused(given):
    with pytest.raises(
        TypeError, match="block_every got index_df, patch_setter: besid"
    ):
        patching.get_act_patch_block_every(*given, index_df=1, patch_setter=2)


def test_a_model_of_another_make_is_refused(given):
    with pytest.raises(TypeError, match="the model is a Linear"):
        getattr(patching, ONE)(torch.nn.Linear(2, 2), *given[1:])


def test_a_model_that_drops_at_random_is_refused(given):
    model = random_model("raw" if TL_MAJOR >= 4 else "LN")
    model.drop = torch.nn.Dropout(0.1)
    model.train()
    with pytest.raises(ValueError, match="drops 10% at random"):
        getattr(patching, ONE)(model, *given[1:])


# ---- the model's own hooks ------------------------------------------------------------


def test_a_users_hooks_count_and_are_told_of_once(given):
    model = given[0]

    def louder(value, hook):
        return value * 1.5

    def ask(module):
        return module.get_act_patch_attn_head_all_pos_every(*given)

    plain = ask(patching)
    with model.hooks(fwd_hooks=[("blocks.0.hook_mlp_out", louder)]):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            ours = ask(patching)
        theirs = ask(their_module())
    told = [one for one in caught if "the model's own hooks" in str(one.message)]
    assert len(told) == 1
    assert told[0].filename == __file__, "the user's line is shown"
    assert "the model carries hooks (blocks.0." in str(told[0].message)
    assert_close(ours, theirs)
    assert not torch.allclose(ours, plain)
    assert torch.equal(ask(patching), plain)


# ---- what is left alone ---------------------------------------------------------------


def test_the_model_is_left_as_it_was(given):
    model = given[0]

    def state():
        return (
            torch.is_grad_enabled(),
            model.training,
            torch.get_rng_state().sum().item(),
            [p.requires_grad for p in model.parameters()],
            [len(m._forward_hooks) for m in model.modules()],
            [(p.data_ptr(), p._version) for p in model.parameters()],
        )

    kept = {name: value.clone() for name, value in given[2].items()}
    patching.get_act_patch_attn_head_by_pos_every(*given)
    before = state()
    ours = patching.get_act_patch_block_every(*given)
    assert state() == before
    assert not ours.requires_grad
    assert all(torch.equal(kept[name], value) for name, value in given[2].items())


@pytest.mark.parametrize(
    "mode", [torch.no_grad, torch.enable_grad, torch.inference_mode]
)
def test_any_grad_mode_will_do(model, tokens, mode):
    def ask(module):
        cache = model.run_with_cache(tokens[0].clone())[1]
        return getattr(module, ONE)(model, tokens[1].clone(), cache, last)

    with mode():
        ours, theirs = ask(patching), ask(their_module())
    assert_close(ours, theirs)


def test_a_bar_is_shown_for_what_takes_long(given, monkeypatch, capsys):
    monkeypatch.setattr("patchwidget.exact.bar.SHOWN_AFTER_S", 0.0)
    getattr(patching, ONE)(*given)
    shown = capsys.readouterr()
    assert ONE in shown.err + shown.out
