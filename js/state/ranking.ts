/** The nodes in focus as the rows of a table: their ranks, and how they are sorted. */

import type { FocusNode } from "./focus";
import { isHeadKind, KINDS, type Node } from "./node";
import { type HeadCounts, queryHeads } from "./place";

export interface RankingRow extends FocusNode {
  /** What the user calls the head; empty for none. */
  label: string;
  /**
   * Place by size of the estimate, among the nodes that have a cell: 1 is the largest,
   * equal sizes share a place. Null without an estimate, and for finer nodes.
   */
  rank: number | null;
  /** The same by what is known: the exact effect where a patch was run. */
  knownRank: number | null;
  /** How many places a node goes up (positive) or down by what is known. */
  change: number | null;
}

export const SORT_COLUMNS = [
  "node",
  "estimate",
  "exact",
  "miss",
  "rank",
  "change",
] as const;
export type SortColumn = (typeof SORT_COLUMNS)[number];

export interface Sort {
  column: SortColumn;
  isDescending: boolean;
}

type Names = Readonly<Record<string, string>>;

/** In the order of `nodes`. `counts` is for KV heads, which carry a group's names. */
export function rankingRows(
  nodes: readonly FocusNode[],
  names: Names,
  counts: HeadCounts | null,
): RankingRow[] {
  const byEstimate = ranks(nodes.map((node) => (node.hasCell ? node.estimate : null)));
  const byKnown = nodes.some(({ exact }) => exact !== null)
    ? ranks(nodes.map((node) => (node.hasCell ? (node.exact ?? node.estimate) : null)))
    : byEstimate;
  const isNamed = Object.keys(names).length > 0;
  return nodes.map((node, index) => {
    const rank = byEstimate[index] ?? null;
    const knownRank = byKnown[index] ?? null;
    const change = rank === null || knownRank === null ? null : rank - knownRank;
    return {
      ...node,
      label: isNamed ? headNicknames(node.node, names, counts) : "",
      rank,
      knownRank,
      change,
    };
  });
}

/** Places by size, largest first; null where there is no number. */
export function ranks(values: readonly (number | null)[]): (number | null)[] {
  const sizes = Float64Array.from(values, (value) => Math.abs(value ?? Number.NaN));
  const sorted = sizes.filter((size) => !Number.isNaN(size)).sort();
  // Equal sizes share a place: zeros must not be ranked by where they stand.
  return Array.from(sizes, (size) =>
    Number.isNaN(size) ? null : 1 + sorted.length - countUpTo(sorted, size),
  );
}

/** How many of some sorted numbers are not larger. */
function countUpTo(sorted: Float64Array, most: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? 0) <= most) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What is not there, or no number, stands last either way. */
export function sortRows(
  rows: readonly RankingRow[],
  { column, isDescending }: Sort,
): RankingRow[] {
  const way = isDescending ? -1 : 1;
  if (column === "node") return [...rows].sort((a, b) => way * compareNodes(a, b));
  const isThere = (row: RankingRow) => !Number.isNaN(row[column] ?? Number.NaN);
  const there = rows.filter(isThere);
  const absent = rows.filter((row) => !isThere(row));
  there.sort(
    (a, b) =>
      way * compare(a[column] ?? 0, b[column] ?? 0) || compare(placeOf(a), placeOf(b)),
  );
  return [...there, ...absent];
}

/** The way that a first click on a column's header sorts: what matters first. */
export function firstSort(column: SortColumn): Sort {
  return { column, isDescending: column !== "node" && column !== "rank" };
}

/** A click on a header: another column, or the other way round. */
export function clickedSort(now: Sort, column: SortColumn): Sort {
  if (now.column !== column) return firstSort(column);
  return { column, isDescending: !now.isDescending };
}

function placeOf({ rank }: RankingRow): number {
  return rank ?? Number.POSITIVE_INFINITY;
}

/** By layer, then as in the heatmaps. */
function compareNodes({ node: a }: RankingRow, { node: b }: RankingRow): number {
  return (
    a.layer - b.layer ||
    KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind) ||
    compare(a.head ?? -1, b.head ?? -1) ||
    compare(a.pos ?? -1, b.pos ?? -1) ||
    compare(a.src ?? -1, b.src ?? -1)
  );
}

/** Not by difference: that of two infinities is no number. */
function compare(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The user's name of a node's head; of a KV head, those of all its query heads. */
export function headNicknames(
  { kind, layer, head }: Node,
  names: Names,
  counts: HeadCounts | null,
): string {
  if (head === null || !isHeadKind(kind)) return "";
  const [start, end] = counts ? queryHeads(kind, head, counts) : [head, head + 1];
  const found = new Set<string>();
  for (let index = start; index < end; index++) {
    const name = names[`L${layer}H${index}`];
    if (name) found.add(name);
  }
  return [...found].join(", ");
}
