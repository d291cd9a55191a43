"""How much memory tensors take at most while something runs, counted, not measured."""

from __future__ import annotations

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class Allocated(TorchDispatchMode):
    """Bytes of the tensors that operations make: `most` at once.

    What a kernel takes for itself and gives back before it returns is not seen.
    """

    def __init__(self):
        super().__init__()
        self._alive, self.most = {}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = {_key(x) for x in tree_iter((args, kwargs)) if _is_tensor(x)}
        made = func(*args, **(kwargs or {}))
        for one in filter(_is_tensor, tree_iter(made)):
            if _key(one) not in given:
                storage = one.untyped_storage()
                self._alive[_key(one)] = StorageWeakRef(storage), storage.nbytes()
        self._count()
        return made

    def _count(self):
        for key, (storage, _) in list(self._alive.items()):
            if storage.expired():
                del self._alive[key]
        self.most = max(self.most, sum(size for _, size in self._alive.values()))


def _is_tensor(x):
    return isinstance(x, torch.Tensor)


def _key(tensor):
    return tensor.untyped_storage()._cdata


def allocated_by(call):
    """The most bytes that live at once of what is made while something runs."""
    with Allocated() as seen:
        call()
    return seen.most
