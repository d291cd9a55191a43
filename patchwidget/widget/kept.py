"""Answers that a page without a kernel takes along: attention and positions of heads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from patchwidget.nodes import HEAD_KINDS, Node
from patchwidget.paths import Writer
from patchwidget.slices import whole
from patchwidget.widget import messages
from patchwidget.widget.answers import Answer, Request, patterns_of, row
from patchwidget.widget.board import Board
from patchwidget.widget.circuit_answers import module_files
from patchwidget.widget.export import answer_key
from patchwidget.widget.wire import Record

Heads = Sequence[tuple[int, int]]
# Of attention; in base64 it is a third more.
MOST_BYTES = 8 * 2**20


def heads_of(board: Board, nodes: Sequence[Node]) -> Heads:
    """The query heads that nodes belong to; those that are no heads' are left out."""
    nodes = [node for node in nodes if node.kind in HEAD_KINDS]
    return board.side.study.attention(nodes).heads if nodes else ()


def pairs_kept(board: Board, heads: Heads, shown: int) -> list[int]:
    """All pairs and the mean (-1), or the shown one and the mean where all are too much."""
    study = board.side.study
    count, n_pos = len(study.pairs.text), study.extent.n_pos
    triangle = n_pos * (n_pos + 1) // 2
    # Two runs; two bytes a weight, four a norm.
    each = len(heads) * 2 * (2 * triangle + 4 * n_pos)
    if (count + 1) * each <= MOST_BYTES:
        return [-1, *range(count)]
    return sorted({-1, shown})


def kept(board: Board, heads: Heads, pairs: Sequence[int]) -> dict[str, Record]:
    """By `answer_key`, what the page would be told of heads by `attention.get`, `row.get`.

    Estimates by position are made where they were not; what is verified of them is on the
    board afterwards. Of paths those that were estimated go along, `paths.get`; and the
    part of the front end that shows them, `module.get`, if there is something to show.
    """
    answers = [
        *_attention(board, heads, pairs),
        *_rows(board, heads),
        *_circuit(board, heads),
    ]
    return {
        key: {"payload": payload, "buffers": buffers}
        for key, (payload, buffers) in answers
    }


def _attention(
    board: Board, heads: Heads, pairs: Sequence[int]
) -> Iterator[tuple[str, Answer]]:
    for layer, head in heads:
        node = Node("pattern", layer, head)
        found = board.side.study.attention([node])
        for pair in pairs:
            yield (
                answer_key(messages.ATTENTION_GET, node, pair),
                patterns_of(found, pair),
            )


def _rows(board: Board, heads: Heads) -> Iterator[tuple[str, Answer]]:
    extent = board.side.study.extent
    group = extent.n_heads // extent.n_kv_heads
    for kind in (kind for kind in HEAD_KINDS if kind in board.side.estimates.kinds):
        share = group if kind in ("k", "v") else 1
        nodes = {Node(kind, layer, head // share): None for layer, head in heads}
        for node in nodes:
            asked = Request({"node": str(node)}, board, ())
            yield answer_key(messages.ROW_GET, node), whole(row(asked))


def _circuit(board: Board, heads: Heads) -> Iterator[tuple[str, Answer]]:
    circuit = board.side.circuit
    if circuit.record():
        code, style = module_files("circuit")
        yield answer_key(messages.MODULE_GET, "circuit"), ({"css": style}, [code])
    if circuit.estimates is not None:
        for layer, head in heads:
            writer = Writer("head", layer, head)
            found = circuit.estimates.around(writer)
            yield answer_key(messages.PATHS_GET, writer), (found, [])
