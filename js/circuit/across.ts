/** How far to the right the parts of a circuit stand: by position, then by head. */

import { textWidth } from "../draw/geometry";
import type { Span } from "../state/place";
import { type End, headsOf } from "./ends";
import type { Extent, Placed } from "./sketch";

const NODE_GAP = 12;
const SIDES = { left: 46, right: 14 };
const FONT_SIZE = 11;

/** Each at its number's place, moved as little as keeps them apart. */
export function acrossOf(
  parts: readonly Placed[],
  columns: (number | null)[],
  extent: Extent,
) {
  const left = SIDES.left;
  const needed = columns.map((pos) => mostIn(parts, pos));
  const spare = extent.width - left - SIDES.right - needed.reduce((a, b) => a + b, 0);
  const more = Math.max(0, spare) / Math.max(1, columns.length);
  const places = new Map<string, number>();
  const middles: number[] = [];
  let start = left;
  columns.forEach((pos, column) => {
    const room = (needed[column] ?? 0) + more;
    middles.push(start + room / 2);
    for (const row of byRow(parts.filter(({ end }) => end.pos === pos))) {
      for (const [key, x] of apart(row, start, room, extent)) places.set(key, x);
    }
    start += room;
  });
  const label = (pos: number | null) =>
    pos === null ? "all positions" : extent.positionName(pos);
  return {
    places,
    width: start + SIDES.right,
    columns: columns.map((pos, at) => [label(pos), middles[at] ?? 0] as const),
  };
}

/** The room that the fullest row of a column takes. */
function mostIn(parts: readonly Placed[], pos: number | null): number {
  const rows = byRow(parts.filter(({ end }) => end.pos === pos));
  const widths = rows.map((row) =>
    row.reduce((sum, part) => sum + widthOf(part) + NODE_GAP, 0),
  );
  return Math.max(0, ...widths);
}

function byRow(parts: readonly Placed[]): Placed[][] {
  const rows = [...new Set(parts.map(({ row }) => row))];
  return rows.map((row) => parts.filter((part) => part.row === row));
}

function apart(
  row: readonly Placed[],
  start: number,
  room: number,
  extent: Extent,
): [key: string, x: number][] {
  const sorted = row
    .map((part) => ({ part, x: start + shareOf(part.end, extent) * room }))
    .sort((a, b) => a.x - b.x);
  // From the left each is moved on to where there is room, from the right back again.
  let edge = start;
  for (const one of sorted) {
    const half = (widthOf(one.part) + NODE_GAP) / 2;
    one.x = Math.max(one.x, edge + half);
    edge = one.x + half;
  }
  edge = start + room;
  for (const one of [...sorted].reverse()) {
    const half = (widthOf(one.part) + NODE_GAP) / 2;
    one.x = Math.min(one.x, edge - half);
    edge = one.x - half;
  }
  return sorted.map(({ part, x }) => [part.key, x]);
}

/** How far to the right something belongs: MLPs out of the heads' way. */
function shareOf(end: End, extent: Extent): number {
  if (end.part === "mlp") return 1;
  const heads: Span | null = headsOf(end, extent);
  return heads ? (heads[0] + heads[1]) / 2 / Math.max(1, extent.heads) : 0.5;
}

export function widthOf({ label }: Placed): number {
  return Math.ceil(textWidth(label, FONT_SIZE)) + 12;
}
