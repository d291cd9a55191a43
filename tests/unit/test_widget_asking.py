"""A question on the page: picks judged by exact effects, at once or by a job."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import torch
from page import answered, asked, page_sets, receive

from patchwidget import PatchStudy, PatchWidget, Question, Top
from patchwidget.widget.estimates import Estimates

pytestmark = pytest.mark.usefixtures("recorded")
HINTS = ["Look at the values.", "Verify the top 5."]


@pytest.fixture
def question():
    return Question("Which two?", Top(2, "v"), hints=HINTS, solution="They move names.")


def check(widget):
    """Press check: the payload of the answer."""
    return asked(widget, "question.check", about=widget.question["id"])[0]


async def being_checked(widget):
    """Until the patches run that a check takes."""
    about = widget.question["id"]
    receive(widget, {"kind": "question.check", "id": "a-0", "about": about})
    for _ in range(20):
        await asyncio.sleep(0)
        if widget.job["state"] == "running":
            return
    raise AssertionError(widget.job)


@pytest.fixture
def best(model, tokens):
    """The right picks, as another study finds them."""
    return [str(node) for node, _ in PatchStudy(model, *tokens).exact("v").top(2)]


def test_it_is_shown_without_its_answer(widget, labelled, question):
    assert widget.question == {}
    widget.ask(question)
    assert widget.question == {
        "id": 1,
        "prompt": "Which two?",
        "hints": HINTS,
        "reply": None,
        "solution": None,
    }
    assert widget.comm.states("question")[-1] == widget.question
    assert not labelled.verified, "asking runs nothing"
    widget.ask(None)
    assert widget.question == {}
    widget.ask(question)
    assert widget.question["id"] == 2, "asked anew: what was unfolded folds"


def test_picks_are_judged_by_exact_patches(widget, labelled, question, best):
    widget.ask(question)
    page_sets(widget, selection=best)
    assert check(widget) == {}
    assert widget.question["reply"]["right"]
    assert widget.question["reply"]["picks"] == best
    assert set(labelled.extent.nodes("v")) <= set(labelled.verified)
    assert widget.job["state"] == "done"
    assert widget.job["label"] == "exact effects of 4 nodes, to check"
    assert widget.question["solution"] is None


def test_estimates_that_lie_do_not_judge(labelled, question, best, monkeypatch):
    honest = Estimates.get

    def lie(self, *args):
        found = honest(self, *args)
        return replace(found, mean=-found.mean.flip(0, 1))

    monkeypatch.setattr(Estimates, "get", lie)
    widget = PatchWidget(labelled)
    liked = [str(node) for node in widget._side.largest("v", "atp", 2)]
    assert set(liked) != set(best)
    widget.ask(question)
    for picks, right in ((liked, False), (best, True)):
        page_sets(widget, selection=picks)
        check(widget)
        reply = widget.question["reply"]
        assert reply["right"] == right
        for name in picks:
            assert f"{labelled.exact([name])[name].value:+.3f}" in reply["words"]


def test_what_is_known_is_judged_at_once(widget, labelled, question, best):
    labelled.exact("v")
    widget.ask(question)
    page_sets(widget, selection=best)
    job = widget.job["id"]
    check(widget)
    assert widget.question["reply"]["right"]
    asked(widget, "question.solve", about=widget.question["id"])
    assert best[0] in widget.question["solution"]
    assert widget.question["solution"].endswith("They move names.")
    assert widget.job["id"] == job, "nothing was run"


def test_the_solution_takes_its_patches_too(widget, question, best):
    widget.ask(question)
    asked(widget, "question.solve", about=widget.question["id"])
    assert all(name in widget.question["solution"] for name in best)
    assert widget.question["reply"] is None
    assert widget.selection == []
    assert widget.job["label"] == "exact effects of 6 nodes, to solve"


def test_nothing_that_was_said_outlives_what_it_was_about(widget, question, best):
    widget.ask(question)
    page_sets(widget, selection=best)
    check(widget)
    asked(widget, "question.solve", about=widget.question["id"])
    widget.method = "relp"
    assert widget.question["reply"] is not None, "not about a method"
    widget.direction = "noising"
    assert widget.question["reply"] is None
    assert widget.question["solution"] is None
    assert widget.question["prompt"] == "Which two?"
    widget.ask(question)
    assert widget.question["reply"] is None


def test_in_the_other_direction_it_is_judged_by_that(widget, labelled, question):
    widget.direction = "noising"
    there = [str(node) for node, _ in labelled.reversed().exact("v").top(2)]
    widget.ask(question)
    page_sets(widget, selection=there)
    check(widget)
    assert widget.question["reply"]["right"]
    assert not labelled.verified


def test_what_goes_wrong_is_told(widget, labelled):
    for about in (None, 0, 1, "x"):
        error = answered(widget, "question.check", about=about)[0]["error"]
        assert error == {
            "type": "ValueError",
            "message": "this question is not asked any more",
        }

    def broken(effects):
        raise ZeroDivisionError("of the author's own")

    widget.ask(Question("?", broken))
    error = answered(widget, "question.check", about=1)[0]["error"]
    assert error["message"] == "of the author's own"
    page_sets(widget, selection=["L0H1.q"])
    error = answered(widget, "question.check", about=1)[0]["error"]
    assert error["type"] == "ZeroDivisionError"
    assert widget.question["reply"] is None


@pytest.mark.parametrize(
    ("question", "error", "words"),
    [
        ("Which?", TypeError, "takes a patchwidget.Question, got 'Which"),
        (Question("?", Top(99, "v")), ValueError, "top 99 of v"),
        (Question("?", ["L9H9"]), IndexError, "no layer 9"),
    ],
)
def test_what_cannot_be_asked_is_refused_where_it_is_asked(
    widget, question, error, words
):
    with pytest.raises(error, match=words):
        widget.ask(question)
    assert widget.question == {}


def test_a_closed_widget_asks_nothing(widget, question):
    widget.close()
    with pytest.raises(RuntimeError, match="closed"):
        widget.ask(question)


def test_a_check_that_is_cancelled_says_nothing_and_can_be_retried(
    labelled, question, best
):
    async def session():
        widget = PatchWidget(labelled)
        widget.ask(question)
        widget.selection = best
        await widget.settled()
        await being_checked(widget)
        widget.cancel()
        await widget.settled()
        cancelled = widget.job["state"], widget.question["reply"]
        receive(widget, {"kind": "job.retry", "id": "a-1"})
        await widget.settled()
        return cancelled, widget.question["reply"]

    cancelled, reply = asyncio.run(session())
    assert cancelled == ("cancelled", None)
    assert reply["right"]


def test_another_question_is_not_answered_by_the_last_ones_check(labelled, question):
    async def session():
        widget = PatchWidget(labelled)
        widget.ask(question)
        await being_checked(widget)
        widget.ask(Question("Another?", "L0H0"))
        await widget.settled()
        return widget.question

    shown = asyncio.run(session())
    assert (shown["prompt"], shown["reply"]) == ("Another?", None)


def test_a_study_without_its_model_judges_what_it_knows(
    labelled, question, best, tmp_path
):
    labelled.exact("v")
    labelled.exact("z")
    labelled.estimate("v")
    labelled.save(tmp_path / "some.patchwidget")
    widget = PatchWidget(PatchStudy.load(tmp_path / "some.patchwidget"))
    widget.ask(question)
    page_sets(widget, selection=best)
    check(widget)
    assert widget.question["reply"]["right"]
    widget.ask(Question("?", Top(1, "q")))
    check(widget)
    assert widget.question["reply"] is None
    assert widget.job["error"]["type"] == "NeedsModelError"


def test_a_page_takes_the_question_along(widget, question, tmp_path):
    widget.ask(question)
    page = widget.to_html(tmp_path / "page.html").read_text("utf-8")
    assert "Which two?" in page
    assert HINTS[1] in page
    assert "They move names." not in page, "nobody has unfolded it"
    assert "checking what is picked" in page


def test_text_of_an_author_is_text(widget, tmp_path):
    widget.ask(Question("</script><b>?", "L0H0", hints=["<!--<script>"]))
    page = widget.to_html(tmp_path / "page.html").read_text("utf-8")
    assert "</script><b>" not in page
    assert "<!--<script>" not in page
    assert torch.is_grad_enabled()
