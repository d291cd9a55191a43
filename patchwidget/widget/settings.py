"""What is looked at, and how: traits that the page owns, and Python may set too.

What does not exist in the study is refused where it is set, and on screen. Setting
`method`, `direction` or `selection` starts work: see `PatchWidget`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

import traitlets

from patchwidget.widget import messages
from patchwidget.widget.page import Page
from patchwidget.widget.side import Side

KERNEL_OWNED = (
    "study",
    "grids",
    "mine",
    "verified",
    "report",
    "circuit",
    "question",
    "job",
)
_REFUSED = (TypeError, ValueError, IndexError)


def _view_owned(trait: Any) -> Any:
    return trait.tag(sync=True, echo_update=False)


_T = TypeVar("_T")


def _checks(name: str) -> Callable[[Callable[[Any, _T], _T]], Any]:
    """A trait's check; what a closed widget is set to matters to nobody."""

    def validator(check: Callable[[Any, _T], _T]) -> Any:
        @wraps(check)
        def checked(self: Settings, proposal: dict[str, Any]) -> Any:
            value = proposal["value"]
            return value if self._is_closed else check(self, value)

        return traitlets.validate(name)(checked)

    return validator


class Settings(Page):
    """The traits of the page, checked against a study."""

    # Nodes are taken too; the validator makes names of them.
    selection: traitlets.List[Any] = _view_owned(traitlets.List())
    shown = _view_owned(
        traitlets.Enum(
            ("estimate", "exact", "known", "miss", "mine", "mine_miss"), "estimate"
        )
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
    # What is opened asks for more estimates: these are closed at first.
    folds: traitlets.List[str] = _view_owned(
        traitlets.List(traitlets.Unicode(), ["row", "neurons", "circuit"])
    )
    wide = _view_owned(traitlets.Bool(default_value=False))

    _side: Side
    _is_closed = False

    def _side_wanted(self) -> Side:
        """The study in the direction that is set, which may not be on show yet."""
        raise NotImplementedError

    @contextmanager
    def _visibly(self) -> Iterator[None]:
        """What is refused inside is shown on screen, too."""
        try:
            yield
        except _REFUSED as error:
            self._jobs.refuse(error)
            raise

    @_checks("selection")
    def _check_selection(self, given: Sequence[Any]) -> Sequence[str]:
        """Names as the kernel writes them, each once."""
        with self._visibly():
            nodes = self._side.study.nodes(given)
        return list(dict.fromkeys(map(str, nodes)))

    @traitlets.default("method")
    def _first_method(self) -> str:
        """AtP, unless a study that was loaded without its model has none."""
        return next(iter(self._side.estimates.methods), "atp")

    @_checks("method")
    def _check_method(self, name: str) -> str:
        offered = list(self._side_wanted().estimates.methods)
        with self._visibly():
            if name not in offered:
                raise ValueError(
                    f"there is no method {name!r} for this model: choose one of "
                    f"{', '.join(offered)}"
                )
        return name

    @_checks("direction")
    def _check_direction(self, name: str) -> str:
        offered = self._side.study.directions
        with self._visibly():
            if name not in offered:
                only = " (an ablation has only this one)" if len(offered) == 1 else ""
                raise ValueError(
                    f"there is no direction {name!r} for this study: choose "
                    f"{' or '.join(offered)}{only}"
                )
        return name

    @_checks("kind")
    def _check_kind(self, given: str) -> str:
        with self._visibly():
            return self._side.shown_kind(given)

    @_checks("names")
    def _check_names(self, given: dict[str, str]) -> dict[str, str]:
        """Heads as the kernel writes them: `L9H9`."""
        with self._visibly():
            nodes = self._side.study.nodes(given.keys())
            for node in nodes:
                if node.head is None:
                    raise ValueError(f"{node} is no head that could be given a name")
        heads = [f"L{node.layer}H{node.head}" for node in nodes]
        return dict(zip(heads, given.values(), strict=True))

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take what the page set; what cannot be is shown as refused, and taken back.

        Raising would leave the bad value where it is: it is checked before it is set.
        """
        fine = {}
        for name, value in sync_data.items():
            if name not in (*VIEW_OWNED, *_COUNTED):
                problem = f"{messages.short(name)} is not for a page to set"
                self._report_once(problem)
            elif self._can_be(name, value):
                fine[name] = value
            else:
                self.send_state(name)
        super().set_state(fine)

    def _can_be(self, name: str, value: Any) -> bool:
        """Whether a view-owned trait can have a value; if not, the page is told why."""
        try:
            self.traits()[name]._validate(self, value)  # noqa: SLF001 - the only way not to set it
        except traitlets.TraitError as error:
            self._jobs.refuse(error)
            return False
        except (TypeError, ValueError, IndexError):
            return False  # the check itself has shown it
        return True


VIEW_OWNED = tuple(Settings.class_own_traits(sync=True))
_COUNTED = ("_view_count",)  # how many views there are
