"""Why an estimate may be off: causes that the numbers are consistent with.

None of these is proof: several may hold at once, and a miss may have none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, cast

import torch

from patchwidget.decoder import Decoder, blocks
from patchwidget.estimate import SLICES, hvp_slices
from patchwidget.nodes import Node
from patchwidget.runs import Runs, computed
from patchwidget.slices import Slices
from patchwidget.verify.agreement import Check
from patchwidget.verify.self_repair import self_repair_slices

# A weight is near 0 or 1 if it lies this close to it.
SATURATED_WITHIN = 0.1
# The softmax is part of the miss if going through it takes away this share at least:
# what is left may have other causes, further on.
SOFTMAX_TAKES = 1 / 3
# GradDrop is far larger than the estimate from this ratio on.
FAR_LARGER = 3.0
# The second order is no small correction from this share of the first on.
CURVED = 0.5
# Later heads repair if they take back this share of the node's own direct effect; and
# where that is less than this share of the whole effect, the node acts through them.
REPAIRED = 0.25
DIRECT = 0.5


@dataclass(frozen=True)
class Cause:
    """One possible cause of a miss.

    Attributes:
        name: what it is called.
        consistent: whether the numbers are consistent with it.
        words: the numbers in a sentence.
        evidence: the numbers by name; None where one is not defined.
    """

    name: str
    consistent: bool
    words: str
    evidence: dict[str, float | None]


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What may explain a node's miss.

    Attributes:
        check: the estimate and the exact effect.
        causes: each that could be looked at, with its evidence.
        not_looked_at: by name, why the others could not be.

    Example:
        >>> from patchwidget import PatchStudy, demo
        >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
        >>> [cause.name for cause in study.diagnose("L1H0.q@S2").consistent_with]
        ['attention saturation', 'curvature']
    """

    check: Check
    causes: tuple[Cause, ...]
    not_looked_at: dict[str, str] = field(default_factory=dict)

    @property
    def consistent_with(self) -> list[Cause]:
        """The causes that the numbers are consistent with."""
        return [cause for cause in self.causes if cause.consistent]

    def __getitem__(self, name: str) -> Cause:
        """A cause by its name: `diagnosis["curvature"].evidence["ratio"]`.

        Raises:
            KeyError: if it was not looked at, with the reason.
        """
        for cause in self.causes:
            if cause.name == name:
                return cause
        why = self.not_looked_at.get(name)
        known = ", ".join(cause.name for cause in self.causes) or "none"
        raise KeyError(
            f"{name}: not looked at, {why}"
            if why
            else f"{name!r} is no cause of {self.check.node}: looked at were {known}"
        )

    def __repr__(self) -> str:
        lines = [repr(self.check)]
        for cause in self.causes:
            verb = "consistent with" if cause.consistent else "no sign of"
            lines.append(f"{verb} {cause.name}: {cause.words}")
        lines += [
            f"{name}: not looked at, {why}" for name, why in self.not_looked_at.items()
        ]
        return "\n".join(lines)


def diagnosing(runs: Runs, check: Check) -> Generator[Diagnosis, None, None]:
    """Look for the known causes of a miss, and give what is known so far.

    It is given once after each cause, and as it was after each slice of the work: at most
    about one layer of one batch.

    Args:
        runs: the captured runs.
        check: a node's estimate and exact effect on them.
    """
    causes: list[Cause] = []
    missing: dict[str, str] = {}
    for name, look in _asked_of(check.node):
        looking = computed(look(runs, check))
        with closing(looking):
            while True:
                try:
                    next(looking)
                except StopIteration as end:
                    causes.append(end.value)
                    break
                except (
                    ValueError,
                    TypeError,
                ) as error:  # a method is not defined for it
                    missing[name] = str(error)
                    break
                yield Diagnosis(check, tuple(causes), dict(missing))
        yield Diagnosis(check, tuple(causes), dict(missing))


def _asked_of(
    node: Node,
) -> Iterator[tuple[str, Callable[[Runs, Check], Slices[Cause]]]]:
    """The causes that a node of this kind can have."""
    if node.kind in ("q", "k"):
        yield "attention saturation", _saturation
    yield "cancellation", _cancellation
    yield "curvature", _curvature
    if node.kind.startswith("resid_") or (node.kind, node.layer) == ("mlp_out", 0):
        yield "a patch of many features", _many_features
    yield "self-repair", _self_repair


def _saturation(runs: Runs, check: Check) -> Slices[Cause]:
    fixed = yield from _estimate(runs, "atp_qk", check.node)
    before, after, room = _moved_weight(runs, check.node)
    left = abs(check.exact - fixed)
    taken = 1 - left / check.miss if check.miss else 0.0
    return Cause(
        "attention saturation",
        room <= SATURATED_WITHIN and taken >= SOFTMAX_TAKES,
        f"the weight that moves most goes from {before:.3f} to {after:.3f}; the estimate "
        f"is {check.estimate:+.4f}, through the softmax {fixed:+.4f}, exact "
        f"{check.exact:+.4f}: {max(taken, 0.0):.0%} of the miss",
        {
            "weight_before": before,
            "weight_after": after,
            "room": room,
            "atp_qk": fixed,
            "taken": taken,
        },
    )


def _moved_weight(runs: Runs, node: Node) -> tuple[float, float, float]:
    """Where the pattern changes most: its weight before, after, and away from 0 or 1.

    Means over the pairs, each of which has its own place.
    """
    base = runs.base.values
    attn = cast("Decoder", runs.engine).weights.layers[node.layer].attn
    heads = {site: base[site, node.layer].clone() for site in ("q", "k")}
    heads[node.kind][node.index] = runs.source.values[node.kind, node.layer][node.index]
    before = base["pattern", node.layer].flatten(1)
    after = blocks.attend(attn, heads["q"], heads["k"]).flatten(1)
    most = (after - before).abs().argmax(1, keepdim=True)
    old, new = before.gather(1, most), after.gather(1, most)
    room = torch.minimum(old, 1 - old)
    return float(old.mean()), float(new.mean()), float(room.mean())


def _cancellation(runs: Runs, check: Check) -> Slices[Cause]:
    plain = yield from _estimate(runs, "atp", check.node, sizes=True)
    dropped = yield from _estimate(runs, "graddrop", check.node)
    is_larger = dropped > 0 and dropped >= FAR_LARGER * plain
    too_small = abs(check.estimate) < abs(check.exact)
    return Cause(
        "cancellation",
        is_larger and too_small,
        f"with layers cut one at a time the estimate's size is {dropped:.4f}, against "
        f"{plain:.4f} uncut and {abs(check.exact):.4f} exact",
        {"graddrop": dropped, "atp": plain},
    )


def _curvature(runs: Runs, check: Check) -> Slices[Cause]:
    node = check.node
    plain = yield from SLICES["atp"](runs, node.kind, node.by)
    found = (yield from hvp_slices(runs, plain, [node]))[node]
    first, second = (float(part.abs().mean()) for part in (found.first, found.second))
    ratio = second / first if first else None
    raw = found.raw if found.scale is None else found.scale.shown(found.raw)
    corrected = float(raw.mean())
    shown = "infinite" if ratio is None else f"{ratio:.2f}"
    return Cause(
        "curvature",
        second > 0 and second >= CURVED * first,
        f"the second order is {shown} times the first; with it the estimate is "
        f"{corrected:+.4f}, exact {check.exact:+.4f}",
        {"ratio": ratio if second else 0.0, "second_order": corrected},
    )


def _many_features(runs: Runs, check: Check) -> Slices[Cause]:
    yield from ()
    place, index = (check.node.kind, check.node.layer), check.node.index
    base, source = (run.values[place][index] for run in (runs.base, runs.source))
    length = float(base.norm())
    share = float((source - base).norm()) / length if length else None
    shown = "a vector of 0" if share is None else f"by {share:.0%} of its length"
    return Cause(
        "a patch of many features",
        consistent=True,
        words=f"{check.node} carries all that the model holds there, and moves {shown}",
        evidence={"relative_change": share},
    )


def _self_repair(runs: Runs, check: Check) -> Slices[Cause]:
    found = yield from self_repair_slices(runs, check.node)
    is_direct = found.own != 0 and abs(found.own) >= DIRECT * abs(check.exact)
    worst = sorted(found.heads.items(), key=lambda one: one[1] * found.own)[:3]
    shown = ", ".join(
        f"L{layer}H{head} {effect:+.4f}"
        for (layer, head), effect in worst
        if effect * found.own < 0
    )
    return Cause(
        "self-repair",
        is_direct and abs(found.against) >= REPAIRED * abs(found.own),
        f"its own direct effect is {found.own:+.4f}, later heads move {found.against:+.4f} "
        f"against it ({shown or 'none'})",
        {"direct": found.own, "against": found.against},
    )


def _estimate(
    runs: Runs, method: str, node: Node, *, sizes: bool = False
) -> Slices[float]:
    """A method's value of one node, the mean over pairs of it or of its size."""
    shown = (yield from SLICES[method](runs, node.kind, node.by)).shown
    cell: tuple[Any, ...] = (slice(None), *node.cell)
    return float((shown.abs() if sizes else shown)[cell].mean())
