"""A study leaves everything as it found it, whatever is asked of it and however it ends."""

from __future__ import annotations

import copy
import itertools
import random
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from through_hooks import by_hooks
from torch import nn
from torch.testing import assert_close
from toy_models import STYLES, random_model

from patchwidget import Head, Node, Pairs, PatchStudy, watch
from patchwidget.exact import budget
from patchwidget.hooks import HookedModel
from patchwidget.nodes import KINDS

NODES = [Head(0, 1), Head(1, 2, "q"), Head(0, 0, "k", 3), Node("resid_pre", 1, pos=4)]


@pytest.fixture
def own_model():
    """A model that a test may change."""
    return random_model(STYLES[-1])


@contextmanager
def left_alone(model):
    """Whatever happens inside, model, grad mode and random numbers are as before."""

    def state():
        hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
        return {
            "hooks": [
                (name, kind, dict(getattr(module, kind)))
                for name, module in model.named_modules()
                for kind in hooks
            ],
            "mode": [(name, module.training) for name, module in model.named_modules()],
            "flags": [p.requires_grad for p in model.parameters()],
            "weights": [(p.data_ptr(), p._version) for p in model.parameters()],
            "gradients": [p.grad for p in model.parameters()],
            "dtype": [(p.dtype, p.device) for p in model.parameters()],
            "grad mode": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
            "torch": torch.get_rng_state().tolist(),
            "python": random.getstate(),
            "numpy": np.random.get_state()[1].tolist(),  # noqa: NPY002 - the global one
        }

    # Both libraries leave hooks of their own behind at the first forward.
    with torch.no_grad():
        model(torch.ones(1, 2, dtype=torch.long))
    before = state()
    yield
    after = state()
    for what, value in before.items():
        assert after[what] == value, what


def interrupting(at):
    """A metric that a Ctrl-C hits at its `at`-th call."""
    calls = []

    def metric(logits):
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt
        return logits[:, -1, 5] - logits[:, -1, 7]

    return metric


def without_answers(model, tokens, **options):
    return PatchStudy(model, *tokens[:2], **options)


def failing_in_the_model(study, tokens):
    def broken(site, layer, value):
        if (site, layer) == ("mlp_out", 1):
            raise KeyboardInterrupt
        return value

    HookedModel(study.model).run(tokens[0], broken)


CALLS = {
    "construct": (None, lambda m, t: PatchStudy(m, *t)),
    "construct by hooks": (None, lambda m, t: by_hooks(m, *t)),
    "estimate every kind": (
        None,
        lambda m, t: list(map(PatchStudy(m, *t).estimate, KINDS)),
    ),
    "estimate by hooks": (None, lambda m, t: by_hooks(m, *t).estimate("resid_mid")),
    "exact nodes": (None, lambda m, t: PatchStudy(m, *t).exact(NODES)),
    "exact by hooks": (None, lambda m, t: by_hooks(m, *t).exact(NODES)),
    "reversed": (None, lambda m, t: PatchStudy(m, *t).reversed().exact(NODES)),
    "attention": (None, lambda m, t: PatchStudy(m, *t).attention([Head(0, 0)])),
    "closed halfway": (None, lambda m, t: halfway(PatchStudy(m, *t))),
    "closed halfway by hooks": (None, lambda m, t: halfway(by_hooks(m, *t))),
    "unequal lengths": (
        ValueError,
        lambda m, t: PatchStudy(m, "so Mary", "so John gave"),
    ),
    "answer of two tokens": (
        ValueError,
        lambda m, t: PatchStudy(m, "so", "to", ("Mary", " John")),
    ),
    "NaN metric": (
        ValueError,
        lambda m, t: without_answers(m, t, metric=lambda x: x[:, -1, 0] * torch.nan),
    ),
    "metric of a wrong shape": (
        ValueError,
        lambda m, t: without_answers(m, t, metric=lambda logits: logits[0]),
    ),
    "metric without a gradient": (
        ValueError,
        lambda m, t: without_answers(
            m, t, metric=lambda x: x.detach()[:, -1, 0]
        ).estimate("z"),
    ),
    "the same by hooks": (
        ValueError,
        lambda m, t: by_hooks(
            m, *t[:2], metric=lambda x: x.detach()[:, -1, 0]
        ).estimate("z"),
    ),
    "metric that raises": (
        RuntimeError,
        lambda m, t: without_answers(m, t, metric=lambda logits: 1 / 0),
    ),
    "equal metrics": (
        ValueError,
        lambda m, t: PatchStudy(m, t[0], t[0], t[2]).estimate("z").values,
    ),
    "unknown kind": (ValueError, lambda m, t: PatchStudy(m, *t).estimate("zz")),
    "unknown method": (ValueError, lambda m, t: PatchStudy(m, *t).estimate("z", "at")),
    "unknown direction": (ValueError, lambda m, t: PatchStudy(m, *t, direction="up")),
    "head out of range": (
        IndexError,
        lambda m, t: PatchStudy(m, *t).exact([Head(0, 3)]),
    ),
    "interrupt in the metric": (
        KeyboardInterrupt,
        lambda m, t: without_answers(m, t, metric=interrupting(2)),
    ),
    "interrupt in an estimate": (
        KeyboardInterrupt,
        lambda m, t: without_answers(m, t, metric=interrupting(3)).estimate("z"),
    ),
    "interrupt in a patch": (
        KeyboardInterrupt,
        lambda m, t: without_answers(m, t, metric=interrupting(4)).exact("z"),
    ),
    "interrupt in an estimate by hooks": (
        KeyboardInterrupt,
        lambda m, t: by_hooks(m, *t[:2], metric=interrupting(3)).estimate("z"),
    ),
    "interrupt in a patch by hooks": (
        KeyboardInterrupt,
        lambda m, t: by_hooks(m, *t[:2], metric=interrupting(4)).exact("z"),
    ),
    "interrupt with hooks on": (
        KeyboardInterrupt,
        lambda m, t: failing_in_the_model(by_hooks(m, *t), t),
    ),
}


def halfway(study):
    steps = study.steps("exact", list(study.extent.nodes("z")))
    next(steps)
    next(steps)
    steps.close()


@pytest.mark.parametrize("mode", ["grad", "no grad", "inference"])
@pytest.mark.parametrize("name", CALLS)
def test_everything_is_left_as_it_was(model, tokens, name, mode):
    error, call = CALLS[name]
    modes = {
        "grad": torch.enable_grad,
        "no grad": torch.no_grad,
        "inference": torch.inference_mode,
    }
    with modes[mode](), left_alone(model):
        if error is None:
            call(model, tokens)
        else:
            with pytest.raises(error):
                call(model, tokens)


@pytest.mark.parametrize("engine", [PatchStudy, by_hooks])
def test_a_step_leaves_no_mode_behind(model, tokens, engine):
    """A cell that runs between two steps finds its own grad mode, and no hooks."""
    modes = [torch.enable_grad, torch.no_grad, torch.inference_mode]
    steps = engine(model, *tokens).steps("exact", NODES)
    found = 0
    for mode in itertools.cycle(modes):
        with mode(), left_alone(model):
            step = next(steps, None)
        if step is None:
            break
        found += len(step.found)
    assert found == len(NODES)


@pytest.mark.parametrize("engine", [PatchStudy, by_hooks])
def test_numbers_do_not_depend_on_the_callers_grad_mode(model, tokens, engine):
    def numbers():
        study = engine(model, *tokens)
        grids = [study.estimate(kind).raw for kind in ("z", "q", "resid_mid")]
        effects = [effect.raw for effect in study.exact(NODES).values()]
        return [*grids, *effects, *study.baselines]

    expected = numbers()
    torch.set_grad_enabled(False)
    try:
        off = numbers()
    finally:
        torch.set_grad_enabled(True)
    with torch.inference_mode():
        inference = numbers()
    for other in (off, inference):
        for one, two in zip(expected, other, strict=True):
            assert torch.equal(one, two)


def test_results_from_inference_mode_can_be_used_outside(model, tokens):
    with torch.inference_mode():
        study = PatchStudy(model, *tokens)
        grid, effects = study.estimate("z"), study.exact(NODES)
    weight = torch.ones((), requires_grad=True)
    (weight * grid.raw).sum().backward()
    (weight * effects[NODES[0]].raw).sum().backward()
    assert weight.grad is not None
    # And a study made there goes on outside.
    expected = PatchStudy(model, *tokens).exact([Head(1, 0)])[Head(1, 0)]
    assert_close(study.exact([Head(1, 0)])[Head(1, 0)].raw, expected.raw)


def test_frozen_weights_change_nothing(own_model, tokens):
    expected = PatchStudy(own_model, *tokens).estimate("q").raw
    own_model.requires_grad_(False)
    for engine in (PatchStudy, by_hooks):
        with left_alone(own_model):
            assert_close(engine(own_model, *tokens).estimate("q").raw, expected)


def test_forms_of_construction(model, tokens):
    clean, corrupted, answers = tokens
    expected = PatchStudy(model, Pairs(clean, corrupted, answers=answers))
    for study in (
        PatchStudy(model, clean, corrupted, answers),
        PatchStudy(model, clean, corrupted=corrupted, answers=answers),
    ):
        assert torch.equal(study.baselines[0], expected.baselines[0])
    assert expected.notice is None
    assert (expected.direction, expected.metric) == ("denoising", "logit_diff")
    assert len(expected.pairs) == 3
    words = PatchStudy(model, "so Mary gave", "so John gave", (" Mary", " John"))
    assert words.extent.n_pos == 5
    text = repr(words)
    assert "1 pair of 5 tokens, denoising, logit_diff: clean" in text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m, t: PatchStudy(m, t[0]), "the corrupted prompts are missing"),
        (
            lambda m, t: PatchStudy(m, Pairs(t[0], t[1]), answers=t[2]),
            "either a Pairs, or prompts and answers, not both",
        ),
        (
            lambda m, t: PatchStudy(m, Pairs(t[0], t[1]), t[1]),
            "either a Pairs, or prompts and answers, not both",
        ),
        (
            lambda m, t: PatchStudy(m, *t, direction="sideways"),
            "unknown direction 'sideways': choose 'denoising'",
        ),
    ],
)
def test_constructions_that_make_no_study(model, tokens, make, message):
    with pytest.raises(ValueError, match=message):
        make(model, tokens)


class Impostor(nn.Linear):
    pass


@pytest.mark.parametrize("stranger", [Impostor(2, 3), None, "gpt2"])
def test_other_models_are_told_what_is_supported(tokens, stranger):
    message = f"is a {type(stranger).__name__}.*HookedTransformer.*TransformerBridge"
    with pytest.raises(TypeError, match=message):
        PatchStudy(stranger, *tokens)


def test_a_subclass_is_still_a_model(own_model, tokens):
    expected = PatchStudy(own_model, *tokens).estimate("z").raw
    cls = type(own_model)
    own_model.__class__ = type("Mine", (cls,), {})
    study = PatchStudy(own_model, *tokens)
    assert study.notice is None
    assert torch.equal(study.estimate("z").raw, expected)


def test_reversed_is_the_other_direction_of_the_same_runs(study, model, tokens):
    other = study.reversed()
    assert other.direction == "noising"
    assert other.reversed() is study
    assert study.reversed() is other
    assert other._runs.clean is study._runs.clean
    assert other._runs.corrupted is study._runs.corrupted
    fresh = PatchStudy(model, *tokens, direction="noising")
    assert other.scale == fresh.scale == -study.scale
    assert torch.equal(other.estimate("z").raw, fresh.estimate("z").raw)
    assert_close(other.exact(NODES)[NODES[0]].raw, fresh.exact(NODES)[NODES[0]].raw)
    assert not study.verified, "each direction knows its own effects"
    assert all(
        torch.equal(a, b) for a, b in zip(study.baselines, other.baselines, strict=True)
    )


def test_exact_takes_nodes_names_and_kinds(model, tokens):
    pairs = Pairs(*tokens[:2], answers=tokens[2], labels={"S2": 3})
    study = PatchStudy(model, pairs)
    node = Head(0, 0, "k", 3)
    by_node = study.exact(node)
    assert list(by_node) == [node]
    assert study.exact("L0H0.k@S2")[node].raw.equal(by_node[node].raw)
    assert study.exact(["0.0.k@3", Head(1, 1)])[node].raw.equal(by_node[node].raw)
    assert study.node("L0H0.k@S2") == node
    grid = study.exact("z")
    assert grid.raw.shape == (3, 2, 3)
    for node in study.extent.nodes("z"):
        assert_close(grid.raw[(..., *node.cell)], study.exact(node)[node].raw)
    assert study.exact("attn.hook_v", by="pos").raw.shape == (3, 2, 7, 3)
    assert set(study.exact([])) == set()


def test_asking_twice_gives_each_node_once_in_the_order_asked(study):
    nodes = [Head(1, 2), Head(0, 1, "q"), Head(1, 2), Head(0, 0)]
    effects = study.exact(nodes)
    assert list(effects) == [Head(1, 2), Head(0, 1, "q"), Head(0, 0)]
    assert repr(effects).splitlines()[0].startswith("L1H2.z: effect ")
    assert repr(study.exact([])) == "no effects"


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda s: s.exact([Head(2, 0)]), IndexError, "no layer 2, only 0 to 1"),
        (lambda s: s.exact([Head(0, 3)]), IndexError, "no head 3, only 0 to 2"),
        (lambda s: s.exact(["L0.resid_pre@7"]), IndexError, "no pos 7, only 0 to 6"),
        (lambda s: s.exact("zz"), ValueError, "unknown kind 'zz'"),
        (lambda s: s.exact(["z"]), ValueError, "'z' is not a node"),
        (lambda s: s.exact(5), TypeError, "5 is not a node: use Node, Head or a name"),
        (lambda s: s.exact(None), TypeError, "None is not a node.* a list of these"),
        (
            lambda s: s.steps("joint", ["L0H0.z", "L1H0.z"]),
            TypeError,
            r"'L0H0.z' is one node, and 'joint' takes sets.*\[\[node, node\], ...\]",
        ),
        (lambda s: s.steps("joint", [Head(0, 0)]), TypeError, "'L0H0.z' is one node"),
        (lambda s: s.exact([3]), TypeError, "3 is not a node: use Node, Head or a"),
        (lambda s: s.exact("z", by="dest"), ValueError, "z cannot be had by 'dest'"),
        (lambda s: s.exact([Head(0, 0)], by="pos"), ValueError, "by='pos' cuts a kind"),
        (lambda s: s.exact("L0H0.q@S2"), ValueError, "no position named 'S2'"),
        (lambda s: s.estimate("zz"), ValueError, "unknown kind 'zz'"),
        (lambda s: s.estimate("z", "atp2"), ValueError, "unknown method 'atp2'.* atp"),
        (lambda s: s.estimate("z", by="src"), ValueError, "cannot be had by 'src'"),
        (lambda s: s.known("zz"), ValueError, "unknown kind 'zz'"),
        (lambda s: s.steps("all", []), ValueError, "unknown computation 'all'"),
        (lambda s: s.attention(["L0.resid_pre@1"]), ValueError, "not part of a head"),
        (lambda s: s.attention([]), ValueError, "no head is named"),
        (lambda s: s.attention(["L0H9"]), IndexError, "no head 9"),
    ],
)
def test_what_cannot_be_asked(study, ask, error, message):
    with left_alone(study.model), pytest.raises(error, match=message):
        ask(study)
    assert not study.verified


@pytest.mark.parametrize("kind", ["z", "q", "k", "v", "pattern"])
def test_attention_is_the_models_own(study, model, tokens, kind):
    found = study.attention([Node(kind, 1, head=2), Head(1, 2), Head(0, 0)])
    assert found.heads == ((1, 2), (0, 0))
    for ours, prompts in ((found.clean, tokens[0]), (found.corrupted, tokens[1])):
        with torch.no_grad():
            cache = model.run_with_cache(prompts)[1]
        for i, (layer, head) in enumerate(found.heads):
            theirs = cache[f"blocks.{layer}.attn.hook_pattern"][:, head]
            assert_close(ours[i], theirs)


def test_closing_keeps_what_is_finished_and_going_on_runs_the_rest(
    study, model, tokens, monkeypatch
):
    nodes = [Node(kind, 0, head=0) for kind in ("k", "pattern", "q", "v", "z")]
    steps = study.steps("exact", nodes)
    seen = [next(steps)]
    assert (seen[0].done, seen[0].total) == (0, 5)
    while seen[-1].done < 2:
        seen.append(next(steps))
    steps.close()
    finished = set(study.verified)
    assert len(finished) == 2
    assert finished == {effect.node for step in seen for effect in step.found}
    ran = []
    real = study._runs.metric.values

    class Counting:
        name = study._runs.metric.name
        answers = study._runs.metric.answers
        position = study._runs.metric.position

        @staticmethod
        def values(readout, copies=1):
            ran.append(copies)
            return real(readout, copies)

    study._runner._swap.metrics["logit_diff"] = Counting()
    rest = list(study.steps("exact", nodes))
    assert sum(ran) == 3, "the two that are known are not run again"
    assert (rest[0].done, rest[-1].done, rest[-1].total) == (2, 5, 5)
    assert [step.done for step in rest] == sorted(step.done for step in rest)
    assert len(list(study.steps("exact", nodes))) == 1, "nothing left to do"
    fresh = PatchStudy(model, *tokens).exact(nodes)
    for node in nodes:
        assert_close(study.verified[node].raw, fresh[node].raw)


def test_an_interrupt_keeps_what_is_finished(model, tokens):
    # Calls: base, source, then one a node; kinds run in the order of their names.
    study = without_answers(model, tokens, metric=interrupting(6))
    nodes = [Node(kind, 0, head=0) for kind in ("k", "pattern", "q", "v", "z")]
    with pytest.raises(KeyboardInterrupt):
        study.exact(nodes)
    assert list(study.verified) == nodes[:3]
    assert len(study.exact(nodes)) == 5, "asked again, it goes on"


def test_a_step_is_at_most_a_layer_of_a_batch(study, monkeypatch):
    """Small batches: every cancel is answered soon, and the numbers stay the same."""
    expected = study.exact("z", by="pos")
    monkeypatch.setattr(budget, "_ROWS", {"cpu": 1})
    again = PatchStudy(
        study.model, *[study.pairs.clean, study.pairs.corrupted], study.pairs.answers
    )
    steps = list(again.steps("exact", list(again.extent.nodes("z", "pos"))))
    moved = [sum(bool(e.raw.any()) for e in step.found) for step in steps]
    assert max(moved) == 1
    assert_close(again.known("z", "pos").raw, expected.raw)


@pytest.mark.parametrize("engine", [PatchStudy, by_hooks])
def test_subscribers_hear_of_every_effect_once(model, tokens, engine):
    study = engine(model, *tokens)
    heard = []
    unsubscribe = study.subscribe(heard.append)
    study.exact(NODES)
    study.exact(NODES)
    assert sorted(str(e.node) for found in heard for e in found) == sorted(
        map(str, NODES)
    )
    assert heard[-1] == ()
    assert heard.count(()) == 2, "only at the end of each of the two"
    unsubscribe()
    unsubscribe()
    study.exact([Head(1, 1)])
    assert sum(map(len, heard)) == len(NODES)


@contextmanager
def dropping(model, rate):
    module = next((m for m in model.modules() if isinstance(m, nn.Dropout)), None)
    if module is None:
        # TransformerLens 2 models have none; a user's own may.
        module = nn.Dropout(rate)
        model.blocks[0].add_module("drop", module)
    module.p = rate
    module.train()
    yield module
    module.eval()


def test_dropout_is_refused(own_model, tokens):
    study = PatchStudy(own_model, *tokens)
    with dropping(own_model, 0.25) as module:
        name = next(n for n, m in own_model.named_modules() if m is module)
        for ask in (
            lambda: PatchStudy(own_model, *tokens),
            lambda: study.estimate("z"),
            lambda: study.exact(NODES),
        ):
            with left_alone(own_model), pytest.raises(ValueError, match="25%") as e:
                ask()
            assert name in str(e.value)
            assert "call model.eval() first" in str(e.value)
    study.exact(NODES)


def test_dropout_at_rate_zero_is_no_dropout(own_model, tokens):
    with dropping(own_model, 0.0) as module:
        assert PatchStudy(own_model, *tokens).notice is None
        assert module.training, "left in train mode"


def test_a_rate_that_rises_in_train_mode_is_noticed(own_model, tokens):
    with dropping(own_model, 0.0) as module:
        study = PatchStudy(own_model, *tokens)
        study.exact([Head(0, 0)])
        module.p = 0.5
        with pytest.raises(ValueError, match="drops 50% at random"):
            study.exact(NODES)


def test_functional_dropout_is_refused_too(own_model, tokens):
    """transformers' newer families drop attention by a rate kept as a number."""
    own_model.eval()
    own_model.blocks[0].attention_dropout = 0.5
    PatchStudy(own_model, *tokens)
    own_model.blocks[0].training = True
    with pytest.raises(ValueError, match="drops 50% at random"):
        PatchStudy(own_model, *tokens)


@pytest.mark.parametrize("engine", [PatchStudy, by_hooks])
@pytest.mark.parametrize("how", ["in place", "replaced"])
def test_changed_weights_are_noticed(own_model, tokens, engine, how):
    study = engine(own_model, *tokens)
    study.exact([Head(0, 0)])
    steps = study.steps("exact", NODES)
    next(steps)
    weight = next(own_model.parameters())
    with torch.no_grad():
        if how == "in place":
            weight.mul_(1.5)
        else:
            weight.data = weight.data * 1.5
    for ask in (
        lambda: study.exact(NODES),
        lambda: study.estimate("z"),
        lambda: next(steps),
        lambda: study.reversed().estimate("z"),
    ):
        with pytest.raises(RuntimeError, match="weights or hooks changed"):
            ask()
    assert list(study.verified) == [Head(0, 0)], "what was known before is kept"
    engine(own_model, *tokens).exact(NODES)


@pytest.mark.parametrize("part", ["parameter", "module"])
def test_what_stands_in_for_a_part_is_noticed(own_model, tokens, part):
    study = PatchStudy(own_model, *tokens)
    study.exact([Head(0, 0)])
    if part == "module":
        own_model.blocks[1] = copy.deepcopy(own_model.blocks[0])
    else:
        module = next(m for m in own_model.modules() if m._parameters)
        name = next(iter(module._parameters))
        module._parameters[name] = nn.Parameter(module._parameters[name].data * 1.5)
    with pytest.raises(RuntimeError, match="weights or hooks changed"):
        study.exact(NODES)


def test_a_module_set_beside_the_one_it_stands_for_is_noticed(own_model, tokens):
    """A Bridge still holds the weights of a part that it no longer runs."""
    study = PatchStudy(own_model, *tokens)
    study.exact([Head(0, 0)])
    own_model.blocks[1].mlp = nn.Identity()
    with pytest.raises(RuntimeError, match="make a new PatchStudy"):
        study.exact(NODES)


def test_what_does_not_matter_may_change_and_the_watch_goes_on(own_model, tokens):
    study = PatchStudy(own_model, *tokens)
    study.exact([Head(0, 0)])
    extra = own_model.blocks[0].extra = nn.Identity()
    study.exact([Head(0, 1)])
    extra.register_forward_hook(lambda *_: None)
    with pytest.raises(RuntimeError, match="weights or hooks changed"):
        study.exact(NODES)


def halve(value, hook):
    return 0.5 * value


HOOK = "blocks.0.attn.hook_z"


def test_a_hook_of_the_users_stays_in_force(own_model, tokens):
    node = Head(1, 2)
    unhooked = PatchStudy(own_model, *tokens).exact([node])[node].raw
    own_model.add_hook(HOOK, halve)
    study = PatchStudy(own_model, *tokens)
    assert "which is slower: the model carries hooks (" in study.notice
    clean, corrupted, answers = tokens

    def value(logits):
        return (logits[:, -1].gather(1, answers) * torch.tensor([1, -1])).sum(1)

    with torch.no_grad():
        for ours, prompts in zip(study.baselines, (clean, corrupted), strict=True):
            assert_close(ours, value(own_model(prompts)))
        source = own_model.run_with_cache(clean)[1]["blocks.1.attn.hook_z"]

        def patch(z, hook):
            z = z.clone()
            z[:, :, 2] = source[:, :, 2]
            return z

        patched = own_model.run_with_hooks(
            corrupted, fwd_hooks=[("blocks.1.attn.hook_z", patch)]
        )
        expected = value(patched) - value(own_model(corrupted))
    with left_alone(own_model):
        raw = study.exact([node])[node].raw
        grid = study.estimate("z")
    assert_close(raw, expected)
    assert not torch.allclose(raw, unhooked)
    assert float(grid.raw.abs().min()) > 0
    with torch.no_grad():
        assert_close(value(own_model(clean)), study.baselines[0])


@pytest.mark.parametrize("change", ["added", "removed", "replaced"])
def test_hooks_that_change_later_are_noticed(own_model, tokens, change):
    if change != "added":
        own_model.add_hook(HOOK, halve)
    study = PatchStudy(own_model, *tokens)
    study.exact([Head(1, 1)])
    if change != "added":
        own_model.reset_hooks()
    if change != "removed":
        own_model.add_hook(HOOK, lambda value, hook: 3 * value)
    for ask in (lambda: study.exact([Head(1, 2)]), lambda: study.estimate("z")):
        with pytest.raises(RuntimeError, match="weights or hooks changed"):
            ask()


def test_our_own_hooks_do_not_count_as_changes(model, tokens):
    study = by_hooks(model, *tokens)
    study.estimate("z")
    study.exact(NODES)
    study.estimate("q")


def changed_without_a_trace(model, part):
    """A weight changed past autograd's own count of changes, and its undoing."""
    names = {
        "head": ("W_O", ".o._original_component.weight"),
        "norm": ("ln_final", ".ln_f."),
    }
    weight = next(
        p for n, p in model.named_parameters() if any(x in n for x in names[part])
    )
    before = weight.detach().clone()
    weight.data.mul_(1.5)
    return lambda: weight.data.copy_(before)


@pytest.mark.parametrize("part", ["head", "norm"])
def test_weights_changed_without_a_trace_are_noticed(model, tokens, part):
    study = PatchStudy(model, *tokens)
    study.exact([Head(0, 1)])
    undo = changed_without_a_trace(model, part)
    try:
        for ask in (lambda: study.exact([Head(1, 1)]), lambda: study.estimate("z")):
            with pytest.raises(RuntimeError, match="weights changed since"):
                ask()
        assert list(study.verified) == [Head(0, 1)]
    finally:
        undo()
    assert study.exact([Head(1, 1)])["L1H1.z"].raw.shape == (len(tokens[0]),)


def test_a_missing_number_that_no_prompt_reads_is_no_change(own_model, tokens):
    read = {int(token) for prompts in tokens for token in prompts.flatten()}
    weight = next(own_model.parameters())
    row = next(n for n in range(len(weight)) if n not in read)
    with torch.no_grad():
        weight[row] = float("nan")
    study = PatchStudy(own_model, *tokens)
    study.exact([Head(0, 0)])
    study.estimate("z")


def test_one_changed_number_is_seen_by_the_logits(model, tokens, monkeypatch):
    monkeypatch.setattr(watch, "ASK_MODEL_EVERY_S", 0.0)
    monkeypatch.setattr(watch, "_SHARE", 1e9)
    study = PatchStudy(model, *tokens)
    study.exact([Head(0, 1)])
    weight = next(p for p in model.parameters() if p.numel() > 1000)
    row = int(study.pairs.corrupted[0, 0])
    assert weight.shape[0] > row, "the embedding: one number of a token that is there"
    weight.data[row, -1] += 3
    try:
        with pytest.raises(RuntimeError, match="from those this study captured"):
            study.exact([Head(1, 1)])
    finally:
        weight.data[row, -1] -= 3


def test_weights_changed_between_steps_leave_no_wrong_effect(model, tokens):
    study = PatchStudy(model, *tokens)
    steps = study.steps("exact", [Head(0, 1)])
    next(steps)
    next(steps)
    undo = changed_without_a_trace(model, "head")
    try:
        with pytest.raises(RuntimeError, match="weights changed since"):
            list(steps)
    finally:
        undo()
    assert len(study.verified) == 0


def test_weights_changed_back_before_the_end_leave_no_wrong_effect(model, tokens):
    study = PatchStudy(model, *tokens)
    steps = study.steps("exact", [Head(0, 1)])
    assert not next(steps).found
    assert not next(steps).found
    undo = changed_without_a_trace(model, "head")
    try:
        with pytest.raises(RuntimeError, match="weights changed since"):
            next(steps)
    finally:
        undo()
    assert len(study.verified) == 0


def test_autocast_of_the_caller_changes_nothing(model, tokens):
    plain = PatchStudy(model, *tokens).exact([Head(0, 1)])["L0H1.z"].raw
    study = PatchStudy(model, *tokens)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(study.exact([Head(0, 1)])["L0H1.z"].raw, plain)
