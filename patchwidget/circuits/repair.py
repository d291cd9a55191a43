"""What later heads do about a patched node, as numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from patchwidget.effects import Effect
from patchwidget.exact import Patch
from patchwidget.grids import Grid
from patchwidget.nodes import Node

# What a head does counts from a twentieth of the damage on.
COUNTS = 0.05
BACKUP = "backup"
NEGATIVE = "negative head"


@dataclass(frozen=True)
class Response:
    """How one later head changes what it writes.

    Attributes:
        head: which.
        change: of its direct effect, in the units of effects, mean over the pairs.
        before: its direct effect in the base run, in the metric's units.
        role: `"backup"` if it writes more of what it wrote, or wrote nothing of it before;
            `"negative head"` if it wrote the opposite and now writes less of that.
    """

    head: Node
    change: float
    before: float
    role: str

    def __repr__(self) -> str:
        return f"{self.head}: {self.change:+.4f}, {self.role}"


@dataclass(frozen=True, eq=False)
class Repair:
    """Changes of direct effects in the run in which nodes are patched.

    A head's direct effect is what its write does to the metric through the end of the
    model alone; see `circuits.direct` for the final norm. For a logit difference (where no
    soft cap bends the logits) the whole `effect` is the sum of `own`, all of `heads`, all
    of `mlps`, and `norm`; for other metrics nearly so where changes are small.

    Attributes:
        patch: the nodes.
        heads: change of every later head's direct effect, [layer, head]; NaN for heads
            that come before the patched nodes, or are them.
        before: direct effect of every head in the base run, in the metric's units: the
            metric minus that without the head's write (zero in its place, biases left).
        mlps: change of each MLP's direct effect, `[B, layer]`, in the metric's units; NaN
            before the patched nodes, and where the MLP is itself patched.
        own: direct effect of the nodes' own writes.
        norm: what the final norm's scale does about all of it.
        effect: of the patch as a whole.

    Example:
        >>> from patchwidget import PatchStudy, demo, sources
        >>> pairs = demo.ioi_pairs()
        >>> study = PatchStudy(demo.load_model(), pairs, direction="noising")
        >>> found = study.self_repair("L3H1")
        >>> found.heads.values.shape
        torch.Size([5, 8])
        >>> later = found.heads.raw.nansum((1, 2)) + found.mlps.nansum(1)
        >>> parts = found.own.raw + later + found.norm.raw
        >>> bool((parts - found.effect.raw).abs().max() < 1e-3)
        True
    """

    patch: Patch
    heads: Grid
    before: Grid
    mlps: Tensor
    own: Effect
    norm: Effect
    effect: Effect

    @property
    def undone(self) -> float:
        """The share of the nodes' own effect that is undone: 1 - effect / own.

        0 where what comes later does nothing, 1 where all is repaired, above 1 where more
        than all, below 0 where the damage grows. NaN if the nodes have none of their own.
        """
        own = float(self.own.raw.mean())
        return float("nan") if own == 0 else 1 - float(self.effect.raw.mean()) / own

    @property
    def damage(self) -> float:
        """What there is to be repaired, in the metric's units.

        The nodes' own direct effect, or the effect of the whole patch where that is
        larger: nodes that work through later ones have next to none of their own.
        """
        own, effect = (float(one.raw.mean()) for one in (self.own, self.effect))
        return own if abs(own) >= abs(effect) else effect

    def against(self, k: int = 5) -> list[Response]:
        """The later heads that undo `COUNTS` of the `damage` or more, largest first.

        Args:
            k: how many at most.
        """
        shown, moved, before = (
            values.mean(0)
            for values in (self.heads.shown, self.heads.raw, self.before.raw)
        )
        found = []
        for node in self.heads.nodes():
            change, size = float(shown[node.cell]), float(moved[node.cell])
            if size * self.damage < -COUNTS * self.damage**2:
                was = float(before[node.cell])
                found.append(Response(node, change, was, _role(was, size)))
        found.sort(key=lambda one: -abs(one.change))
        return found[: max(k, 0)]

    def __repr__(self) -> str:
        names = " + ".join(map(str, self.patch[:4])) + (
            " + ..." * (len(self.patch) > 4)
        )
        head = (
            f"{names}: own direct effect {_shown(self.own):+.4f}, effect "
            f"{_shown(self.effect):+.4f}, norm's scale {_shown(self.norm):+.4f}"
        )
        return "\n".join([head, *map(repr, self.against())])


def _role(before: float, moved: float) -> str:
    """What a head does that moves against the damage."""
    lets_go = before * moved < 0 and abs(before + moved) < abs(before)
    return NEGATIVE if lets_go else BACKUP


def _shown(effect: Effect) -> float:
    return float(effect.shown(effect.raw).mean())
