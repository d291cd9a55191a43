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
    where = {}
    for at, one in enumerate(index):
        if one is ...:
            dim = tensor.dim() - sum(part is not None for part in index[at + 1 :])
        elif isinstance(one, int):
            tensor = tensor.select(dim, one)
        elif one is None:
            tensor, dim = tensor.unsqueeze(dim), dim + 1
        elif isinstance(one, slice):
            bounds = one.start, one.stop, one.step or 1
            tensor = torch.ops.aten.slice.Tensor(tensor, dim, *bounds)
            dim += 1
        else:
            where[dim] = torch.as_tensor(one, device=tensor.device)
            dim += 1
    if not where:
        return tensor
    # All lists of places together, as they belong.
    lists = [where.get(at) for at in range(max(where) + 1)]
    return torch.ops.aten.index.Tensor(tensor, lists)


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
