"""What a widget leaves in memory: nothing when closed, nothing when nobody has it."""

from __future__ import annotations

import asyncio
import gc
import weakref

import ipywidgets
import pytest
import torch
import traitlets
from page import decoded, hears, page_sets, receive

from patchwidget import PatchStudy, PatchWidget
from patchwidget.widget import page as page_room

pytestmark = pytest.mark.usefixtures("recorded", "soon")


@pytest.fixture
def soon(monkeypatch):
    """A view that is gone is gone at once."""
    monkeypatch.setattr(page_room, "UNSEEN_AFTER_S", 0.0)


def tensor_bytes():
    """All that tensors hold, each memory counted once; tracemalloc does not see it."""
    gc.collect()
    held = {}
    for one in gc.get_objects():
        if issubclass(type(one), torch.Tensor):
            storage = one.untyped_storage()
            held[storage.data_ptr()] = storage.nbytes()
    return sum(held.values())


def worked(study_or_model, *args):
    """A widget of which much was asked."""
    widget = PatchWidget(study_or_model, *args)
    page_sets(widget, _view_count=1)
    widget.selection = ["L0H1.z", "L1H0.q@3"]
    widget.method = "atp_qk"
    widget.direction = "noising"
    receive(
        widget, {"kind": "attention.get", "id": "a-0", "nodes": ["L0H0"], "pair": 0}
    )
    receive(widget, {"kind": "row.get", "id": "a-1", "node": "L0H0.q"})
    receive(widget, {"kind": "neurons.get", "id": "a-2", "top": 5, "layer": None})
    receive(widget, {"kind": "verify.start", "id": "a-3", "what": "all", "of": "z"})
    return widget


def steady(model, tokens):
    """One round first: libraries keep some things of their own from then on."""
    worked(model, *tokens).close()
    return tensor_bytes()


def on_a_loop(work):
    """As in a notebook: a loop is running, and has a few turns afterwards."""

    async def cell():
        found = work()
        for _ in range(500):
            await asyncio.sleep(0)
        return found

    return asyncio.run(cell())


def test_close_frees_every_tensor_though_the_widget_is_held(model, tokens):
    before = steady(model, tokens)
    widget = worked(model, *tokens)
    assert tensor_bytes() > before, "or this test could not fail"
    verified, report = widget.verified, widget.report
    widget.close()
    assert tensor_bytes() == before
    assert widget.verified == verified, "small, and still to be read"
    assert widget.report == report


def test_close_in_the_middle_of_a_job_frees_every_tensor(model, tokens):
    before = steady(model, tokens)

    async def cell():
        widget = PatchWidget(model, *tokens)
        widget.start(
            "exact",
            [f"L{i}H{h}.{kind}" for i in (0, 1) for h in (0, 1) for kind in "kqvz"],
        )
        while not widget._side.study.verified:  # noqa: ASYNC110 - a turn at a time
            await asyncio.sleep(0)
        assert widget.job["state"] == "running"
        hears(widget, {"kind": "diagnosis.get", "id": "a-0", "node": "L0H0.q"})
        widget.close()
        for _ in range(5):
            await asyncio.sleep(0)
        return tensor_bytes(), widget

    held, _widget = asyncio.run(cell())
    assert held == before


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("neurons.get", {"top": 3, "layer": None}),
        ("paths.get", {"node": "L0H0"}),
        ("diagnosis.get", {"node": "L0H0.q"}),
    ],
)
def test_close_ends_what_is_asked_for_and_lets_the_study_go(model, tokens, kind, body):
    async def cell():
        study = PatchStudy(model, *tokens)
        study.exact(["L0H0.q"])
        widget, reference = PatchWidget(study, method="ig"), weakref.ref(study)
        del study
        said = widget.comm
        receive(widget, {"kind": kind, "id": "a-0", **body})
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 2, "it is under way"
        widget.close()
        for _ in range(2):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        gc.collect()
        assert reference() is None, "though the widget is held"
        assert not [one for one, _ in said.messages() if one["kind"] == "reply"]

    asyncio.run(cell())


def test_a_closed_widget_is_collected(labelled):
    widget = worked(labelled)
    reference = weakref.ref(widget)
    widget.close()
    del widget
    gc.collect()
    assert reference() is None
    assert labelled._runner.known._listeners == []


def test_where_there_is_no_page_it_is_kept_by_who_holds_it(labelled):
    """In a script; the study lives on."""
    reference = weakref.ref(PatchWidget(labelled))
    gc.collect()
    assert reference() is None
    widget = PatchWidget(labelled)
    assert widget.model_id in page_room._registry()
    widget.selection = ["L0H1.z"]
    assert list(widget.verified) == ["L0H1.z"]
    assert list(labelled._runner.known._listeners) != []
    ipywidgets.Widget.close_all()
    assert widget.comm is None


def test_what_a_page_shows_is_kept_and_what_none_shows_is_not(labelled):
    async def cell():
        reference = weakref.ref(PatchWidget(labelled))
        gc.collect()
        assert reference() is not None, "a page may be about to show it"
        page_sets(reference(), _view_count=1)
        gc.collect()
        assert reference() is not None
        said = reference().comm
        page_sets(reference(), _view_count=0)
        for _ in range(3):
            await asyncio.sleep(0)
        gc.collect()
        assert reference() is None
        assert said.published[-1][0] == "comm_close", "the page is told, too"

    asyncio.run(cell())


def test_what_is_shown_once_more_is_kept_again(labelled):
    async def cell():
        widget = PatchWidget(labelled)
        page_sets(widget, _view_count=1)
        page_sets(widget, _view_count=0)
        for _ in range(3):
            await asyncio.sleep(0)
        page_sets(widget, _view_count=1)
        reference = weakref.ref(widget)
        del widget
        gc.collect()
        assert reference() is not None
        reference().close()

    asyncio.run(cell())


@pytest.mark.parametrize(
    ("held", "shown"), [("by nobody", False), ("by nobody", True), ("by Out", True)]
)
def test_ten_runs_of_a_cell_take_the_memory_of_one(
    model, tokens, monkeypatch, held, shown
):
    before = steady(model, tokens)
    run, out = iter(range(20)), []
    monkeypatch.setattr(page_room, "cell_and_run", lambda: ("cell", str(next(run))))

    async def notebook():
        widget, one = None, 0
        for number in range(10):
            last, widget = widget, PatchWidget(model, *tokens)
            if shown:
                page_sets(widget, _view_count=1)
            if shown and last is not None:
                page_sets(last, _view_count=0)
            if held == "by Out":
                out.append(widget)
            del last
            widget.start("exact", "q", by="pos")
            await widget.settled()
            for _ in range(5):
                await asyncio.sleep(0)
            if number == 0:
                one = tensor_bytes() - before
        assert one > 0
        assert tensor_bytes() - before <= 1.01 * one
        assert widget.job["state"] == "done"
        widget.close()
        await asyncio.sleep(0)
        assert tensor_bytes() == before

    asyncio.run(notebook())


def test_widgets_of_other_cells_are_left_alone(labelled, monkeypatch):
    async def notebook():
        cells = iter([("a", "1"), ("a", "1"), ("b", "2"), None, ("a", "3")])
        monkeypatch.setattr(page_room, "cell_and_run", lambda: next(cells))
        first, second, other, script = (PatchWidget(labelled) for _ in range(4))
        for widget in (first, second, other):
            page_sets(widget, _view_count=1)
        page_sets(first, _view_count=0)
        page_sets(other, _view_count=0)
        for _ in range(3):
            await asyncio.sleep(0)
        assert first.comm is not None, "its cell was not run again: who has it, has it"
        third = PatchWidget(labelled)
        assert first.comm is None
        assert second.comm is not None, "an output shows it still"
        assert other.comm is not None
        assert script.comm is not None
        page_sets(second, _view_count=0)
        for _ in range(3):
            await asyncio.sleep(0)
        assert second.comm is None
        for widget in (other, script, third):
            widget.close()

    asyncio.run(notebook())


def test_a_running_cell_is_told_by_jupyter(monkeypatch):
    import IPython

    class Kernel:
        def get_parent(self):
            return {"header": {"msg_id": "m-1"}, "metadata": {"cellId": "c-1"}}

    class Shell:
        kernel = Kernel()

    monkeypatch.setattr(IPython, "get_ipython", Shell)
    assert page_room.cell_and_run() == ("c-1", "m-1")
    Kernel.get_parent = lambda self: {"header": {"msg_id": "m-1"}, "metadata": {}}
    assert page_room.cell_and_run() is None, "a host that does not name its cells"
    monkeypatch.setattr(IPython, "get_ipython", lambda: None)
    assert page_room.cell_and_run() is None


# --- several at once --------------------------------------------------------------------


def test_inside_a_layout_it_is_kept_and_works(labelled):
    async def cell():
        box = ipywidgets.VBox([ipywidgets.Label("x"), PatchWidget(labelled)])
        (_, widget) = box.children
        assert box.get_state()["children"][1] == f"IPY_MODEL_{widget.model_id}"
        page_sets(widget, _view_count=2, selection=["L0H1.z"])
        await widget.settled()
        page_sets(widget, _view_count=0)
        for _ in range(3):
            await asyncio.sleep(0)
        del widget
        gc.collect()
        # No page shows the box; who holds the box holds it. A new page asks for all.
        (_, widget) = box.children
        assert list(widget.verified) == ["L0H1.z"]
        states = ipywidgets.Widget.get_manager_state(drop_defaults=False)["state"]
        assert {widget.model_id, box.model_id} <= set(states)
        page_sets(widget, _view_count=1)
        page_sets(widget, selection=["L1H1.z"])
        await widget.settled()
        assert set(widget.verified) == {"L0H1.z", "L1H1.z"}
        box.close()
        widget.close()

    asyncio.run(cell())


def test_two_views_are_one_widget(labelled):
    """What one view sets, the other is told, unless it is the page's own echo."""
    widget = PatchWidget(labelled)
    page_sets(widget, _view_count=2)
    page_sets(widget, selection=["L0H1.z"], kind="q", wide=True)
    assert (widget.selection, widget.kind, widget.wide) == (["L0H1.z"], "q", True)
    assert list(widget.comm.states("verified")[-1]) == ["L0H1.z"]
    widget.close()


def test_public_traits_can_be_observed_and_linked(labelled, model, tokens):
    one, other = PatchWidget(labelled), PatchWidget(model, *tokens)
    heard = []
    one.observe(lambda change: heard.append(change["new"]), ["selection", "job"])
    links = [
        traitlets.link((one, name), (other, name))
        for name in ("selection", "kind", "pair", "method")
    ]
    page_sets(one, selection=["0.1"], kind="q")
    assert other.selection == ["L0H1.z"]
    assert list(other.verified) == list(one.verified) == ["L0H1.z"]
    other.method = "relp"
    assert one.method == "relp"
    for name, grid in one.grids.items():
        assert torch.equal(decoded(grid), decoded(other.grids[name]))
    assert ["L0H1.z"] in heard
    assert heard[-1]["state"] == "done"
    with pytest.raises(IndexError):
        other.selection = ["L9H9.z"]
    assert one.selection == other.selection == ["L0H1.z"]
    other.close()
    one.selection = ["L1H1.z"]  # what is linked to it is closed, and takes anything
    assert one.job["state"] == "done"
    for link in links:
        link.unlink()
    # In the page, without the kernel: a link knows its two ends by their models.
    js = ipywidgets.jslink((one, "pair"), (ipywidgets.IntSlider(), "value"))
    assert js.get_state()["source"] == [f"IPY_MODEL_{one.model_id}", "pair"]
    js.close()
    one.close()


def test_two_widgets_made_on_a_loop_leave_no_task(labelled):
    def work():
        widgets = [PatchWidget(labelled) for _ in range(2)]
        for widget in widgets:
            widget.start("exact", "z")
        return widgets

    for widget in on_a_loop(work):
        assert widget.job["state"] == "done"
        widget.close()
