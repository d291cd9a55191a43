"""What the page asks for by a message: `(side, method, request) -> payload, buffers`.

Bulk travels so, as bytes and only when it is looked at; what a request gets wrong is
raised, and goes back to the page as a reply.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from patchwidget.attention import Attention
from patchwidget.exact import PatchCost
from patchwidget.nodes import HEAD_KINDS, Node
from patchwidget.slices import Slices, looking
from patchwidget.widget import messages
from patchwidget.widget.board import Board
from patchwidget.widget.circuitsvis import document
from patchwidget.widget.estimates import Estimate
from patchwidget.widget.wire import to_bytes

Answer = tuple[messages.Message, list[bytes]]
Steps = Generator[None, None, Answer]
_LEVELS = 65535
_MOST_NEURONS = 1000


@dataclass(frozen=True)
class Request:
    """A request, and what it is asked of.

    Attributes:
        body: the message.
        board: what the page shows.
        picked: names of the picked nodes.
    """

    body: messages.Message
    board: Board
    picked: Sequence[str]

    def nodes(self) -> list[Node]:
        """The nodes that the request names."""
        names = self.body["nodes"]
        if not isinstance(names, list):
            raise TypeError(f"nodes is a list of names, got {names!r}")
        return self.board.side.study.nodes(names)

    def node(self) -> Node:
        """The one node that the request names."""
        name = self.body["node"]
        if not isinstance(name, str):
            raise TypeError(f"node is a name, got {name!r}")
        return self.board.side.study.node(name)

    def kind(self) -> str:
        """The kind that the request is about; empty for all that have a map."""
        kind = self.body.get("of") or ""
        if not isinstance(kind, str):
            raise TypeError(f"of is the name of a kind, or empty, got {kind!r}")
        return kind

    def whole(self, name: str) -> int:
        """A whole number of the request."""
        value = self.body[name]
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} is a whole number, got {value!r}")
        return value


def attention(asked: Request) -> Answer:
    """Patterns of heads as lower triangles, and the norms of what they read."""
    found = asked.board.side.study.attention(asked.nodes())
    return patterns_of(found, asked.whole("pair"))


def patterns_of(found: Attention, pair: int) -> Answer:
    """Attention of one pair, as it travels."""
    clean, corrupted = found.of(pair), found.of(pair, "corrupted")
    payload = {
        "heads": _heads(found),
        "size": clean[0].shape[-1],
        "pair": pair,
        "dtype": "uint16",
    }
    patterns = [triangles(run) for run, _ in (clean, corrupted)]
    return payload, [*patterns, *(to_bytes(norms) for _, norms in (clean, corrupted))]


def _heads(found: Attention) -> list[dict[str, int]]:
    return [{"layer": layer, "head": head} for layer, head in found.heads]


def triangles(patterns: Tensor) -> bytes:
    """Weights `[n, T, T]` as `[n, T (T + 1) / 2]`: row r has the columns 0 to r.

    A weight w travels as round(65535 w), in 16 bits, little end first: it is off by
    1 / 131070 at the most.
    """
    rows, columns = torch.tril_indices(*patterns.shape[-2:])
    weights = patterns.cpu()[:, rows, columns].double().clamp(0, 1)
    data: bytes = (weights * _LEVELS).round().numpy().astype("<u2").tobytes()
    return data


def circuitsvis(asked: Request) -> Answer:
    """A page of its own that shows heads in CircuitsVis."""
    found, pair = asked.board.side.study.attention(asked.nodes()), asked.whole("pair")
    # Its script is in the package, and travels along.
    return {"html": document(found, pair), "needs_network": False}, []


def _estimated(board: Board, kind: str, by: str | None = None) -> Slices[Estimate]:
    """Estimates of the study on show by the method on show, as both are at first.

    Raises:
        RuntimeError: as soon as the page is shown something else: it asks anew then, and
            nobody waits for these.
    """
    side, method = board.side, board.method

    def look() -> None:
        if board.side is not side or board.method != method:
            now = f"{board.side.study.direction} by {board.method}"
            raise RuntimeError(f"the page shows {now} since this was asked: ask again")

    return looking(side.estimates.making(kind, method, by), look)


def row(asked: Request) -> Steps:
    """Estimates of one head by position; of a pattern by destination."""
    node, board = asked.node(), asked.board
    if node.kind not in HEAD_KINDS or node.by is not None:
        raise ValueError(f"{node} is not a head, which could be shown by position")
    by = "dest" if node.kind == "pattern" else "pos"
    found = yield from _estimated(board, node.kind, by)
    board.reveal_row(node)
    layer = found.mean[node.layer]
    values = layer[node.head] if by == "dest" else layer[:, node.head]
    payload = {
        "kind": node.kind,
        "layer": node.layer,
        "head": node.head,
        "method": found.method,
        "size": len(values),
    }
    return payload, [to_bytes(values)]


def neurons(asked: Request) -> Steps:
    """The neurons of largest estimated effect, means over the pairs, largest first."""
    board, top, layer = asked.board, asked.whole("top"), asked.body.get("layer")
    if not 1 <= top <= _MOST_NEURONS:
        raise ValueError(f"top={top} is not from 1 to {_MOST_NEURONS}")
    n_layers = board.side.study.extent.n_layers
    layers = range(n_layers) if layer is None else [asked.whole("layer")]
    if layers[0] not in range(n_layers):
        raise IndexError(f"there is no layer {layer}, only 0 to {n_layers - 1}")
    found = yield from _estimated(board, "neuron")
    values = found.mean[list(layers)]
    nodes, best = _largest(values, list(layers), top)
    board.reveal(nodes)
    payload = {
        "method": found.method,
        "names": list(map(str, nodes)),
        "total": values.numel(),
        "layers": n_layers,
    }
    return payload, [to_bytes(best)]


def _largest(
    values: Tensor, layers: Sequence[int], top: int
) -> tuple[list[Node], Tensor]:
    """Neurons of largest `[layer, pos, neuron]` values, and these values."""
    sizes = values.abs().flatten().nan_to_num(nan=-1.0)
    best = sizes.topk(min(top, sizes.numel())).indices
    places = np.unravel_index(best.numpy(), values.shape)
    nodes = [
        Node("neuron", layers[place], pos=int(pos), neuron=int(number))
        for place, pos, number in zip(*places, strict=True)
    ]
    return nodes, values.flatten()[best]


def diagnosis(asked: Request) -> Steps:
    """Causes that a verified node's miss is consistent with, looked at step by step."""
    node, board = asked.node(), asked.board
    side = board.side
    if node not in side.study.verified:
        raise ValueError(f"{node} is not verified yet: pick it first")
    method = side.estimates.method_for(node.kind, board.method)
    # Not by way of `side.estimates`: the study itself may not have kept what is there.
    yield from side.study.estimating(node.kind, method, by=node.by)
    steps = side.study.diagnosing(node, method)
    for found in steps:  # noqa: B007 - the last one has them all
        yield
    causes = [
        {"name": one.name, "consistent": one.consistent, "words": one.words}
        for one in found.causes
    ]
    payload = {
        "node": str(node),
        "causes": causes,
        "not_looked_at": found.not_looked_at,
    }
    return payload, []


def cost(asked: Request) -> Answer:
    """What a verification would cost."""
    study = asked.board.side.study
    if asked.body["what"] == "bound":
        costs = [study.bound_cost(kinds, way) for kinds, way in groups_of(asked)]
    else:
        costs = [study.cost(nodes_of(asked))]
    return priced(
        PatchCost(
            sum(one.patches for one in costs),
            sum(one.multiplications for one in costs),
            sum(one.seconds for one in costs),
        )
    )


def priced(found: PatchCost) -> Answer:
    """A cost as it travels."""
    payload = {"patches": found.patches, "seconds": found.seconds, "words": str(found)}
    return payload, []


def groups_of(asked: Request) -> list[tuple[list[str], str]]:
    """The kinds that are asked for, by the method that each has.

    Estimates of different methods have no common ranking.
    """
    board, groups = asked.board, dict[str, list[str]]()
    for kind in board.side.kinds(asked.kind()):
        method = board.side.estimates.method_for(kind, board.method)
        groups.setdefault(method, []).append(kind)
    return [(kinds, method) for method, kinds in groups.items()]


def nodes_of(asked: Request) -> list[Node]:
    """The nodes that `cost.get` and `verify.start` are about, in rank order.

    Raises:
        ValueError, TypeError: if it cannot be told.
    """
    what, board = asked.body["what"], asked.board
    kind = asked.kind()
    if what == "picked":
        return board.side.study.nodes(asked.picked)
    if what == "all":
        return [
            node
            for one in board.side.kinds(kind)
            for node in board.side.study.extent.nodes(one)
        ]
    if what != "top":
        raise ValueError(f"unknown {what!r}: choose picked, top, all or bound")
    top = asked.whole("top")
    if top < 1:
        raise ValueError(f"top={top} asks for nothing: give 1 or more")
    return board.side.largest(kind, board.method, top)


ANSWERS: dict[str, Callable[[Request], Answer | Steps]] = {
    messages.ATTENTION_GET: attention,
    messages.CIRCUITSVIS_GET: circuitsvis,
    messages.ROW_GET: row,
    messages.NEURONS_GET: neurons,
    messages.DIAGNOSIS_GET: diagnosis,
    messages.COST_GET: cost,
}
