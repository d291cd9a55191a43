"""A widget for those who have no kernel: as a page, as a picture, in words."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import traitlets

from patchwidget.nodes import Node
from patchwidget.widget.board import Board
from patchwidget.widget.export import Snapshot, document, write_whole
from patchwidget.widget.jobs import Job
from patchwidget.widget.kept import Heads, heads_of, kept, pairs_kept
from patchwidget.widget.settings import KERNEL_OWNED, VIEW_OWNED
from patchwidget.widget.summary import facts, model_name, prompts, summary
from patchwidget.widget.thumbnail import thumbnail

SNAPSHOT_HEIGHT_PX = 900
_MISSING = (
    "All views work on what was known then. There is no kernel behind this page: nodes "
    "and paths that were not run stay so, and other methods, the other direction, verifying, "
    "checking what is picked, neurons, the reasons for a miss and CircuitsVis need the "
    "notebook."
)


class Sharing(traitlets.HasTraits):
    """Ways to show a widget without its kernel."""

    _board: Board
    # The widget's own traits.
    study: Any
    method: Any
    verified: Any

    def to_html(
        self,
        path: str | os.PathLike[str],
        attention: Iterable[Node | str] | None = None,
    ) -> Path:
        """Write what is shown as one HTML file that needs no kernel and no network.

        All views are in it, and work. Of the study it holds what this widget has on show,
        never the model.

        Args:
            path: of the file. One that is there is replaced once the new one is whole.
            attention: heads whose attention and effects by position go along; those of
                the picks if not given. Of many long prompts, only the pair on show and
                the mean are kept.

        Raises:
            ValueError, IndexError: if there is no such node.
            OSError: if it cannot be written.
        """
        return write_whole(path, self._page(attention)[0])

    def snapshot(
        self,
        attention: Iterable[Node | str] | None = None,
        *,
        height: int = SNAPSHOT_HEIGHT_PX,
    ) -> Snapshot:
        """The page of `to_html` as an output, which stays in a notebook that is saved.

        Args:
            attention: see `to_html`.
            height: of its frame, in CSS pixels.

        Raises:
            ValueError, IndexError: if there is no such node.
        """
        return Snapshot(*self._page(attention), height)

    def _page(self, attention: Iterable[Node | str] | None) -> tuple[str, str]:
        """The page, and a caption of one line."""
        study = self._board.side.study
        wanted = self.trait_values()["selection"] if attention is None else attention
        heads = heads_of(self._board, study.nodes(wanted))
        shown = self.trait_values()["pair"]
        pairs = pairs_kept(self._board, heads, shown)
        answers = kept(self._board, heads, pairs)
        traits = self._traits_on_show()
        made = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
        about = facts(traits["study"])
        caption = f"patchwidget, saved {made}: {about}"
        origin = f"Saved from patchwidget {version('patchwidget')} on {made}"
        is_all = len(pairs) > len(study.pairs.text)
        notes = (
            f"{origin}: {about}; {prompts(traits['study'])}.",
            f"{_MISSING} {_inside(heads, pairs, is_all=is_all)}",
        )
        return document(caption, notes, traits, answers), caption

    def _traits_on_show(self) -> dict[str, Any]:
        """The state, as far as it is computed: what is on its way is left out."""
        values = self.trait_values()
        traits = {name: values[name] for name in (*KERNEL_OWNED, *VIEW_OWNED)}
        side, method = self._board.side, self._board.method
        traits |= {"method": method, "direction": side.study.direction}
        traits |= {"job": asdict(Job())}
        return traits | {
            "study": traits["study"] | {"model": model_name(traits["study"])}
        }

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The live view; the picture for a saved notebook that has no kernel."""
        found = super()._repr_mimebundle_(**kwargs)  # type: ignore[misc]  # ipywidgets'
        data = found[0] if isinstance(found, tuple) else found
        if data is not None:
            values = self.trait_values()
            of_study = (values[name] for name in ("grids", "verified", "shown", "mine"))
            picture = thumbnail(*of_study)
            data["text/plain"] = repr(self)
            data["image/png"] = b64encode(picture).decode()
        return found

    def __repr__(self) -> str:
        if not self.study:
            return "PatchWidget: nothing to show yet"
        is_open = hasattr(self, "_board")
        method = self._board.method if is_open else self.method
        return summary(self.study, method, self.verified)


def _inside(heads: Heads, pairs: list[int], *, is_all: bool) -> str:
    if not heads:
        return "No attention is inside: no head was picked or named."
    names = ", ".join(f"L{layer}H{head}" for layer, head in heads)
    some = [
        "the mean of all pairs",
        *(f"pair {pair + 1}" for pair in pairs if pair >= 0),
    ]
    of = "all pairs" if is_all else " and ".join(some)
    return f"Inside are effects by position of {names}, and their attention in {of}."
