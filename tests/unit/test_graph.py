"""The base run's graph: made with the run itself, used once, kept by nobody."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch.testing import assert_close

from patchwidget import Node, PatchStudy
from patchwidget.decoder import Decoder
from patchwidget.estimate import METHODS
from patchwidget.runs import capture


@pytest.fixture
def runs_made(monkeypatch):
    """A list that grows by one with each of the decoder's runs of whole prompts."""
    made, running = [], Decoder.running

    def counted(self, tokens, *tap):
        made.append(tokens)
        return running(self, tokens, *tap)

    monkeypatch.setattr(Decoder, "running", counted)
    return made


def held(study):
    """Something that is there for as long as the base run's graph is."""
    graph = study._runs.base.spare._graph
    return weakref.ref(graph.sites["mlp_out", 0])


@pytest.mark.parametrize("direction", ["denoising", "noising"])
def test_a_study_and_its_estimates_are_two_runs(model, tokens, direction, runs_made):
    study = PatchStudy(model, *tokens, direction=direction)
    for kind in ("z", "neuron", "resid_pre"):
        study.estimate(kind)
    assert len(runs_made) == 2


@pytest.mark.parametrize("method", [name for name in METHODS if name != "ig"])
def test_estimates_do_not_depend_on_where_the_graph_is_from(model, tokens, method):
    """Of the captured run, or of a run of its own: bit for bit the same."""
    first, later = PatchStudy(model, *tokens), PatchStudy(model, *tokens)
    later.exact([Node("z", 0, head=0)])
    assert later._runs.base.spare._graph is None
    for kind in ("z", "mlp_out"):
        assert torch.equal(
            first.estimate(kind, method).raw, later.estimate(kind, method).raw
        )


def test_values_are_the_same_with_and_without_a_graph(study):
    engine, tokens = study._runs.engine, study._runs.base_tokens
    plain, traced = capture(engine, tokens), capture(engine, tokens, graph=True)
    assert list(plain.values) == list(traced.values)
    for place, value in plain.values.items():
        assert torch.equal(value, traced.values[place]), place
        assert not traced.values[place].requires_grad
    assert torch.equal(plain.readout.logits(), traced.readout.logits())
    assert not traced.readout.stream.requires_grad


@pytest.mark.parametrize(
    "ask",
    [
        lambda study: study.estimate("z"),
        lambda study: study.estimate("z", "atp_star"),
        lambda study: study.exact([Node("z", 0, head=0)]),
        lambda study: study.verify("z", top=1, bound_runs=0),
    ],
    ids=["atp", "atp_star", "exact", "verify"],
)
def test_the_graph_is_gone_when_it_was_used_or_memory_is_wanted(study, ask):
    graph = held(study)
    assert graph() is not None
    ask(study)
    gc.collect()
    assert graph() is None


def test_the_graph_goes_with_the_study(model, tokens):
    study = PatchStudy(model, *tokens)
    graph = held(study)
    del study
    gc.collect()
    assert graph() is None


def test_a_refused_metric_leaves_no_graph(model, tokens):
    study = PatchStudy(model, *tokens, metric=lambda logits: logits.detach().mean())
    graph = held(study)
    with pytest.raises(ValueError, match="cannot be differentiated"):
        study.estimate("z")
    assert graph() is None


def test_other_rules_do_not_take_the_graph(model, tokens):
    study, other = PatchStudy(model, *tokens), PatchStudy(model, *tokens)
    relevance = study.estimate("z", "relp").raw
    assert study._runs.base.spare._graph is not None
    plain = study.estimate("z").raw
    assert torch.equal(plain, other.estimate("z").raw)
    assert torch.equal(relevance, other.estimate("z", "relp").raw)


def test_the_other_direction_has_gradients_of_its_own_run(model, tokens):
    there = PatchStudy(model, *tokens, direction="noising").estimate("z").raw
    assert_close(PatchStudy(model, *tokens).reversed().estimate("z").raw, there)


def test_a_second_metric_runs_again(model, tokens):
    metrics = {"diff": "logit_diff", "right": "logprob"}
    study = PatchStudy(model, *tokens, metric=metrics)
    study.estimate("z")
    alone = PatchStudy(model, *tokens, metric="logprob").estimate("z")
    assert torch.equal(study.estimate("z", metric="right").raw, alone.raw)
