"""A person's own tensors as a layer beside estimates and exact effects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import traitlets

from patchwidget.widget import wire
from patchwidget.widget.mine import fitted
from patchwidget.widget.side import Side


class Comparing(traitlets.HasTraits):
    """What was computed by hand, in the direction that is set."""

    mine = traitlets.Dict(read_only=True).tag(sync=True)

    _side: Side
    _is_open: bool

    def _side_wanted(self) -> Side:
        raise NotImplementedError

    def compare(self, mine: Any, kind: str, *, raw: bool = False) -> None:
        """Show a tensor of your own beside the estimates and the exact effects of a kind.

        `shown = "mine"` draws it; `"mine_miss"` its difference, with its sign, from the
        exact effect where that is known and from the estimate elsewhere. It is copied:
        what becomes of your tensor later does not change the picture. It belongs to the
        direction that is set now.

        Args:
            mine: torch tensor or numpy array, `[layer, pos]` or `[layer, head]` as the
                kind's map: means over the pairs. NaN cells have no value. None takes
                away what was given before.
            kind: a kind that has a map; TransformerLens' hook names are accepted.
            raw: False if 0 is the base run and 1 the source run, as in the maps
                (denoising: 0 as corrupted, 1 as clean); True if it is the metric of the
                patched runs itself, which is then put on that scale.

        Raises:
            TypeError: if it holds no real numbers.
            ValueError: if its shape is another, with the likely reason; if a value is
                infinite; if there is no map of the kind.
            RuntimeError: if the widget is closed.

        Example:
            >>> from patchwidget import PatchStudy, PatchWidget, demo
            >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
            >>> widget = PatchWidget(study)
            >>> widget.compare(study.exact("z").values, "z")
            >>> widget.shown = "mine_miss"
        """
        if not self._is_open:
            raise RuntimeError("this widget is closed: make a new PatchWidget(study)")
        self._put(mine, kind, raw=raw)
        side = self._side_wanted()
        if side is self._side:  # another one is shown with all that it has, soon
            self.set_trait("mine", wire.mine_records(side.mine))

    def _take_mine(self, mine: Mapping[str, Any]) -> None:
        """Tensors by kind, before anything is shown."""
        if not isinstance(mine, Mapping):
            raise TypeError(
                f"mine is a dict of tensors by kind, got {type(mine).__name__}: "
                "mine={'resid_pre': tensor}"
            )
        for kind, one in mine.items():
            self._put(one, kind)

    def _put(self, mine: Any, kind: str, *, raw: bool = False) -> None:
        side = self._side_wanted()
        name = side.shown_kind(kind)
        if not name:
            raise ValueError("name the kind it is about: compare(mine, 'resid_pre')")
        if mine is None:
            side.mine.pop(name, None)
        else:
            side.mine[name] = fitted(mine, name, side.study, raw=raw)
