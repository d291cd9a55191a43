"""Run a student's function, so that nothing it does reaches the next check."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from patchwidget.exercises.errors import told
from patchwidget.hooks import user_hooks
from patchwidget.runs import computing


class TooLongError(BaseException):
    """The time is up; no `except Exception` of the student's holds it."""


@dataclass(frozen=True)
class Attempt:
    """What came of one call.

    Attributes:
        value: what the function returned.
        mistake: name of what went wrong beside the value, or None.
        problem: the sentence about it, or None.
        notes: what was put in order afterwards without being a mistake.
    """

    value: Any = None
    mistake: str | None = None
    problem: str | None = None
    notes: tuple[str, ...] = ()


def attempt(
    function: Callable[[], Any],
    written: Callable[..., Any],
    model: Any,
    *,
    keep: Mapping[str, tuple[Tensor, Tensor]] | None = None,
    seconds: float,
) -> Attempt:
    """Call a function and put everything back.

    Args:
        function: the call.
        written: what the student wrote, whose lines an error is looked for in.
        model: the model it works on, which is put back as it was.
        keep: tensors that must not change, by name, each with what it shall still be.
        seconds: after this long the call is ended.
    """
    before = Snapshot(model)
    grad = torch.is_grad_enabled()
    try:
        with _limited(seconds):
            value = function()
    except TooLongError:
        before.restore()
        return Attempt(mistake="too_long", problem=_too_long(seconds))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the student's
        before.restore()
        return Attempt(None, *told(error, written))
    finally:
        moded = torch.is_grad_enabled() is not grad
        torch.set_grad_enabled(grad)
    found = before.restore()
    for name, (now, then) in (keep or {}).items():
        if not torch.equal(now, then):
            found.append(("cache_changed", _changed(name)))
            break
    notes = (*before.notes, *([_MODE] if moded else []))
    mistake, problem = found[0] if found else (None, None)
    return Attempt(value, mistake, problem, notes)


_MODE = "It left grad mode switched; that was put back."


def _too_long(seconds: float) -> str:
    return (
        f"It takes too long: ended after {seconds:.0f} s, which is many times what one "
        "forward pass a cell needs. Does a loop never end, or run more than it has to "
        "(a fresh clean cache for every cell)?"
    )


def _changed(name: str) -> str:
    return (
        f"You patched in place, so the cache changed too ({name}): every later patch takes "
        "the changed values for clean ones. Assign to the activation that the hook was "
        "given (or to a clone of it), never to the cache."
    )


class Snapshot:
    """A model as it was: hooks, weights, train mode, gradients."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._hooks = user_hooks(model)
        with computing():
            self._weights = {n: p.detach().clone() for n, p in model.named_parameters()}
        self._flags = {n: p.requires_grad for n, p in model.named_parameters()}
        self._train = {name: m.training for name, m in model.named_modules()}
        self.notes: list[str] = []

    def restore(self) -> list[tuple[str, str]]:
        """Put the model back; mistakes found in doing so, by name and sentence."""
        for name, module in self._model.named_modules():
            module.training = self._train[name]
        return [*self._take_hooks_off(), *self._reset_weights()]

    def _take_hooks_off(self) -> list[tuple[str, str]]:
        left = [
            name
            for name, hooks in user_hooks(self._model).items()
            if set(hooks) - set(self._hooks.get(name, ()))
        ]
        if not left:
            return []
        self._model.reset_hooks(including_permanent=True)
        self._remove_rest()
        sentence = (
            f"Hooks are still on the model after your function returned (at {left[0]}): "
            "each run then also has the patches of those before. `run_with_hooks` takes "
            "its own off; after `add_hook`, call `model.reset_hooks()` for every cell. "
            "(They have been taken off.)"
        )
        return [("hooks_left", sentence)]

    def _remove_rest(self) -> None:
        """Hooks of torch itself, of which TransformerLens knows nothing."""
        modules = dict(self._model.named_modules())
        for name, hooks in user_hooks(self._model).items():
            for number in set(hooks) - set(self._hooks.get(name, ())):
                for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks"):
                    getattr(modules[name], kind).pop(number, None)

    def _reset_weights(self) -> list[tuple[str, str]]:
        changed = False
        for name, parameter in self._model.named_parameters():
            if parameter.grad is not None:
                parameter.grad = None
                self.notes = [
                    "(Gradients that it left on the model's weights were removed.)"
                ]
            parameter.requires_grad_(self._flags[name])
            if not torch.equal(parameter.detach(), self._weights[name]):
                changed = True
                parameter.data.copy_(self._weights[name])
        if not changed:
            return []
        sentence = (
            "Your function changed the model's weights: a patch replaces activations of "
            "one run. (The weights have been put back.)"
        )
        return [("weights_changed", sentence)]


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """End what runs here with `TooLongError` after some time, on any platform."""
    thread, lock, state = threading.get_ident(), threading.Lock(), {"done": False}

    def raise_in_thread(what: Any) -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)

    def end() -> None:
        with lock:
            if not state["done"]:
                raise_in_thread(ctypes.py_object(TooLongError))

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            state["done"] = True
            raise_in_thread(None)  # if it was due just now
        timer.cancel()
