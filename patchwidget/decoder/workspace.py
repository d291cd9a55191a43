"""Memory that the large products of a batch are written to, again and again.

A fresh matrix of many megabytes comes from the system page by page, and goes back to it
when it is freed: on a processor that takes a tenth of the product's own time.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Workspace:
    """The last large product of a batch: the next one is written over it.

    Example:
        >>> workspace = Workspace()
        >>> first = workspace.product(torch.ones(2, 3), torch.ones(3, 4))
        >>> second = workspace.product(torch.ones(2, 3), torch.ones(3, 2))
        >>> first.data_ptr() == second.data_ptr(), second.tolist()
        (True, [[3.0, 3.0], [3.0, 3.0]])
    """

    def __init__(self) -> None:
        self._memory: Tensor | None = None

    def product(self, left: Tensor, right: Tensor) -> Tensor:
        """`left @ right` of matrices, good until the next product is asked for.

        No gradient can go through it.
        """
        rows, columns = len(left), right.shape[1]
        memory = self._memory
        if memory is None or memory.numel() < rows * columns:
            # The old one is let go first: both together were never counted.
            self._memory = None
            memory = self._memory = left.new_empty(rows * columns)
        out = memory[: rows * columns].view(rows, columns)
        return torch.mm(left, right, out=out)
