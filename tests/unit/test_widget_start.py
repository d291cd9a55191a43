"""Jobs from Python: started, waited for, run in a cell; stopped in every way there is."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading

import pytest
from page import hears, page_sets, receive

from patchwidget import PatchStudy, PatchWidget
from patchwidget.exact import sweep
from patchwidget.widget import page as page_room

pytestmark = pytest.mark.usefixtures("recorded")

MANY = [f"L{i}H{h}.{kind}" for i in (0, 1) for h in (0, 1) for kind in "kqvz"]


async def until_something_is_found(study):
    while not study.verified:  # noqa: ASYNC110 - a turn at a time
        await asyncio.sleep(0)


def states(widget):
    return [(job["id"], job["state"]) for job in widget.comm.states("job")]


# --- started ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "nodes", "options", "kinds"),
    [
        ("exact", "z", {}, {"z"}),
        ("exact", "L0H1.q", {}, {"q"}),
        ("exact", iter(["L0H1.q", "L1H1.k"]), {}, {"q", "k"}),
        ("joint", [("L0H1.q", "L1H1.k")], {}, set()),
        ("verify", ["z", "q"], {"patches": 4, "seed": 1}, {"z", "q"}),
    ],
)
def test_it_takes_what_the_studys_steps_take(labelled, what, nodes, options, kinds):
    async def cell():
        widget = PatchWidget(labelled)
        widget.start(what, nodes, **options)
        assert widget.job["state"] == "idle", "the cell goes on"
        assert not labelled.verified
        await widget.settled()
        assert widget.job["state"] == "done"
        assert widget.job["label"].startswith(what)
        assert {node.kind for node in labelled.verified} >= kinds - {"q"}
        if what == "joint":
            assert len(labelled._runner.known.of()) == 1
        widget.close()

    asyncio.run(cell())


def test_it_starts_what_is_on_show(labelled):
    widget = PatchWidget(labelled, direction="noising")
    widget.start("exact", ["L0H1.z"])
    assert [str(node) for node in labelled.reversed().verified] == ["L0H1.z"]
    assert not labelled.verified
    assert list(widget.verified) == ["L0H1.z"]


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        (("exact", "L9H0.z"), IndexError, "there is no layer 9"),
        (("exact", "heads"), ValueError, "unknown kind 'heads'"),
        (("joint", ["L0H0.z"]), TypeError, "is one node"),
        (("some", ["L0H0.z"]), ValueError, "unknown computation 'some'"),
        (("exact", 3), TypeError, "not iterable"),
    ],
)
def test_what_cannot_be_started_is_refused_in_the_cell(labelled, args, error, message):
    widget = PatchWidget(labelled)
    for ask in (widget.start, widget.run):
        with pytest.raises(error, match=message):
            ask(*args)
    assert widget.job["state"] == "idle"
    widget.selection = ["L0H1.z"]
    assert widget.job["state"] == "done"


def test_what_only_shows_when_it_runs_is_a_failed_job(labelled):
    widget = PatchWidget(labelled)
    widget.start("verify", "z", "atpp")
    assert widget.job["state"] == "failed"
    assert "atpp" in widget.job["error"]["message"]
    with pytest.raises(ValueError, match="atpp"):
        widget.run("verify", "z", "atpp")
    assert widget.job["state"] == "failed"


def test_the_newest_one_wins(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        widget.start("exact", MANY)
        await until_something_is_found(labelled)
        widget.start("exact", ["L1H2.pattern"])
        await widget.settled()
        assert "L1H2.pattern" in widget.verified
        assert len(labelled.verified) < len(MANY)
        assert states(widget)[-4:] == [
            (1, "running"),
            (1, "cancelled"),
            (2, "running"),
            (2, "done"),
        ]
        widget.close()

    asyncio.run(cell())


def test_picks_are_run_before_what_takes_longer(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        widget.start("exact", MANY)
        await until_something_is_found(labelled)
        widget.selection = ["L1H2.pattern"]
        await widget.settled()
        order = [str(node) for node in labelled.verified]
        assert set(order) == {"L1H2.pattern", *MANY}, "it goes on after the pick"
        assert order.index("L1H2.pattern") < len(MANY)
        widget.close()

    asyncio.run(cell())


# --- run in a cell ----------------------------------------------------------------------


def test_a_cell_can_wait_with_a_bar(labelled, monkeypatch):
    shown = []

    def bar(steps, label):
        shown.extend((label, step.done, step.total) for step in steps)

    monkeypatch.setattr("patchwidget.widget.jobs.exhaust", bar)

    async def cell():
        widget = PatchWidget(labelled)
        widget.run("exact", "z")
        assert widget.job["state"] == "done", "before the cell gives way"
        assert len(widget.verified) == 6
        widget.close()

    asyncio.run(cell())
    assert (shown[0], shown[-1]) == (("exact z", 0, 6), ("exact z", 6, 6))


def test_a_cell_that_waits_goes_before_what_is_under_way(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        widget.start("exact", MANY)
        await until_something_is_found(labelled)
        widget.selection = ["L0H2.q"]  # asked for, and not begun
        widget.run("exact", ["L1H2.pattern"])
        assert states(widget)[-3:] == [(1, "cancelled"), (3, "running"), (3, "done")]
        assert {"L1H2.pattern", "L0H2.q"} <= set(widget.verified)
        before = states(widget)
        for _ in range(20):
            await asyncio.sleep(0)
        assert states(widget) == before, "nothing comes after it"
        assert len(labelled.verified) < len(MANY)
        widget.close()

    asyncio.run(cell())


def test_what_goes_wrong_is_raised_in_the_cell(model, tokens):
    calls = []

    def metric(logits):
        calls.append(1)
        if len(calls) > 5:
            raise ZeroDivisionError("no such thing")
        return logits[:, -1, 5] - logits[:, -1, 7]

    widget = PatchWidget(model, *tokens[:2], metric=metric)
    with pytest.raises(RuntimeError, match="ZeroDivisionError: no such thing"):
        widget.run("exact", "z")
    assert widget.job["state"] == "failed"


def test_a_job_cannot_wait_for_another_nor_run_beside_a_cell(labelled, model, tokens):
    refusals = []

    def metric(logits):
        if widgets:
            with pytest.raises(RuntimeError, match="cannot wait for another one") as e:
                widgets[0].run("exact", "q")
            refusals.append(e)
        return logits[:, -1, 5] - logits[:, -1, 7]

    widgets = []
    widget = PatchWidget(model, *tokens[:2], metric=metric)
    widgets.append(widget)
    widget.run("exact", ["L0H1.z"])
    assert refusals
    assert list(widget.verified) == ["L0H1.z"]

    async def cell():
        shown = PatchWidget(labelled)
        with pytest.raises(RuntimeError, match="beside the notebook's cells"):
            await asyncio.to_thread(shown.run, "exact", "z")
        assert not labelled.verified
        shown.close()

    asyncio.run(cell())


# --- stopped ----------------------------------------------------------------------------


@pytest.mark.parametrize("hit", [0.0, 0.1, 0.5, 0.8])
def test_an_interrupt_keeps_what_is_finished(labelled, model, tokens, hit):
    """Wherever it hits: in a step, or in what is done beside it."""
    widget = PatchWidget(labelled)

    def interrupt(job, left):
        if job.done >= hit * len(MANY):
            raise KeyboardInterrupt

    widget._jobs.on_progress = interrupt
    with pytest.raises(KeyboardInterrupt):
        widget.run("exact", MANY)
    assert widget.job["state"] == "cancelled"
    assert set(widget.verified) == set(map(str, labelled.verified))
    assert hit * len(MANY) <= len(widget.verified) < len(MANY)
    widget._jobs.on_progress = lambda job, left: None
    widget.selection = ["L1H2.pattern"]
    assert len(labelled.verified) < len(MANY), "what was interrupted is given up"
    widget.run("exact", MANY)
    fresh = PatchStudy(model, *tokens).exact(MANY)
    for node, effect in fresh.items():
        assert labelled.verified[node].raw.equal(effect.raw)


def test_an_interrupt_in_the_bar_keeps_what_is_finished(labelled, monkeypatch):
    from tqdm.auto import tqdm

    shown = []

    def update(self, n):
        shown.append(n)
        if len(shown) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(tqdm, "update", update)
    widget = PatchWidget(labelled)
    with pytest.raises(KeyboardInterrupt):
        widget.run("exact", MANY)
    assert widget.job["state"] == "cancelled"
    assert set(widget.verified) == set(map(str, labelled.verified))


def test_cancelling_is_true_at_once(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        widget.start("exact", MANY)
        await until_something_is_found(labelled)
        widget.cancel()
        assert widget.job["state"] == "cancelled", "before the cell gives way"
        found = len(labelled.verified)
        await widget.settled()
        assert len(labelled.verified) == found
        assert set(widget.verified) == set(map(str, labelled.verified))
        widget.close()

    asyncio.run(cell())


def test_who_stops_waiting_stops_the_job(labelled):
    """The notebook's stop button cancels a cell that awaits."""

    async def cell():
        widget = PatchWidget(labelled)
        widget.start("exact", MANY)
        waiting = asyncio.create_task(widget.settled())
        await until_something_is_found(labelled)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert widget.job["state"] == "cancelled"
        assert 0 < len(widget.verified) < len(MANY)
        widget.selection = ["L1H2.pattern"]
        await widget.settled()
        assert len(labelled.verified) < len(MANY)
        widget.close()

    asyncio.run(cell())


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal to itself")
def test_the_stop_button_is_heard_while_no_cell_runs(model, tokens):
    """A kernel ignores interrupts between cells, where a job has its turns."""
    calls = []

    def metric(logits):
        calls.append(1)
        if len(calls) == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return logits[:, -1, 5] - logits[:, -1, 7]

    async def notebook():
        study = PatchStudy(model, *tokens[:2], metric=metric)
        widget = PatchWidget(study)
        widget.start("exact", MANY)
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as ipykernel does
        try:
            while widget.job["state"] in ("idle", "running"):  # noqa: ASYNC110 - a turn at a time
                await asyncio.sleep(0)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN, "as it was"
        finally:
            signal.signal(signal.SIGINT, before)
        assert len(calls) >= 6
        assert widget.job["state"] == "cancelled"
        assert len(widget.verified) < len(MANY)
        await asyncio.sleep(0)
        found = len(study.verified)
        widget.selection = ["L1H2.pattern"]
        await widget.settled()
        assert len(study.verified) == found + 1, "it is given up"
        widget.close()

    asyncio.run(notebook())


def test_a_cancel_is_heard_on_another_thread_while_a_cell_waits(labelled):
    """On a kernel's subshell messages arrive beside a cell that is running."""

    async def cell():
        widget = PatchWidget(labelled)
        main = threading.get_ident()
        handled = []
        widget.on_msg(lambda *_: handled.append(threading.get_ident()))

        def page(job, left):
            if job.done and not handled:
                other = threading.Thread(
                    target=hears, args=(widget, {"kind": "job.cancel", "id": "a-1"})
                )
                other.start()
                other.join(10)

        widget._jobs.on_progress = page
        with pytest.raises(RuntimeError, match="cancelled; what was finished is kept"):
            widget.run("exact", MANY)
        assert widget.job["state"] == "cancelled"
        assert 0 < len(widget.verified) < len(MANY)
        assert handled
        assert main not in handled
        assert widget.comm.messages()[-1][0]["ok"]
        widget.close()

    asyncio.run(cell())


def test_all_else_that_another_thread_hears_waits_for_the_cell(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        ask = {"kind": "attention.get", "id": "a-0", "nodes": ["L0H0"], "pair": 0}
        await asyncio.to_thread(hears, widget, ask)
        update = {"method": "update", "state": {"selection": ["L0H1.z"]}}
        thread = threading.Thread(target=hears, args=(widget, None, update))
        thread.start()
        thread.join(10)  # and this cell does not give way
        assert widget.selection == []
        await widget.settled()
        await asyncio.sleep(0)
        await widget.settled()
        assert widget.selection == ["L0H1.z"]
        assert list(widget.verified) == ["L0H1.z"]
        widget.close()

    asyncio.run(cell())


# --- the last view, and closing ---------------------------------------------------------


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(page_room, "UNSEEN_AFTER_S", 0.0)


@pytest.mark.usefixtures("soon")
def test_closing_the_last_view_stops_the_job(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        page_sets(widget, _view_count=2)
        widget.start("exact", MANY)
        await until_something_is_found(labelled)
        page_sets(widget, _view_count=1)
        for _ in range(3):
            await asyncio.sleep(0)
        assert widget.job["state"] == "running", "another view shows it still"
        page_sets(widget, _view_count=0)
        await widget.settled()
        assert widget.job["state"] == "cancelled"
        assert 0 < len(widget.verified) < len(MANY)
        widget.start("exact", MANY)
        await widget.settled()
        assert set(widget.verified) == set(MANY), "whoever asks is answered"
        widget.close()

    asyncio.run(cell())


def test_an_output_that_is_drawn_again_does_not_stop_the_job(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        page_sets(widget, _view_count=1)
        widget.start("exact", MANY)
        await until_something_is_found(labelled)
        page_sets(widget, _view_count=0)
        page_sets(widget, _view_count=1)
        await widget.settled()
        assert widget.job["state"] == "done"
        widget.close()

    asyncio.run(cell())


def test_a_job_that_nobody_looks_at_goes_on(labelled):
    """Views are counted from the first one: a script has none."""

    async def cell():
        widget = PatchWidget(labelled)
        widget.start("exact", MANY)
        page_sets(widget, _view_count=0)
        await widget.settled()
        assert widget.job["state"] == "done"
        widget.close()

    asyncio.run(cell())


def test_a_closed_widget_starts_nothing(labelled):
    widget = PatchWidget(labelled)
    widget.close()
    for ask in (widget.start, widget.run):
        with pytest.raises(RuntimeError, match="closed: make a new PatchWidget"):
            ask("exact", "z")
    widget.cancel()
    widget.verify()
    widget.selection = ["anything", "L0H0.z"]
    receive(widget, {"kind": "job.retry", "id": "a-0"})
    assert not labelled.verified


# --- rapid picking ----------------------------------------------------------------------


def counted_batches(monkeypatch):
    """How many patches every batch that is begun has."""
    sizes = []
    run = sweep._run

    def counted(swap, batch):
        sizes.append(len(batch.patches))
        return run(swap, batch)

    monkeypatch.setattr(sweep, "_run", counted)
    return sizes


@pytest.mark.parametrize("pace_s", [0.0, 0.01])
def test_of_200_picks_the_last_ones_are_verified(labelled, monkeypatch, pace_s):
    """At once, and in two seconds.

    Bound: of each pick at most its own patches are begun, so that 200 picks of one node
    never run more than 200; nodes that are known are not run again, whatever is picked.
    """
    begun = counted_batches(monkeypatch)
    extent = labelled.extent
    nodes = [
        str(node)
        for kind in ("q", "k", "v", "z", "pattern")
        for node in extent.nodes(kind)
    ]
    picks = [[nodes[(7 * i) % len(nodes)]] for i in range(199)]
    last = ["L0.mlp_out@5", "L1H2.q@4", "L0H0.z"]

    async def page():
        widget = PatchWidget(labelled)
        page_sets(widget, _view_count=1)
        for pick in [*picks, last]:
            hears(widget, None, {"method": "update", "state": {"selection": pick}})
            if pace_s:
                await asyncio.sleep(pace_s)
        await widget.settled()
        assert widget.selection == last
        assert set(last) <= set(widget.verified)
        assert widget.job["state"] == "done"
        known = len(labelled.verified)
        assert known <= len({name for pick in picks for name in pick} | set(last))
        most = len(picks) + len(last) if pace_s else len(last)
        assert sum(begun) <= most
        before = states(widget)
        await asyncio.sleep(0.05)
        assert states(widget) == before, "nothing comes after the last"
        ids = [number for number, _ in before]
        assert ids == sorted(ids), "an older job never speaks after a newer one"
        widget.close()

    asyncio.run(page())
