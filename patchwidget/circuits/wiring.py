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
such a one. Biases of attention are part of no write; an MLP's output bias and the positions'
embedding are part of the MLP's and the embedding's.

Cut by position, a path carries what is written at one position.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from patchwidget.circuits.kept import Whole
from patchwidget.nodes import Extent
from patchwidget.paths import Path, Reader, Writer
from patchwidget.paths.path import reads_at, writes_at
from patchwidget.paths.writes import all_readers, all_writers

Mask = NDArray[np.bool_]
Numbers = NDArray[np.int64]


def _no_paths() -> Mask:
    return np.zeros(0, bool)


@dataclass(frozen=True)
class Cut:
    """A run in which some paths carry ablated values.

    Which ones takes as much memory as there are paths. So runs that are made of one circuit
    share its paths, and what is found is known by the run's name alone.

    Attributes:
        name: a digest of the paths that are left, the same however they were told.
        n_cut: how many are cut.
        circuit: paths of which all that are left are, `[readers * writers * cuts]`.
        gone: numbers of those that are cut of these.
    """

    name: bytes
    n_cut: int
    circuit: Mask = field(default_factory=_no_paths, compare=False, repr=False)
    gone: tuple[int, ...] = field(default=(), compare=False, repr=False)

    def __bool__(self) -> bool:
        return self.n_cut > 0

    @property
    def bare(self) -> Cut:
        """Its name, without the paths."""
        return Cut(self.name, self.n_cut)


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
    def there(self) -> Mask:
        """Whether there is a path, `[readers, writers]`; see `paths.path.obstacle`."""
        written = [writes_at(one, parallel=self.parallel) for one in self.writers]
        read = [reads_at(one, parallel=self.parallel) for one in self.readers]
        there: Mask = np.less(np.array(written), np.array(read)[:, None])
        return there

    @cached_property
    def every(self) -> Mask:
        """Which of all numbers are those of a path, `[readers * writers * cuts]`."""
        return np.repeat(self.there, self.n_cuts)

    @cached_property
    def _places(self) -> dict[Writer | Reader, int]:
        sides: list[tuple[Writer | Reader, ...]] = [self.writers, self.readers]
        return {end: place for ends in sides for place, end in enumerate(ends)}

    def __len__(self) -> int:
        return int(self.there.sum()) * self.n_cuts

    def number(self, path: Path) -> int:
        """Which of the paths one is."""
        (writer,), (reader,) = path.writers, path.readers
        return int(self.numbers([writer], [reader])[0, 0])

    def numbers(self, writers: Iterable[Writer], readers: Iterable[Reader]) -> Numbers:
        """Which of the paths lead from some writers to some readers.

        Args:
            writers: each at a position if paths are cut so.
            readers: any.

        Returns:
            `[writers, readers]`; also where there is no path.
        """
        whole = [Writer(one.part, one.layer, one.head) for one in writers]
        pos = np.array([one.pos or 0 for one in writers])
        from_ = np.array([self._places[one] for one in whole])
        to = np.array([self._places[one] for one in readers])
        places = to * len(self.writers) + from_[:, None]
        numbers: Numbers = places * self.n_cuts + pos[:, None]
        return numbers

    def only(self, circuit: Iterable[int]) -> Cut:
        """The run in which all paths but some are cut, which are told by their numbers."""
        kept = np.zeros(self.every.shape, bool)
        kept[list(circuit)] = True
        return self._cut(kept, ())

    def without(self, parts: Iterable[int]) -> Cut:
        """The run in which some paths are cut."""
        return self._cut(self.every, tuple(parts))

    def also(self, run: Cut, parts: Iterable[int]) -> Cut:
        """The run in which some more paths are cut."""
        return self._cut(run.circuit, (*run.gone, *parts))

    def _cut(self, circuit: Mask, gone: tuple[int, ...]) -> Cut:
        kept = _less(circuit, gone)
        name = blake2b(np.packbits(kept).tobytes(), digest_size=32).digest()
        return Cut(name, len(self) - int(kept.sum()), circuit, gone)

    def kept(self, cut: Cut) -> Mask:
        """The paths that are not cut, `[readers, writers, 1 or positions]`."""
        return _less(cut.circuit, cut.gone).reshape(*self.there.shape, self.n_cuts)


def _less(circuit: Mask, gone: tuple[int, ...]) -> Mask:
    kept = circuit.copy()
    kept[list(gone)] = False
    return kept
