"""What the page asks for by messages, and what it gets."""

from __future__ import annotations

import asyncio
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from page import answered, asked, floats, receive, replies
from toy_models import STYLES, random_model, random_tokens

from patchwidget import Head, PatchWidget
from patchwidget.attention import Attention
from patchwidget.widget import messages
from patchwidget.widget.answering import ANSWERS
from patchwidget.widget.answers import triangles
from patchwidget.widget.circuitsvis import document

pytestmark = pytest.mark.usefixtures("recorded")
HEADS = ["L1H2.q", "L0H1"]


# --- attention --------------------------------------------------------------------------


def unpacked(buffer, size):
    """Triangles as the page reads them: `[n, T, T]`, zero above the diagonal."""
    levels = np.frombuffer(buffer, dtype="<u2").reshape(-1, size * (size + 1) // 2)
    found = np.zeros((len(levels), size, size))
    for row in range(size):
        start = row * (row + 1) // 2
        found[:, row, : row + 1] = levels[:, start : start + row + 1] / 65535
    return torch.tensor(found)


@pytest.mark.parametrize("pair", [-1, 0, 2])
def test_attention_of_both_runs(widget, labelled, pair):
    payload, buffers = asked(widget, "attention.get", nodes=HEADS, pair=pair)
    assert payload == {
        "heads": [{"layer": 1, "head": 2}, {"layer": 0, "head": 1}],
        "size": 7,
        "pair": pair,
        "dtype": "uint16",
    }
    found = labelled.attention(HEADS)
    runs = found.clean, found.corrupted
    for buffer, run in zip(buffers[:2], runs, strict=True):
        expected = run.double().mean(1) if pair < 0 else run[:, pair].double()
        error = (unpacked(buffer, 7) - expected).abs().max()
        assert 0 < float(error) <= 1 / 131070
    norms = found.clean_norms, found.corrupted_norms
    for buffer, run in zip(buffers[2:], norms, strict=True):
        expected = run.mean(1) if pair < 0 else run[:, pair]
        torch.testing.assert_close(floats(buffer).reshape(2, 7), expected)


def test_weights_are_rounded_and_not_cut():
    weights = torch.tensor([[[1.0, 0], [1 / 3, 2 / 3]], [[1.0, 0], [0.0, 1.0]]])
    levels = np.frombuffer(triangles(weights), dtype="<u2")
    assert levels.tolist() == [65535, 21845, 43690, 65535, 0, 65535]


def test_one_position_has_one_weight():
    assert np.frombuffer(triangles(torch.ones(3, 1, 1)), "<u2").tolist() == [65535] * 3


def test_twelve_heads_of_400_tokens_cost_two_megabytes_a_run():
    model = random_model(STYLES[-1], n_layers=1, n_heads=12, n_ctx=400)
    widget = PatchWidget(model, *random_tokens(1, 400))
    heads = [f"L0H{head}" for head in range(12)]
    _, buffers = asked(widget, "attention.get", nodes=heads, pair=0)
    clean, corrupted, *norms = map(len, buffers)
    assert clean + norms[0] <= 2_000_000
    assert corrupted + norms[1] <= 2_000_000


# --- the hand-off to CircuitsVis --------------------------------------------------------


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.script = [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "script":
            self.script += data


def test_circuitsvis_comes_as_a_document_with_its_script(widget):
    payload, buffers = asked(widget, "circuitsvis.get", nodes=HEADS, pair=0)
    assert payload["needs_network"] is False
    assert buffers == []
    html = payload["html"]
    assert html.startswith("<!doctype html>")
    page = Tags(html)
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not any("src" in attrs or "href" in attrs for _, attrs in page.tags)
    assert '["L1H2", "L0H1"]' in page.script
    assert page.script.rstrip().endswith(")"), "the script is whole"


def test_a_token_that_looks_like_html_stays_a_token():
    nothing = torch.ones(1, 1, 1, 1)
    text = ((["</script><b>", "<!--", "<script>"], ["a", "b", "c"]),)
    attention = Attention(((0, 0),), nothing, nothing, nothing[0], nothing[0], text)
    page = Tags(document(attention, 0))
    tags = [tag for tag, _ in page.tags]
    assert (tags.count("script"), tags.count("b")) == (1, 0)
    assert r"<\/script><b>" in page.script
    assert page.script.rstrip().endswith(")")


# --- rows -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["atp", "atp_qk", "relp"])
@pytest.mark.parametrize("kind", ["z", "q", "k", "v", "pattern"])
def test_a_row_is_one_heads_estimates_by_position(labelled, method, kind):
    widget = PatchWidget(labelled, method=method)
    payload, (buffer,) = asked(widget, "row.get", node=f"L0H2.{kind}")
    used = method if method in labelled.methods(kind) else "atp"
    assert payload == {
        "kind": kind,
        "layer": 0,
        "head": 2,
        "method": used,
        "size": 7,
    }
    grid = labelled.estimate(kind, used, by="pos")
    assert torch.equal(floats(buffer), grid.sel(layer=0, head=2))
    nodes = [Head(0, 2, kind, pos=pos) for pos in range(7)]
    assert floats(buffer).tolist() == pytest.approx([grid[node] for node in nodes])


def test_what_is_known_of_a_row_is_shown_with_it(widget, labelled):
    labelled.exact([Head(0, 2, "q", pos=5)])
    assert widget.verified == {}, "a fine sweep has thousands of them"
    asked(widget, "row.get", node="L0H2.q")
    assert list(widget.verified) == ["L0H2.q@5"]
    labelled.exact([Head(0, 2, "q", pos=2), Head(0, 1, "q", pos=2)])
    assert set(widget.verified) == {"L0H2.q@5", "L0H2.q@2"}, "and what comes later"
    widget.selection = ["L0H2.q@3"]
    assert "L0H2.q@3" in widget.verified


# --- neurons ----------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [None, 0, 1])
def test_neurons_of_largest_estimates(widget, labelled, layer):
    payload, (buffer,) = asked(widget, "neurons.get", top=9, layer=layer)
    grid = labelled.estimate("neuron")
    nodes = [node for node in grid.nodes() if layer in (None, node.layer)]
    assert payload["total"] == len(nodes) == (2 if layer is None else 1) * 7 * 20
    assert (payload["layers"], payload["method"]) == (2, "atp")
    sizes = sorted((abs(grid[node]) for node in nodes), reverse=True)
    assert floats(buffer).abs().tolist() == pytest.approx(sizes[:9])
    assert [grid[name] for name in payload["names"]] == pytest.approx(
        floats(buffer).tolist()
    )
    assert len(set(payload["names"])) == 9


def test_there_are_no_more_neurons_than_there_are(widget):
    payload, (buffer,) = asked(widget, "neurons.get", top=1000, layer=0)
    assert len(payload["names"]) == len(floats(buffer)) == 7 * 20


def test_known_neurons_are_shown_with_them(widget, labelled):
    (name, *_) = asked(widget, "neurons.get", top=1, layer=None)[0]["names"]
    labelled.exact([name])
    assert widget.verified == {}
    asked(widget, "neurons.get", top=1, layer=None)
    assert list(widget.verified) == [name]
    widget.selection = [name]
    assert widget.job["state"] == "idle", "it is known"


# --- diagnosis --------------------------------------------------------------------------


def test_a_diagnosis_is_the_studys(widget, labelled):
    widget.selection = ["L0H2.q"]
    widget.method = "atp_qk"
    payload, _ = asked(widget, "diagnosis.get", node="L0H2.q")
    found = labelled.diagnose("L0H2.q", "atp_qk")
    assert payload["node"] == "L0H2.q"
    assert payload["causes"] == [
        {"name": one.name, "consistent": one.consistent, "words": one.words}
        for one in found.causes
    ]
    assert len(payload["causes"]) == 4
    assert payload["not_looked_at"] == found.not_looked_at


def test_others_have_their_turn_between_causes(labelled):
    async def cell():
        widget = PatchWidget(labelled, selection=["L0H2.q"])
        await widget.settled()
        receive(widget, {"kind": "diagnosis.get", "id": "a-0", "node": "L0H2.q"})
        turns = 0
        while not replies(widget):
            turns += 1
            await asyncio.sleep(0)
        assert turns > 4
        assert widget.job["state"] == "done", "no job was stopped for it"

    asyncio.run(cell())


def test_an_answer_does_not_stop_a_job(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        widget.selection = [f"L1H{head}.{kind}" for head in (0, 1) for kind in "qkvz"]
        while not labelled.verified:  # noqa: ASYNC110 - a turn at a time
            await asyncio.sleep(0)
        receive(widget, {"kind": "row.get", "id": "a-0", "node": "L0H2.q"})
        await widget.settled()
        assert widget.job["state"] == "done"
        assert [one["ok"] for one in replies(widget)] == [True]

    asyncio.run(cell())


def test_a_widget_that_is_closed_answers_no_more(labelled):
    async def cell():
        widget = PatchWidget(labelled, selection=["L0H2.q"])
        await widget.settled()
        said = widget.comm
        receive(widget, {"kind": "diagnosis.get", "id": "a-0", "node": "L0H2.q"})
        await asyncio.sleep(0)
        widget.close()
        for _ in range(3):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not [one for one, _ in said.messages() if one["kind"] == "reply"]

    asyncio.run(cell())


# --- cost -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({"what": "picked", "of": "", "top": None}, 2),
        ({"what": "top", "of": "q", "top": 4}, 4),
        ({"what": "all", "of": "v", "top": None}, 6),
        ({"what": "all", "of": "v"}, 6),
    ],
)
def test_a_cost_is_told_and_nothing_is_run(widget, labelled, body, count):
    labelled.exact("mlp_out")  # the pace is known then, and nothing has to be timed
    widget.set_trait("selection", [])
    widget._trait_values["selection"] = ["L0H1.z", "L0H2.z"]  # picked, and not run
    payload, _ = asked(widget, "cost.get", **body)
    assert payload["patches"] == count
    assert payload["seconds"] > 0
    assert payload["words"].startswith(f"{count} patch")
    assert {node.kind for node in labelled.verified} == {"mlp_out"}


def test_a_bound_has_a_cost_of_its_own(widget, labelled):
    payload, _ = asked(widget, "cost.get", what="bound", of="v")
    assert payload["patches"] == labelled.bound_cost("v").patches > 5
    assert payload["seconds"] > 0
    labelled.exact("v")
    payload, _ = asked(widget, "cost.get", what="bound", of="v")
    assert payload["patches"] == 0


def test_what_is_known_costs_nothing(widget):
    widget.selection = ["L0H1.v"]
    payload, _ = asked(widget, "cost.get", what="picked", of="")
    assert payload["patches"] == 0
    payload, _ = asked(widget, "cost.get", what="all", of="v")
    assert payload["patches"] == 5


# --- what goes wrong --------------------------------------------------------------------

WRONG = [
    ("attention.get", {"nodes": ["L9H0"], "pair": -1}, "IndexError", "no layer 9"),
    (
        "attention.get",
        {"nodes": ["L0.mlp_out@1"], "pair": 0},
        "ValueError",
        "of a head",
    ),
    ("attention.get", {"nodes": ["L0H0"], "pair": 3}, "IndexError", "no pair 3"),
    ("attention.get", {"nodes": ["L0H0"], "pair": -2}, "IndexError", "no pair -2"),
    ("attention.get", {"nodes": ["L0H0"], "pair": "x"}, "TypeError", "'x'"),
    ("attention.get", {"nodes": ["L0H0"], "pair": True}, "TypeError", "True"),
    ("attention.get", {"nodes": ["L0H0"]}, "KeyError", "pair"),
    ("attention.get", {"nodes": [], "pair": -1}, "ValueError", "no head is named"),
    ("attention.get", {"nodes": "L0H0", "pair": 0}, "TypeError", "list of names"),
    ("attention.get", {"nodes": [3], "pair": 0}, "TypeError", "3 is not a node"),
    ("attention.get", {"pair": -1}, "KeyError", "nodes"),
    ("circuitsvis.get", {"nodes": ["L0H0"], "pair": 3}, "IndexError", "no pair 3"),
    ("circuitsvis.get", {}, "KeyError", "nodes"),
    ("row.get", {"node": "L0.mlp_out@1"}, "ValueError", "is not a head"),
    ("row.get", {"node": "L0H0.q@2"}, "ValueError", "is not a head"),
    ("row.get", {"node": ["L0H0.q"]}, "TypeError", "node is a name"),
    ("row.get", {}, "KeyError", "node"),
    ("neurons.get", {"top": 0, "layer": None}, "ValueError", "top=0"),
    ("neurons.get", {"top": 10**9, "layer": None}, "ValueError", "top=1000000000"),
    ("neurons.get", {"top": 3, "layer": 2}, "IndexError", "no layer 2"),
    ("neurons.get", {"top": 3, "layer": -1}, "IndexError", "no layer -1"),
    ("neurons.get", {"top": 3, "layer": 1.5}, "TypeError", "1.5"),
    ("neurons.get", {}, "KeyError", "top"),
    ("diagnosis.get", {"node": "L0H0.q"}, "ValueError", "not verified yet"),
    ("diagnosis.get", {"node": None}, "TypeError", "None"),
    ("cost.get", {"what": "some", "of": ""}, "ValueError", "'some'"),
    ("cost.get", {"what": "top", "of": "", "top": 0}, "ValueError", "top=0"),
    ("cost.get", {"what": "top", "of": "", "top": None}, "TypeError", "None"),
    ("cost.get", {"what": "all", "of": "heads"}, "ValueError", "'heads'"),
    ("cost.get", {"what": "all", "of": ["q"]}, "TypeError", "'q'"),
    ("cost.get", {"of": ""}, "KeyError", "what"),
    ("verify.start", {"what": "some", "of": ""}, "ValueError", "'some'"),
    ("verify.start", {"what": "top", "of": "q", "top": "x"}, "TypeError", "'x'"),
    ("verify.start", {"what": "all", "of": "neuron"}, "ValueError", "neuron"),
    ("question.check", {}, "ValueError", "not asked any more"),
    ("question.solve", {"about": 3}, "ValueError", "not asked any more"),
    ("cost.get", {"what": "paths"}, "KeyError", "paths"),
    ("cost.get", {"what": "paths", "paths": []}, "ValueError", "no path is given"),
    ("cost.get", {"what": "paths", "paths": "embed -> final"}, "TypeError", "a list"),
    ("cost.get", {"what": "story", "of": ""}, "ValueError", "the set is empty"),
    ("cost.get", {"what": ["paths"], "of": ""}, "ValueError", "unknown ['paths']"),
    ("paths.get", {}, "KeyError", "node"),
    ("paths.get", {"node": 3}, "TypeError", "node is a name"),
    ("paths.get", {"node": "L0H0.q"}, "ValueError", "is not a writer"),
    ("paths.get", {"node": "L0H0@3"}, "ValueError", "ask for 'L0H0'"),
    ("paths.get", {"node": "L7.mlp"}, "IndexError", "no layer 7"),
    ("paths.start", {}, "KeyError", "paths"),
    ("paths.start", {"paths": []}, "ValueError", "no path is given"),
    ("paths.start", {"paths": ["embed -> final", None]}, "TypeError", "list of names"),
    ("paths.start", {"paths": ["L0H0"]}, "ValueError", "is not a path"),
    ("paths.start", {"paths": ["L1H0 -> L0H0.q"]}, "ValueError", "runs backwards"),
    ("paths.start", {"paths": ["L0H0 -> L0H0.q"]}, "ValueError", "to itself"),
    ("paths.start", {"paths": ["L0H0 -> L1H7.q"]}, "IndexError", "no head 7"),
    ("circuit.start", {}, "KeyError", "what"),
    ("circuit.start", {"what": "paths"}, "ValueError", "choose interactions or repair"),
    ("circuit.start", {"what": {}}, "ValueError", "unknown {}"),
    ("circuit.start", {"what": "interactions"}, "ValueError", "the set is empty"),
    ("circuit.load", {}, "KeyError", "text"),
    (
        "circuit.load",
        {"text": {"format": "patchwidget-circuit"}},
        "TypeError",
        "string",
    ),
    ("circuit.load", {"text": "?"}, "ValueError", "this is no circuit"),
    ("module.get", {}, "KeyError", "name"),
    ("module.get", {"name": "widget"}, "ValueError", "choose circuit"),
]
# Nothing about it can be wrong: what else a request holds is not looked at.
NEVER_WRONG = {messages.CIRCUIT_JSON}


@pytest.mark.parametrize(("kind", "body", "error", "message"), WRONG)
def test_a_request_that_fails_is_answered(widget, kind, body, error, message):
    reply, buffers = answered(widget, kind, **body)
    assert (reply["ok"], reply["payload"]) == (False, None)
    assert reply["error"]["type"] == error
    assert message in reply["error"]["message"]
    assert not buffers
    assert widget.job["state"] == "idle"


def test_every_request_is_known_and_tried_with_something_wrong():
    asking = {*ANSWERS, *messages.STARTING}
    jobs = {messages.JOB_CANCEL, messages.JOB_RETRY}
    assert asking | jobs == set(messages.REQUESTS)
    assert {kind for kind, *_ in WRONG} == asking - NEVER_WRONG
