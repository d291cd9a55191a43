"""A GPU that is not there: tensors that claim to be on one, and compute nothing.

Mixing devices raises, as on a real GPU, and so does a tensor that strays to the CPU.
"""

from __future__ import annotations

from contextlib import contextmanager

import torch
from torch._subclasses import FakeTensorMode
from torch.nn import Parameter
from torch.overrides import TorchFunctionMode


class _Indexing(TorchFunctionMode):
    """Indexing by torch's own operators.

    Python's brackets look for the device itself, which a build without CUDA lacks.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func.__name__ == "__getitem__":
            return _part(*args)
        if func.__name__ == "__setitem__":
            tensor, index, value = args
            return _part(tensor, index).zero_().add_(value)
        return func(*args, **(kwargs or {}))


def _part(tensor, index):
    dim, index = 0, index if isinstance(index, tuple) else (index,)
    for at, one in enumerate(index):
        if one is ...:
            dim = tensor.dim() - sum(part is not None for part in index[at + 1 :])
            continue
        if isinstance(one, slice):
            bounds = one.start, one.stop, one.step or 1
            tensor = torch.ops.aten.slice.Tensor(tensor, dim, *bounds)
        elif isinstance(one, int):
            tensor = tensor.select(dim, one)
            continue
        elif one is None:
            tensor = tensor.unsqueeze(dim)
        else:
            where = [None] * dim + [torch.as_tensor(one, device=tensor.device)]
            tensor = torch.ops.aten.index.Tensor(tensor, where)
        dim += 1
    return tensor


@contextmanager
def fake_gpu():
    with FakeTensorMode(), _Indexing():
        yield


def move(model, dtype):
    """Put a model's tensors on the GPU that is not there, shared ones once."""
    moved = {}
    for module in model.modules():
        # A Bridge also keeps parameters as plain attributes.
        for tensors in (module._parameters, module._buffers, vars(module)):
            for name, tensor in tensors.items():
                if isinstance(tensor, torch.Tensor):
                    new = moved.setdefault(tensor, _moved(tensor, dtype))
                    tensors[name] = new
                    moved[new] = new
    return model


def _moved(tensor, dtype):
    kind = dtype if tensor.is_floating_point() else tensor.dtype
    new = torch.empty(tensor.shape, dtype=kind, device="cuda")
    if isinstance(tensor, Parameter):
        return Parameter(new, requires_grad=tensor.requires_grad)
    return new
