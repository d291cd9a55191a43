"""What is to be computed in runs of circuits of paths that are made together.

Most of two circuits is alike: where a head reads the same in both it writes the same. So
all that a head or an MLP writes in any of these runs is a *state*, one for each set of
inputs that it reads, and is computed once for all of them; what the runs of another plan
have computed is not kept. An input is known by the states that are added to the ablated
stream. Who reads nothing else than the ablated run has no state where that is a run of
tokens: it writes what it writes there. All this is known before anything is run, and so is
the price.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from patchwidget.circuits.wiring import Cut, Mask, Wiring

STILL = -1  # the state of who writes what is written in the ablated run
_EMPTY = b""
States = NDArray[np.int64]


@dataclass(frozen=True)
class Sums:
    """Inputs that are sums of some of the same states.

    Attributes:
        states: the states' numbers `[m]`.
        added: which of them make each input, `[u, m, 1 or positions]`.
    """

    states: States
    added: Mask


@dataclass
class Inputs:
    """The different inputs at one place of the stream.

    Attributes:
        sums: how they are made, in the order of their numbers.
    """

    sums: list[Sums] = field(default_factory=list)
    _numbers: dict[bytes, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._numbers)

    def is_still(self, number: int) -> bool:
        """Whether an input is the ablated stream itself."""
        return self._numbers.get(_EMPTY) == number

    def numbers(self, states: States, kept: Mask) -> list[int]:
        """The inputs of some readers.

        Args:
            states: of the writers before them, `[w]`.
            kept: the paths that are not cut, `[readers, w, 1 or positions]`.
        """
        moved = states != STILL
        there, carried = states[moved], kept[:, moved]
        found, new = [], []
        for one in carried:
            some = one.any(-1)
            key = there[some].tobytes() + one[some].tobytes()
            if key not in self._numbers:
                self._numbers[key] = len(self._numbers)
                new.append(one)
            found.append(self._numbers[key])
        if new:
            added = np.stack(new)
            used = added.any((0, 2))
            self.sums.append(Sums(there[used], added[:, used]))
        return found


@dataclass
class LayerPlan:
    """What is to be computed in one layer.

    Attributes:
        inputs: of its heads' queries, keys and values.
        read: for each of these, by part and head, the inputs that it reads, and in which
            place.
        heads: the state of each head by its inputs: `(head, q, k, v)`.
        mlp_inputs: inputs of its MLP.
        mlps: the state of the MLP by its input.
    """

    inputs: Inputs = field(default_factory=Inputs)
    read: dict[tuple[str, int], dict[int, int]] = field(default_factory=dict)
    heads: dict[tuple[int, int, int, int], int] = field(default_factory=dict)
    mlp_inputs: Inputs = field(default_factory=Inputs)
    mlps: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Prices:
    """Multiplications that things take.

    Attributes:
        added: adding a state to an input.
        read: making one head's query, key or value of an input.
        head: one head's attention, and its write.
        mlp: an MLP.
        end: what a metric reads.
    """

    added: int
    read: int
    head: int
    mlp: int
    end: int


class Plan:
    """The runs of some circuits, to be made together.

    Args:
        wiring: all paths.
        prices: what things cost.
        first: the first position at which anything differs from the ablated run.
        of_tokens: whether the ablated run is one of tokens, in which every head and MLP
            writes what it makes of the ablated stream.

    Attributes:
        cuts: the circuits.
        n_states: how many states there are; the first is the embedding's.
        layers: what is to be computed in each layer.
        ends: inputs of the end of the model.
        end_of: which of them each circuit has.
        works: multiplications that each circuit takes beside those before it.
        work: all of them.

    Example:
        >>> from patchwidget.nodes import Extent
        >>> from patchwidget.paths import Path
        >>> wiring = Wiring(Extent(2, 2, 2, n_pos=5, d_mlp=0), parallel=False)
        >>> plan = Plan(wiring, Prices(1, 1, 1, 1, 1), first=0, of_tokens=True)
        >>> circuit = map(Path.parse, ["embed -> L0H1.q", "L0H1 -> final"])
        >>> plan.add(wiring.only(map(wiring.number, circuit)))
        >>> plan.n_states, plan.works
        (2, [8])
    """

    def __init__(
        self, wiring: Wiring, prices: Prices, *, first: int, of_tokens: bool
    ) -> None:
        self._wiring, self._prices, self._of_tokens = wiring, prices, of_tokens
        self.first = first
        self.cuts: list[Cut] = []
        self.n_states = 1
        self.layers = [LayerPlan() for _ in range(wiring.extent.n_layers)]
        self.ends = Inputs()
        self.end_of: list[int] = []
        self.works: list[int] = []
        self.work = 0

    @property
    def widest(self) -> int:
        """The most inputs that a layer has."""
        return max(len(layer.inputs) for layer in self.layers)

    @property
    def busiest(self) -> float:
        """How many runs of the whole layer the layer with the most to do amounts to."""
        n_heads = self._wiring.extent.n_heads
        return max(
            max(len(layer.heads) / n_heads, len(layer.mlps)) for layer in self.layers
        )

    def add(self, cut: Cut) -> None:
        """One more circuit."""
        before, kept = self.work, self._wiring.kept(cut)
        if self._wiring.by is not None:
            kept = kept[..., self.first :]
        states = np.full(len(self._wiring.writers), STILL, np.int64)
        states[0] = 0
        for number, layer in enumerate(self.layers):
            self._add_layer(layer, number, states, kept)
        (end,) = self._numbers(self.ends, states, kept[-1:])
        self.work += self._prices.end
        self.cuts.append(cut)
        self.end_of.append(end)
        self.works.append(self.work - before)

    def _add_layer(
        self, layer: LayerPlan, number: int, states: States, kept: Mask
    ) -> None:
        """What one layer does in one more circuit; its states are put into `states`."""
        extent = self._wiring.extent
        n_heads, n_kv = extent.n_heads, extent.n_kv_heads
        has_mlp, n_read = bool(extent.d_mlp), n_heads + 2 * n_kv
        writer = 1 + number * (n_heads + has_mlp)
        reader = number * (n_read + has_mlp)
        heads = kept[reader : reader + n_read, :writer]
        read = self._numbers(layer.inputs, states[:writer], heads)
        for head in range(n_heads):
            group = head * n_kv // n_heads
            key, value = read[n_heads + group], read[n_heads + n_kv + group]
            inputs = head, read[head], key, value
            states[writer + head] = self._head(layer, inputs, group)
        if has_mlp:
            seen = writer if self._wiring.parallel else writer + n_heads
            mlp = kept[reader + n_read : reader + n_read + 1, :seen]
            (one,) = self._numbers(layer.mlp_inputs, states[:seen], mlp)
            states[writer + n_heads] = self._mlp(layer, one)

    def _numbers(self, inputs: Inputs, states: States, kept: Mask) -> list[int]:
        n_sums = len(inputs.sums)
        found = inputs.numbers(states, kept)
        for new in inputs.sums[n_sums:]:
            self.work += self._prices.added * len(new.added) * len(new.states)
        return found

    def _head(
        self, layer: LayerPlan, key: tuple[int, int, int, int], group: int
    ) -> int:
        if self._of_tokens and all(map(layer.inputs.is_still, key[1:])):
            return STILL
        if key not in layer.heads:
            head, *inputs = key
            for part, number in zip("qkv", inputs, strict=True):
                place = part, head if part == "q" else group
                known = layer.read.setdefault(place, {})
                self.work += self._prices.read * (number not in known)
                known.setdefault(number, len(known))
            layer.heads[key] = self._state(self._prices.head)
        return layer.heads[key]

    def _mlp(self, layer: LayerPlan, number: int) -> int:
        if self._of_tokens and layer.mlp_inputs.is_still(number):
            return STILL
        if number not in layer.mlps:
            layer.mlps[number] = self._state(self._prices.mlp)
        return layer.mlps[number]

    def _state(self, price: int) -> int:
        self.work += price
        self.n_states += 1
        return self.n_states - 1
