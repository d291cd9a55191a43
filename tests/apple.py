"""A device without double precision, as Apple's: tensors that say "mps", and compute.

Their numbers are the processor's. Doubles there raise, as on a real one, and so do a
tensor there and one on the CPU together. To torch they are on "meta", which unlike "mps"
is part of every build and can be differentiated through.
"""

from __future__ import annotations

from contextlib import contextmanager

import torch
from torch.nn import Parameter
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map

DEVICE = torch.device("mps:0")
_STAND_IN = torch.device("meta")
# Places may lie on the CPU, and values be copied from it.
_MAY_MIX = {"aten::copy_", "aten::index", "aten::index_put", "aten::index_put_"}


class OnApple(torch.Tensor):
    """A tensor there; `here` is what it holds."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, here):
        if here.dtype == torch.float64:
            raise TypeError("the MPS framework doesn't support float64")
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            here.shape,
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=_STAND_IN,
        )
        made.here = here
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, dict(kwargs or {}))


def _run(func, args, kwargs):
    name = func._schema.name
    given = [x for x in tree_iter((args, kwargs)) if isinstance(x, torch.Tensor)]
    there = any(isinstance(x, OnApple) for x in given)
    if kwargs.get("device") is not None:
        goes_there = kwargs["device"].type == _STAND_IN.type
        kwargs["device"] = torch.device("cpu")
    else:
        goes_there = there
        strays = [x for x in given if not isinstance(x, OnApple) and x.dim()]
        if there and strays and name not in _MAY_MIX:
            raise RuntimeError(f"{name}: tensors on mps and on cpu together")
    out = func(*tree_map(_here, args), **tree_map(_here, kwargs))
    if name.endswith("_"):
        return args[0]
    return tree_map(_there, out) if goes_there else out


def _here(x):
    return x.here if isinstance(x, OnApple) else x


def _there(x):
    return OnApple(x) if isinstance(x, torch.Tensor) else x


class _Made(TorchDispatchMode):
    """What is made there is made of no tensor that could tell."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, dict(kwargs or {}))


class _Named(TorchFunctionMode):
    """The name of the device, as Python hears and says it."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.device:
            return func(*args, **(kwargs or {}))
        args, kwargs = tree_map(_stand_in, (tuple(args), kwargs or {}))
        if func is torch.Tensor.tolist and isinstance(args[0], OnApple):
            return args[0].detach().here.tolist()  # refused for any such class
        if func is torch.tensor and kwargs.get("device") == _STAND_IN:
            # Moves it where no mode sees it.
            return func(*args, **{**kwargs, "device": "cpu"}).to(_STAND_IN)
        out = func(*args, **kwargs)
        return DEVICE if isinstance(out, torch.device) and out == _STAND_IN else out


def _stand_in(x):
    named = isinstance(x, (str, torch.device)) and str(x) in (DEVICE.type, str(DEVICE))
    return _STAND_IN if named else x


@contextmanager
def apple():
    with _Named(), _Made():
        yield


def move(model):
    """Put a model's tensors there, shared ones once."""
    moved = {}
    for module in model.modules():
        # A Bridge also keeps parameters as plain attributes.
        for tensors in (module._parameters, module._buffers, vars(module)):
            for name, tensor in tensors.items():
                if isinstance(tensor, torch.Tensor):
                    new = moved.setdefault(tensor, _moved(tensor))
                    tensors[name] = new
                    moved[new] = new
    return model


def _moved(tensor):
    new = OnApple(tensor.detach())
    if isinstance(tensor, Parameter):
        return Parameter(new, requires_grad=tensor.requires_grad)
    return new
