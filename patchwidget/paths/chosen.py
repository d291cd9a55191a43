"""Single paths that are run one by one, as they were named."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from patchwidget.exact import Progress
from patchwidget.nodes import Extent
from patchwidget.paths.ends import Reader, Writer
from patchwidget.paths.exact_paths import ExactPaths
from patchwidget.paths.path import Path
from patchwidget.paths.sides import Side
from patchwidget.runs import Runs

AnyPath = Path | str


@dataclass(frozen=True)
class PathProgress(Progress):
    """One step of running paths.

    Attributes:
        paths: effect on each pair `[B]` of the paths that this step finished; where both
            runs have the same metric, its raw change.
    """

    paths: Mapping[Path, Tensor] = field(default_factory=dict)


def paths_of(
    given: Iterable[AnyPath] | AnyPath, extent: Extent, labels: Mapping[str, int]
) -> tuple[Path, ...]:
    """The paths that a user names, each once.

    Args:
        given: paths from one writer to one reader, or their names.
        extent: what the model has.
        labels: names of positions.

    Raises:
        ValueError: if there is none, or one is not the name of such a path.
        IndexError: if the model has no such writer or reader.
        TypeError: if one is neither a path nor a name.
    """
    found = {
        single_path(one, labels): None
        for one in ([given] if isinstance(given, (Path, str)) else given)
    }
    if not found:
        raise ValueError("no path is given: name one at least, 'L1H2 -> L4H0.q'")
    for path in found:
        check(path, extent)
    return tuple(found)


def check(path: Path, extent: Extent) -> None:
    """Refuse a path with an end that this model does not have.

    Raises:
        ValueError, IndexError: see `Writer.check` and `Reader.check`.
    """
    path.writers[0].check(extent)
    path.readers[0].check(extent)


def single_path(one: object, labels: Mapping[str, int]) -> Path:
    """A path from one writer to one reader, or the one of that name.

    Raises:
        ValueError: if it has several ends, or a text is no such path's name.
        TypeError: if it is neither.
    """
    if isinstance(one, Path):
        if len(one.writers) != 1 or len(one.readers) != 1:
            raise ValueError(
                f"{one} has several ends: name paths one by one, or ask exact_paths for "
                "sets"
            )
        return one
    if not isinstance(one, str):
        raise TypeError(f"{one!r} is not a path: use a Path, or 'L1H2 -> L4H0.q'")
    return Path.parse(one, labels)


class ChosenPaths:
    """The exact effects of single paths, as few batches as they make.

    Args:
        runs: the captured runs.
        paths: each once.
        budget: bytes that patched runs may take at once, or None.

    Raises:
        ValueError: see `ExactPaths`.

    Example:
        >>> from patchwidget import PatchStudy, demo
        >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
        >>> chosen = ChosenPaths(
        ...     study._runs, [Path.parse("L1H0 -> L2H1.v")], budget=None
        ... )
        >>> [path for step in chosen.steps() for path in step.paths]
        [L1H0 -> L2H1.v]
    """

    def __init__(self, runs: Runs, paths: Iterable[Path], budget: int | None) -> None:
        self._paths = list(paths)
        writers = dict.fromkeys(path.writers for path in self._paths)
        readers = dict.fromkeys(path.readers for path in self._paths)
        from_, to = _places(writers), _places(readers)
        self._cells = {
            path: (from_[path.writers], to[path.readers]) for path in self._paths
        }
        self._exact = ExactPaths(
            runs,
            Side[Writer](tuple(writers), ("writer",), (len(writers),)),
            Side[Reader](tuple(readers), ("reader",), (len(readers),)),
            budget,
            only=set(self._cells.values()),
        )

    def work(self) -> list[int]:
        """See `ExactPaths.work`."""
        return self._exact.work()

    def steps(
        self, check: Callable[[], None] = lambda: None
    ) -> Generator[PathProgress, None, None]:
        """Run them, a layer of a batch at a step; see `ExactPaths.steps`."""
        waiting, done = dict(self._cells), -1
        for step in self._exact.steps(check):
            found = self._found(waiting) if step.done != done else {}
            done = step.done
            for path in found:
                del waiting[path]
            yield PathProgress(step.done, step.total, work=step.work, paths=found)

    def _found(self, waiting: Mapping[Path, tuple[int, int]]) -> dict[Path, Tensor]:
        shown = self._exact.grid().shown
        values = {path: shown[:, w, r] for path, (w, r) in waiting.items()}
        return {path: one for path, one in values.items() if not one.isnan().any()}


def _places(ends: Iterable[tuple[object, ...]]) -> dict[tuple[object, ...], int]:
    return {entry: number for number, entry in enumerate(ends)}
