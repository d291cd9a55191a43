"""What is looked at, and how: traits that the page owns, and Python may set too.

What does not exist in the study is refused where it is set, and on screen. Setting
`method`, `direction` or `selection` starts work: see `PatchWidget`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import traitlets

from patchwidget.widget.jobs import Jobs
from patchwidget.widget.side import Side

_Proposal = dict[str, Any]
_REFUSED = (TypeError, ValueError, IndexError)


def _view_owned(trait: Any) -> Any:
    return trait.tag(sync=True, echo_update=False)


class Settings(traitlets.HasTraits):
    """The traits of the page, checked against a study."""

    # Nodes are taken too; the validator makes names of them.
    selection: traitlets.List[Any] = _view_owned(traitlets.List())
    shown = _view_owned(
        traitlets.Enum(("estimate", "exact", "known", "miss"), "estimate")
    )
    # One pair at first: patterns of pairs that are each other's corruption cancel in the
    # mean. -1 is the mean.
    pair = _view_owned(traitlets.Int(0))
    method = _view_owned(traitlets.Unicode("atp"))
    direction = _view_owned(traitlets.Unicode("denoising"))
    kind = _view_owned(traitlets.Unicode(""))
    names: traitlets.Dict[str, str] = _view_owned(
        traitlets.Dict(key_trait=traitlets.Unicode(), value_trait=traitlets.Unicode())
    )
    # What is opened asks for more estimates: these two are closed at first.
    folds: traitlets.List[str] = _view_owned(
        traitlets.List(traitlets.Unicode(), ["row", "neurons"])
    )
    wide = _view_owned(traitlets.Bool(default_value=False))

    _side: Side
    _jobs: Jobs

    @contextmanager
    def _visibly(self) -> Iterator[None]:
        """What is refused inside is shown on screen, too."""
        try:
            yield
        except _REFUSED as error:
            self._jobs.refuse(error)
            raise

    @traitlets.validate("selection")
    def _check_selection(self, proposal: _Proposal) -> list[str]:
        """Names as the kernel writes them, each once."""
        with self._visibly():
            nodes = self._side.study.nodes(proposal["value"])
        return list(dict.fromkeys(map(str, nodes)))

    @traitlets.validate("method")
    def _check_method(self, proposal: _Proposal) -> str:
        name = str(proposal["value"])
        offered = list(self._side.estimates.methods)
        with self._visibly():
            if name not in offered:
                raise ValueError(
                    f"there is no method {name!r} for this model: choose one of "
                    f"{', '.join(offered)}"
                )
        return name

    @traitlets.validate("direction")
    def _check_direction(self, proposal: _Proposal) -> str:
        name, offered = str(proposal["value"]), self._side.study.directions
        with self._visibly():
            if name not in offered:
                only = " (an ablation has only this one)" if len(offered) == 1 else ""
                raise ValueError(
                    f"there is no direction {name!r} for this study: choose "
                    f"{' or '.join(offered)}{only}"
                )
        return name

    @traitlets.validate("kind")
    def _check_kind(self, proposal: _Proposal) -> str:
        with self._visibly():
            return self._side.shown_kind(proposal["value"])

    @traitlets.validate("names")
    def _check_names(self, proposal: _Proposal) -> dict[str, str]:
        """Heads as the kernel writes them: `L9H9`."""
        with self._visibly():
            nodes = self._side.study.nodes(proposal["value"].keys())
            for node in nodes:
                if node.head is None:
                    raise ValueError(f"{node} is no head that could be given a name")
        heads = [f"L{node.layer}H{node.head}" for node in nodes]
        return dict(zip(heads, proposal["value"].values(), strict=True))


VIEW_OWNED = tuple(Settings.class_trait_names(sync=True))
