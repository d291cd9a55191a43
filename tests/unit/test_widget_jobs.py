"""Jobs: one computation at a time, in slices; whatever happens, the state is true."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from patchwidget.exact import Progress
from patchwidget.widget import jobs as room
from patchwidget.widget.jobs import Clock, Jobs, running_loop
from patchwidget.widget.turns import Turn, in_turn


class Seen:
    """Jobs, and all that they told."""

    def __init__(self, loop=None):
        self.states, self.left = [], []
        self.jobs = Jobs(
            loop,
            self.states.append,
            lambda job, left: self.left.append(left),
            lambda: self.jobs.cancel(),  # noqa: PLW0108 - there is none yet
        )

    @property
    def last(self):
        return self.states[-1]


def failing_to_start():
    raise ValueError("there is nothing to do")


def test_steps_that_cannot_be_made_are_a_failed_job():
    seen = Seen()
    seen.jobs.start(failing_to_start, "this")
    assert (seen.last.state, seen.last.label) == ("failed", "this")
    assert seen.last.error == {
        "type": "ValueError",
        "message": "there is nothing to do",
    }


def test_steps_that_cannot_be_made_are_a_failed_job_on_a_loop_too():
    async def cell():
        seen = Seen(running_loop())
        seen.jobs.start(failing_to_start, "this")
        with pytest.raises(RuntimeError, match="ValueError: there is nothing to do"):
            await seen.jobs.settled()
        assert seen.last.state == "failed"
        seen.jobs.start(lambda: iter([Progress(1, 1)]), "that")
        await seen.jobs.settled()
        assert (seen.last.state, seen.last.label) == ("done", "that")

    asyncio.run(cell())


def test_an_interrupt_while_steps_are_made_is_told_and_raised():
    def interrupted():
        raise KeyboardInterrupt

    seen = Seen()
    with pytest.raises(KeyboardInterrupt):
        seen.jobs.start(interrupted, "this")
    assert seen.last.state == "cancelled"


def test_seconds_left_are_told_from_the_work_done(monkeypatch):
    times = itertools.count(step=2.0)  # every look at the clock is two seconds later
    monkeypatch.setattr(room, "monotonic", lambda: next(times))
    seen = Seen()
    shares = (0.0, 0.1, 0.5, 1.0)
    seen.jobs.start(lambda: (Progress(0, 4, work=one) for one in shares), "this")
    # Two seconds a step: 2, 4, 6 and 8 have passed.
    assert seen.left == [None, pytest.approx(36.0), pytest.approx(6.0), 0.0]


def test_time_of_others_between_steps_is_not_counted(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(room, "monotonic", lambda: now[0])

    def steps():
        for work in (0.25, 0.5):
            now[0] += 1.0
            yield Progress(0, 1, work=work)

    clock, left = Clock(), []
    for step in clock.timed(steps()):
        left.append(clock.left(step.work))
        now[0] += 1000.0
    assert left == [3.0, 2.0]


def test_an_errand_runs_beside_a_job():
    async def cell():
        seen, done = Seen(running_loop()), []

        def errand():
            for _ in range(3):
                yield
            done.append(seen.last.state)

        seen.jobs.start(lambda: (Progress(i, 9) for i in range(9)), "this")
        seen.jobs.errand(errand())
        await seen.jobs.settled()
        assert done == ["running"]
        assert seen.last.state == "done"

    asyncio.run(cell())


def test_without_a_loop_an_errand_runs_at_once():
    done = []
    Seen().jobs.errand(done.append(i) for i in range(3))
    assert done == [0, 1, 2]


# --- several computations as one --------------------------------------------------------


def counted(size):
    return lambda: (Progress(i, size, work=i / size) for i in range(size + 1))


def test_turns_share_one_progress():
    found = list(in_turn([Turn(2, counted(2), "a"), Turn(6, counted(6), "b")]))
    assert [step.done for step in found] == [0, 1, 2, 2, 3, 4, 5, 6, 7, 8]
    assert {step.total for step in found} == {8}
    works = [step.work for step in found]
    assert works == sorted(works)
    assert (works[0], works[2], works[-1]) == (0, 0.25, 1)


def test_a_turn_that_finds_more_to_do_says_so():
    found = list(in_turn([Turn(2, counted(3), "a"), Turn(1, counted(1), "b")]))
    assert [step.total for step in found] == [4] * 6
    assert found[-1].done == 4


def test_a_turn_begins_when_it_comes():
    begun = []

    def start(name):
        begun.append(name)
        yield Progress(0, 1)

    steps = in_turn(
        [Turn(1, lambda: start("a"), "a"), Turn(1, lambda: start("b"), "b")]
    )
    assert begun == []
    next(steps)
    assert begun == ["a"]
    next(steps)
    assert begun == ["a", "b"]


def test_closing_them_closes_the_one_under_way():
    closed = []

    def start():
        try:
            yield Progress(0, 2)
        finally:
            closed.append(True)

    steps = in_turn([Turn(2, start, "a")])
    next(steps)
    steps.close()
    assert closed == [True]


def test_nothing_to_do_is_done():
    assert list(in_turn([Turn(0, lambda: (p for p in [Progress(0, 0)]), "a")])) == [
        Progress(0, 0, work=0.0)
    ]
