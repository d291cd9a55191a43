/** One head's effects by position: a row for each of its kinds. */

import { type Channel, MESSAGE_KINDS, type Reply } from "../host/messages";
import { type Asked, type AskedStore, createAsked } from "./asked";
import { blankCells, type EffectCells, showResult } from "./figure";
import { formatNode, HEAD_KINDS, isHeadKind, type Kind, type Node } from "./node";
import { type HeadCounts, queryHeads } from "./place";
import type { Verified } from "./results";
import type { Shown } from "./settings";
import { floats, record, text, whole } from "./shape";

export interface RowQuestion {
  /** A head as a whole: `L9H9.q`. */
  node: string;
  /** The kernel answers with the method that is chosen when it is asked. */
  method: string;
}

export interface HeadRow {
  /** That of the estimates, which need not be the chosen one. */
  method: string;
  /** By position; for `pattern` by destination. */
  values: Float32Array;
}

export type RowStore = AskedStore<RowQuestion, HeadRow>;

export function rowKey({ node, method }: RowQuestion): string {
  return `${node}|${method}`;
}

export function createRows(channel: Channel): RowStore {
  return createAsked(rowKey, async ({ node }, signal) => {
    const reply = await channel.request(MESSAGE_KINDS.rowGet, { node }, { signal });
    return readRow(reply);
  });
}

function readRow({ payload, buffers }: Reply): HeadRow {
  const raw = record(payload, "row");
  const size = whole(raw.size, "row.size");
  const values = floats(buffers[0], "row.values", size);
  return { method: text(raw.method, "row.method"), values };
}

/**
 * The nodes whose rows are shown for one: of those picked, the ones of the same head,
 * or of all given kinds. Each stands for all positions of its head.
 */
export function rowNodes(
  node: Node,
  picked: readonly Node[],
  kinds: readonly Kind[],
  counts: HeadCounts,
): Node[] {
  if (node.head === null) return [];
  const [start] = queryHeads(node.kind, node.head, counts);
  const isSame = (other: Node): boolean => {
    if (other.head === null || other.layer !== node.layer) return false;
    const [from, to] = queryHeads(other.kind, other.head, counts);
    return from <= start && start < to;
  };
  const wanted = new Set<Kind>([node.kind, ...kinds]);
  for (const other of picked) if (isSame(other)) wanted.add(other.kind);
  return HEAD_KINDS.filter((kind) => wanted.has(kind)).map((kind) => ({
    kind,
    layer: node.layer,
    head: kind === node.kind ? node.head : headFor(kind, start, counts),
    pos: null,
    src: null,
  }));
}

/** The head of a kind that a query head reads from, or is. */
function headFor(kind: Kind, queryHead: number, counts: HeadCounts): number {
  const [, group] = queryHeads(kind, 0, counts);
  return Math.floor(queryHead / group);
}

/** The node of a cell of the strip. */
export function rowCell(nodes: readonly Node[], row: number, column: number) {
  const node = nodes[row];
  return node ? { ...node, pos: column } : null;
}

/** The strip, a row for each node. What is not here yet is unknown, not missing. */
export function rowCells(
  nodes: readonly Node[],
  answers: readonly (Asked<HeadRow> | undefined)[],
  verified: ReadonlyMap<string, Verified>,
  shown: Shown,
  positions: number,
  isSigned: (method: string) => boolean,
): EffectCells {
  const estimates = new Float32Array(nodes.length * positions).fill(Number.NaN);
  answers.forEach((entry, row) => {
    if (entry?.state !== "ready") return;
    estimates.set(entry.answer.values.subarray(0, positions), row * positions);
  });
  const cells = blankCells(nodes.length, positions, estimates, shown);
  answers.forEach((entry, row) => {
    const start = row * positions;
    if (entry?.state !== "ready") cells.unknown.fill(1, start, start + positions);
  });
  nodes.forEach((node, row) => {
    const entry = answers[row];
    const signs = entry?.state !== "ready" || isSigned(entry.answer.method);
    for (let pos = 0; pos < positions; pos++) {
      const result = verified.get(formatNode({ ...node, pos }));
      if (result) showResult(cells, row * positions + pos, result, shown, signs);
    }
  });
  return cells;
}

/** The last head node among some; null without any. */
export function lastHead(nodes: readonly Node[]): Node | null {
  return nodes.findLast(({ kind }) => isHeadKind(kind)) ?? null;
}
