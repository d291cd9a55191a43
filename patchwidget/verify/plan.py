"""What a verification is asked for, checked before anything is run."""

from __future__ import annotations

from dataclasses import dataclass

from patchwidget.rank.subsampling import RUNS, SHARE
from patchwidget.verify.bound import check_confidence

# Two sets with a node and two without: no variance is defined below that.
_FEWEST_SETS = 4


@dataclass(frozen=True)
class Plan:
    """When to stop, and how sure to be of the rest.

    Attributes:
        top: stop when the largest `top` effects are settled.
        patches: stop after this many exact patches, not counting the bound's runs.
        seconds: stop after this time, which has to do for the bound too.
        confidence: of the bound.
        bound_runs: random sets that are run for it; 0 leaves it out.
        share: probability with which a node is in a set.
        seed: of the sets.

    Raises:
        ValueError: if a value is out of range.
    """

    top: int | None = None
    patches: int | None = None
    seconds: float | None = None
    confidence: float = 0.9
    bound_runs: int = RUNS
    share: float = SHARE
    seed: int = 0

    def __post_init__(self) -> None:
        if self.top is not None and self.top < 1:
            raise ValueError(
                f"top={self.top} asks for nothing: give 1 or more, or None"
            )
        if self.patches is not None and self.patches < 1:
            raise ValueError(
                f"a budget of patches={self.patches} verifies nothing: give 1 or more, "
                "or None to go on to the end"
            )
        if self.seconds is not None and not self.seconds > 0:
            raise ValueError(
                f"a budget of seconds={self.seconds} verifies nothing: give more than 0, "
                "or None to go on to the end"
            )
        check_confidence(self.confidence)
        if self.bound_runs and self.bound_runs < _FEWEST_SETS:
            raise ValueError(
                f"a bound takes {_FEWEST_SETS} runs of random sets at the very least, "
                f"got bound_runs={self.bound_runs}: give more, or 0 for no bound"
            )
        if not 0 < self.share < 1:
            raise ValueError(f"share is between 0 and 1, got {self.share}")
