"""Those who wait: a bar in notebooks, the time that is left, Ctrl-C in the middle."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import re
import signal
import sys
import weakref
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from patchwidget import PatchStudy
from patchwidget.exact import Progress, bar, budget
from patchwidget.widget import jobs


@pytest.fixture
def clock(monkeypatch):
    """A clock for tqdm that goes when a test says so."""
    import tqdm.std

    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(tqdm.std, "time", lambda: now.seconds)
    return now


def uneven(clock):
    """100 seconds: the first patch of four takes half of the work."""
    for done, share in ((0, 0), (0, 0.25), (1, 0.5), (2, 0.75), (4, 1)):
        yield Progress(done, 4, work=share)
        clock.seconds += 25


def test_the_time_that_is_left_is_told_from_the_work(clock, monkeypatch):
    import tqdm.auto
    import tqdm.std

    # Whatever ran before, here there is no notebook.
    monkeypatch.setattr(tqdm.auto, "tqdm", tqdm.std.tqdm)
    shown = io.StringIO()
    with contextlib.redirect_stderr(shown):
        bar.exhaust(uneven(clock), "exact z")
    told = re.findall(r"(\d+)/4 patches: +(\d+)%.*?<(\d+):(\d+)\]", shown.getvalue())
    assert [(int(done), int(share)) for done, share, *_ in told] == [
        (0, 25),
        (1, 50),
        (2, 75),
        (4, 100),
    ]
    left = [60 * int(minutes) + int(seconds) for *_, minutes, seconds in told]
    assert left == pytest.approx([75, 50, 25, 0], abs=1)


@pytest.fixture
def shown(monkeypatch):
    """What a notebook displays."""
    import IPython
    import tqdm.auto
    import tqdm.autonotebook
    import tqdm.notebook

    kernel, displayed = SimpleNamespace(config={"IPKernelApp": {}}), []
    with monkeypatch.context() as patch:
        # Versions of tqdm tell a notebook by one of these.
        patch.setitem(sys.modules, "ipykernel.zmqshell", ModuleType("zmqshell"))
        patch.setattr(IPython, "get_ipython", lambda: kernel)
        patch.setattr(tqdm.notebook, "display", displayed.append)
        importlib.reload(tqdm.autonotebook)
        importlib.reload(tqdm.auto)
        yield displayed
    importlib.reload(tqdm.autonotebook)
    importlib.reload(tqdm.auto)


@pytest.mark.filterwarnings("ignore:.*notebook mode")  # tqdm's own, of an experiment
def test_a_notebook_shows_a_bar_of_its_own(clock, shown, capsys):
    seen = []

    def steps():
        for step in uneven(clock):
            seen.extend([part.value for part in one.children] for one in shown)
            yield step

    bar.exhaust(steps(), "exact z")
    assert len(shown) == 1
    label, share, left = seen[-1]
    assert label.split() == ["exact", "z,", "2/4", "patches:", "75%"]
    assert share == 0.75
    assert re.search(r"01:15&lt;00:2[45]", left)
    assert shown[0].children[1].value == 1
    assert capsys.readouterr() == ("", ""), "nothing as text beside it"


class Products(TorchDispatchMode):
    """Counts products, and at one of them presses Ctrl-C."""

    def __init__(self, last=None):
        super().__init__()
        self.count, self._last = 0, last

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func._schema.name in ("aten::mm", "aten::addmm", "aten::addmm_"):
            self.count += 1
            if self.count == self._last:
                signal.raise_signal(signal.SIGINT)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def calm(model, tokens, monkeypatch):
    """Studies that run two patches at once, and never ask the model meanwhile."""
    monkeypatch.setattr(budget, "_ROWS", {"cpu": 2 * tokens[0].numel()})

    def made():
        study = PatchStudy(model, *tokens)
        monkeypatch.setattr(study._watch, "_ask_model", lambda *_: None)
        return study

    return made


@pytest.fixture
def heard():
    """Ctrl-C as in a terminal: what a shell runs in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_an_interrupt_amid_a_batch_keeps_what_is_finished(calm, share):
    study = calm()
    with Products() as seen:
        expected = study.exact("z")
    assert seen.count > 20
    study = calm()
    with Products(int(share * seen.count)), pytest.raises(KeyboardInterrupt):
        study.exact("z")
    kept = dict(study.verified)
    assert len(kept) < expected.raw[0].numel()
    assert share < 0.1 or kept, "batches before it are finished"
    for node, effect in kept.items():
        assert_close(
            effect.raw, expected.raw[(slice(None), *node.cell)], rtol=0, atol=0
        )
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    with Products() as rest:
        again = study.exact("z")
    assert_close(again.raw, expected.raw)
    assert rest.count < seen.count or not kept, "the rest alone is run"


class Mortal:
    """Something that a weak reference may point to."""


def press_ctrl_c(_):
    signal.raise_signal(signal.SIGINT)


def unlucky(number):
    """Steps; an interrupt hits within a callback in one of them, and Python drops it."""
    for done in range(4):
        if done == number:
            mortal = Mortal()
            dying = weakref.ref(mortal, press_ctrl_c)
            del mortal
            assert dying() is None
        yield Progress(done, 4)


# What is dropped is told of, in the way of the interpreter.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("number", [0, 3])
def test_an_interrupt_that_python_drops_is_raised_after_the_step(number):
    steps = unlucky(number)
    with pytest.raises(KeyboardInterrupt):
        bar.exhaust(steps, "exact z")
    assert inspect.getgeneratorstate(steps) == inspect.GEN_CLOSED
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("heard")
def test_a_jobs_turns_raise_it_too():
    """For the cell that waits for them; who listens to a kernel between cells is not told."""
    told = []
    with pytest.raises(KeyboardInterrupt):
        for _ in jobs._told(unlucky(2), lambda: told.append(1)):
            pass
    assert told == []
