/**
 * A place in the model that the pointer is at, and how it shows in other views.
 *
 * Each view turns its own pointer into a place; each view draws the places of the
 * others. So views are linked without knowing one another.
 */

import { isHeadKind, type Kind, type Node } from "./node";

/** Half-open. */
export type Span = readonly [start: number, end: number];

export interface Place {
  /** The node itself, where the pointer is at one. */
  node: Node | null;
  layer: number | null;
  /** Query heads: a KV head stands for its whole group. */
  heads: Span | null;
  pos: number | null;
  src: number | null;
}

const NOWHERE: Place = { node: null, layer: null, heads: null, pos: null, src: null };

/** Head counts, to translate between query heads and KV heads. */
export interface HeadCounts {
  heads: number;
  kvHeads: number;
}

export function nodePlace(node: Node, counts: HeadCounts): Place {
  const { kind, layer, head, pos, src } = node;
  const heads = head === null ? null : queryHeads(kind, head, counts);
  return { node, layer, heads, pos, src };
}

export function positionPlace(pos: number): Place {
  return { ...NOWHERE, pos };
}

export function headPlace(layer: number, head: number): Place {
  return { ...NOWHERE, layer, heads: [head, head + 1] };
}

export function attentionPlace(
  layer: number,
  head: number,
  pos: number,
  src: number,
): Place {
  return { node: null, layer, heads: [head, head + 1], pos, src };
}

/** The query heads that a head of a kind stands for. */
export function queryHeads(kind: Kind, head: number, counts: HeadCounts): Span {
  const group = groupSize(kind, counts);
  return [head * group, (head + 1) * group];
}

/** The columns of a kind's grid that a place lies in; null where it has none. */
export function linkedColumns(
  place: Place,
  kind: Kind,
  counts: HeadCounts,
): Span | null {
  if (!isHeadKind(kind)) return place.pos === null ? null : [place.pos, place.pos + 1];
  if (place.heads === null) return null;
  const group = groupSize(kind, counts);
  const [start, end] = place.heads;
  return [Math.floor(start / group), Math.ceil(end / group)];
}

/** How many query heads one column of a kind's grid stands for. */
function groupSize(kind: Kind, { heads, kvHeads }: HeadCounts): number {
  const isShared = kind === "k" || kind === "v";
  return isShared && kvHeads > 0 ? Math.max(1, Math.round(heads / kvHeads)) : 1;
}
