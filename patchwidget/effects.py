"""Exact effects of chosen nodes, one by one or patched together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from patchwidget.grids import Scale
from patchwidget.nodes import Node


@dataclass(frozen=True, eq=False)
class Effect:
    """The exact effect of one patched run.

    Attributes:
        patch: the nodes that were patched in it, one as a rule; none where paths were cut.
        raw: change of the metric for each pair `[B]`, in the metric's units.
        scale: what an effect is a fraction of; None where effects are the raw changes.
        halves: for a logit difference the rise of the right answer's logit and the fall
            of the wrong one's, `[B]` each, in logits: their sum is `raw`.
    """

    patch: tuple[Node, ...]
    raw: Tensor
    scale: Scale | None
    halves: tuple[Tensor, Tensor] | None = None

    @property
    def node(self) -> Node:
        """The one node that was patched.

        Raises:
            ValueError: if there were several.
        """
        if len(self.patch) != 1:
            raise ValueError(f"{len(self.patch)} nodes were patched together, not one")
        return self.patch[0]

    @property
    def per_pair(self) -> Tensor:
        """Effect on each pair `[B]`."""
        return self.raw if self.scale is None else self.scale.normalise(self.raw)

    def shown(self, raw: Tensor) -> Tensor:
        """Raw changes in the units in which this effect is shown."""
        return raw if self.scale is None else self.scale.shown(raw)

    @property
    def value(self) -> float:
        """Mean effect over the pairs."""
        return float(self.per_pair.mean())

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        patched = " + ".join(map(str, self.patch)) or "paths cut"
        return f"{patched}: {self._value_text()}"

    def _value_text(self) -> str:
        if self.scale is None or self.scale.value is None:
            return f"raw {float(self.raw.mean()):+.4g}"
        return f"effect {self.value:+.4f}"


class Effects(Mapping[Node, Effect]):
    """The exact effects of chosen nodes, in the order in which they were asked for.

    Args:
        effects: by node; nobody changes them any more.
        labels: names of positions.
    """

    def __init__(
        self, effects: Mapping[Node, Effect], labels: Mapping[str, int] | None = None
    ) -> None:
        self._effects = effects
        self._labels = dict(labels or {})

    def __getitem__(self, node: Node | str) -> Effect:
        """An effect by its node or the node's name."""
        if isinstance(node, str):
            try:
                node = Node.parse(node, self._labels)
            except ValueError as error:
                raise KeyError(str(error)) from None
        return self._effects[node]

    def __contains__(self, node: object) -> bool:
        if isinstance(node, str):
            return super().__contains__(node)
        return node in self._effects

    def __iter__(self) -> Iterator[Node]:
        return iter(self._effects)

    def __len__(self) -> int:
        return len(self._effects)

    def __repr__(self) -> str:
        return "\n".join(map(repr, self._effects.values())) or "no effects"


@dataclass(frozen=True, eq=False)
class Joint:
    """The exact effect of several nodes patched in one run, beside their single effects.

    A later node is replaced in the run that the earlier ones changed already.

    Attributes:
        effect: of all of them together.
        singles: of each alone.

    Example:
        >>> from patchwidget import Head, PatchStudy, demo
        >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
        >>> joint = study.joint([Head(2, 0), Head(2, 1)])
        >>> abs(joint.value - joint.sum - joint.interaction) < 1e-6
        True
    """

    effect: Effect
    singles: Effects

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes that were patched together."""
        return self.effect.patch

    @property
    def value(self) -> float:
        """Mean effect of the joint patch over the pairs."""
        return self.effect.value

    @property
    def sum(self) -> float:
        """Sum of the single effects."""
        return float(sum(effect.value for effect in self.singles.values()))

    @property
    def interaction(self) -> float:
        """What the nodes do together beyond the sum of what each does alone."""
        return self.value - self.sum

    def __repr__(self) -> str:
        return f"{self.effect}, sum of singles {self.sum:+.4f}"
