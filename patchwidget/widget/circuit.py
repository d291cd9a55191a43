"""What is known of one direction about how its nodes hang together: the `circuit` trait."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from patchwidget.circuits import Interactions, Repair, WholeStory
from patchwidget.once import Once
from patchwidget.paths import Path
from patchwidget.spread import spread
from patchwidget.study import PatchStudy
from patchwidget.widget import circuit_records
from patchwidget.widget.path_estimates import PathEstimates
from patchwidget.widget.wire import Record

RUN, FILE = "run", "file"
FINDINGS: Mapping[str, Callable[[Any], Record]] = {
    "interactions": circuit_records.of_interactions,
    "repair": circuit_records.of_repair,
    "story": circuit_records.of_story,
    "path_story": circuit_records.of_path_story,
}


@dataclass(frozen=True)
class Verified:
    """The exact effect of a path.

    Attributes:
        exact: mean over the pairs.
        interval: of that mean; None with a single pair.
        source: `"run"`, or `"file"` where it was loaded.
    """

    exact: float
    interval: tuple[float, float] | None
    source: str

    @classmethod
    def of(cls, per_pair: Tensor) -> Verified:
        """What is kept of a path that was run, from its effect on each pair `[B]`."""
        found = spread(per_pair)
        ends = None if found is None else (float(found[2]), float(found[3]))
        return cls(float(per_pair.mean()), ends, RUN)


class Circuit:
    """Paths and what was asked about them and picked nodes, in one direction of a study.

    Args:
        study: the study.

    Attributes:
        paths: the paths that are verified.
        estimates: of all paths; None before they are made.
    """

    def __init__(self, study: PatchStudy) -> None:
        self._study = study
        self.paths: dict[Path, Verified] = {}
        self.estimates: PathEstimates | None = None
        self._once = Once()
        self._findings: dict[str, Record] = {}

    def estimating(self) -> Generator[None, None, PathEstimates]:
        """Make the estimates, once: all who ask meanwhile make the same steps.

        Raises:
            ValueError, RuntimeError: see `PatchStudy.paths`.
        """
        if self.estimates is None:
            grid = yield from self._once.slices("paths", self._study.paths_stepwise)
            # Of several who waited, one was here before.
            self.estimates = self.estimates or PathEstimates(grid, self._study.extent)
        return self.estimates

    def new(self, paths: Iterable[Path]) -> list[Path]:
        """Those of some paths that were not run; what a file said is run again."""
        known = self.paths
        return [p for p in paths if p not in known or known[p].source != RUN]

    def learn(self, paths: Mapping[Path, Tensor]) -> None:
        """Keep effects of paths on each pair."""
        self.paths |= {path: Verified.of(effect) for path, effect in paths.items()}

    def load(self, paths: Mapping[Path, Verified]) -> None:
        """Take paths of a file; what was run here stays."""
        self.paths |= {path: paths[path] for path in self.new(paths)}

    def note(self, what: str, found: Interactions | Repair | WholeStory) -> None:
        """Keep what was found of picks or paths, instead of what was found before."""
        self._findings[what] = FINDINGS[what](found)

    def record(self) -> Record:
        """The trait; empty as long as nothing is known."""
        if not self.paths and not self._findings:
            return {}
        asked: Record = dict.fromkeys(FINDINGS)
        return {"paths": self.path_records(), **asked, **self._findings}

    def path_records(self) -> dict[str, Record]:
        """Verified paths by name."""
        return {
            str(path): {
                "writer": str(path.writers[0]),
                "reader": str(path.readers[0]),
                "estimate": self.estimates and self.estimates.value(path),
                "exact": one.exact,
                "interval": one.interval and list(one.interval),
                "source": one.source,
            }
            for path, one in self.paths.items()
        }
