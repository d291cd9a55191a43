"""Circuits of paths: all paths of a model, and what is cut where a circuit is all that is left.

Every writer (the embedding, each head, each MLP) is wired to every reader that comes after
it (the queries, keys and values of each head, each MLP, the end of the model). In the run
of a circuit C a reader takes in the stream of the run in which everything is ablated, and,
for each path of C that leads to it, what the path's writer writes differently:

    input(r) = ablated stream(r) + sum over (w, r) in C of (write(w) - ablated write(w)),

where write(w) is what w makes of its own inputs in this very run, and the embedding's is
the clean one (ACDC: Conmy et al., arXiv 2304.14997; EAP: Syed et al., arXiv 2310.10348;
the edge circuits of MIB and, by position, of TransformerLens 4.3's `faithfulness`). With
all paths this is the clean run, and with none of them the ablated stream runs into the end
of the model. Ablated are the writes of the corrupted prompts, or of the study's source:
their sum is the ablated stream (a mean's is made of mean writes), also where no prompt has
such a one. Biases of attention are part of no write.

Cut by position, a path carries what is written at one position.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from patchwidget.circuits.kept import Whole
from patchwidget.nodes import Extent
from patchwidget.paths import Path, Reader, Writer
from patchwidget.paths.path import obstacle
from patchwidget.paths.writes import all_readers, all_writers

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Cut:
    """The paths that carry ablated values in a run.

    Attributes:
        numbers: of some paths, as a `Wiring` counts them.
        all_but: whether all other paths are cut, and not these.
    """

    numbers: frozenset[int]
    all_but: bool

    def __bool__(self) -> bool:
        return self.all_but or bool(self.numbers)


@dataclass(frozen=True)
class Wiring(Whole[int, Cut]):
    """All paths of a model.

    Attributes:
        extent: how many of everything there are.
        parallel: whether the blocks' MLPs read the same stream as attention does.
        by: `"pos"` if paths are cut by the position at which they are written, else None.

    Example:
        >>> wiring = Wiring(Extent(1, 2, 2, n_pos=5, d_mlp=8), parallel=False)
        >>> len(wiring), len(Wiring(wiring.extent, parallel=False, by="pos"))
        (13, 65)
        >>> cut = wiring.only([wiring.number(Path.parse("embed -> L0H1.q"))])
        >>> int(wiring.kept(cut).sum())
        1
    """

    extent: Extent
    parallel: bool
    by: str | None = None

    @cached_property
    def writers(self) -> tuple[Writer, ...]:
        """In the order in which they write."""
        return all_writers(self.extent)

    @cached_property
    def readers(self) -> tuple[Reader, ...]:
        """Layer by layer, and the end of the model."""
        return all_readers(self.extent)

    @property
    def n_cuts(self) -> int:
        """How many paths there are from a writer to a reader: one, or one a position."""
        return 1 if self.by is None else self.extent.n_pos

    @cached_property
    def _numbers(self) -> dict[tuple[Writer, Reader], int]:
        ends = product(enumerate(self.readers), enumerate(self.writers))
        return {
            (writer, reader): r * len(self.writers) + w
            for (r, reader), (w, writer) in ends
            if obstacle(writer, reader, parallel=self.parallel) is None
        }

    @cached_property
    def _all(self) -> frozenset[int]:
        n = self.n_cuts
        places = self._numbers.values()
        return frozenset(place * n + pos for place in places for pos in range(n))

    def __len__(self) -> int:
        return len(self._all)

    def number(self, path: Path) -> int:
        """Which of the paths one is."""
        (writer,), (reader,) = path.writers, path.readers
        whole = Writer(writer.part, writer.layer, writer.head)
        return self._numbers[whole, reader] * self.n_cuts + (writer.pos or 0)

    def without(self, parts: Iterable[int]) -> Cut:
        """The run in which some paths are cut, which are told by their numbers."""
        return self._cut(frozenset(parts), all_but=False)

    def only(self, circuit: Iterable[int]) -> Cut:
        """The run in which all other paths are cut."""
        return self._cut(frozenset(circuit), all_but=True)

    def _cut(self, numbers: frozenset[int], *, all_but: bool) -> Cut:
        if 2 * len(numbers) > len(self):  # one run, one name
            return Cut(self._all - numbers, not all_but)
        return Cut(numbers, all_but)

    def kept(self, cut: Cut) -> Mask:
        """The paths that are not cut, `[readers, writers, 1 or positions]`."""
        shape = len(self.readers), len(self.writers), self.n_cuts
        kept = np.zeros(np.prod(shape), bool)
        if not cut.all_but:
            kept[list(self._all)] = True
        kept[list(cut.numbers)] = cut.all_but
        return kept.reshape(shape)
