"""The part of `PatchStudy` that is saved and loaded."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast, overload

from patchwidget.metrics import MetricLike
from patchwidget.pairs import Pairs
from patchwidget.runs import computing
from patchwidget.saving.ablations import made_source, saved_source
from patchwidget.saving.contents import Contents, SavedSource
from patchwidget.saving.files import read_contents, write_contents
from patchwidget.saving.gather import Heads, Live, gather, put_back
from patchwidget.saving.models import difference, model_name
from patchwidget.saving.saved import SavedStudy
from patchwidget.sources import Source

if TYPE_CHECKING:  # Python's own since 3.11
    from typing_extensions import Self

Metrics = MetricLike | Mapping[str, MetricLike]
_File = str | os.PathLike[str]


class Saving:
    """The part of `PatchStudy` that is saved and loaded."""

    model: Any
    _source: Source | None = None

    @property
    def model_name(self) -> str:
        """What the model is called."""
        return model_name(self.model)

    @property
    def source(self) -> SavedSource | None:
        """The ablation as a file remembers it; None where values are the prompts'."""
        source = self._source
        return None if source is None else saved_source(source, self.model)

    def save(self: Live, path: _File, *, attention: Heads = ()) -> None:
        """Save what is known to one file, in safetensors with a JSON record.

        Saved are the estimates asked for so far (the newest 256 MiB of them), every exact
        effect, the same of `reversed()` if that was used, prompts, settings and
        provenance; not the model, nor functions and classes of your own. The file is
        replaced as a whole: what interrupts saving leaves the old one as it was.

        Args:
            path: of the file.
            attention: heads whose attention patterns are saved too.

        Raises:
            OSError: if the file cannot be written.
            ValueError: if a node is not part of a head, or the prompts' texts are too
                many for one file.
            IndexError: if there is no such head.
        """
        write_contents(path, gather(self, attention))

    @overload
    @classmethod
    def load(cls, path: _File, model: None = None) -> SavedStudy: ...

    @overload
    @classmethod
    def load(
        cls,
        path: _File,
        model: Any,
        *,
        metric: Metrics | None = None,
        source: Source | None = None,
        budget: int | None = None,
    ) -> Self: ...

    @classmethod
    def load(
        cls,
        path: _File,
        model: Any = None,
        *,
        metric: Metrics | None = None,
        source: Source | None = None,
        budget: int | None = None,
    ) -> Self | SavedStudy:
        """A study from a file: to look at, or with its model to go on.

        Args:
            path: of a file that `save` has written.
            model: the same model, to go on; None to look at what was saved.
            metric: functions of your own, which are not saved: the one, or all by name.
            source: an ablation's source of your own class, which is not saved.
            budget: see `PatchStudy`.

        Returns:
            Without a model a `SavedStudy`; with it a `PatchStudy` that knows all that
            was saved.

        Raises:
            SavedFileError: if the file is no saved study, damaged, or of another format.
            OSError: if it cannot be read.
            ValueError: if the model, or what its runs give, is another one than was
                saved; if a metric or source is needed, or given and not needed.
        """
        with computing():
            contents = read_contents(path)
        if model is None:
            _refuse_given({"metric": metric, "source": source, "budget": budget})
            return SavedStudy(contents, cls)
        found = difference(contents.model, model)
        if found is not None:
            raise ValueError(
                f"{os.fspath(path)} is of another model than the one given: {found}. Give "
                "the model it was saved with, or PatchStudy.load(path) to look at it"
            )
        make: Callable[..., Self] = cls  # arguments are a `PatchStudy`'s
        study = make(
            model,
            _pairs(contents),
            metric=_metrics(contents.metrics, metric),
            direction=contents.sides[0].direction,
            source=_source(contents, source),
            budget=budget,
        )
        try:
            put_back(cast("Live", study), contents)
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)} does not fit: {error}") from None
        return study


def _refuse_given(given: Mapping[str, object]) -> None:
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"{name} is of no use without the model: "
                f"PatchStudy.load(path, model=model, {name}=...)"
            )


def _pairs(contents: Contents) -> Pairs:
    saved = contents.pairs
    return Pairs(
        saved.clean,
        saved.corrupted,
        answers=saved.answers,
        labels=saved.labels,
        position=saved.position,
    )


def _metrics(
    saved: Mapping[str, str | None], given: Metrics | None
) -> dict[str, MetricLike]:
    """Built-in metrics by what they were, one's own as they are given again."""
    own = [name for name, means in saved.items() if means is None]
    if given is not None and not isinstance(given, Mapping):
        given = {own[0] if len(own) == 1 else "metric": given}
    again = dict(given or {})
    unknown = [name for name in again if name not in own]
    if unknown:
        needed = f"only {', '.join(own)}" if own else "none"
        raise ValueError(
            f"metric {unknown[0]!r} is given again, and {needed} is needed"
        )
    missing = [name for name in own if name not in again]
    if missing:
        raise ValueError(
            f"metric {missing[0]!r} is a function of your own, which is not saved: give it "
            f"again, PatchStudy.load(path, model=model, metric={{{missing[0]!r}: function}})"
        )
    return {
        name: again[name] if means is None else means for name, means in saved.items()
    }


def _source(contents: Contents, given: Source | None) -> Source | None:
    saved = contents.source
    if given is not None and (saved is None or not saved.is_own):
        raise ValueError("a source is given again, and none of your own was saved")
    if given is not None or saved is None:
        return given
    return made_source(saved)
