/** Somebody's own values, beside the kernel's: what was given to `widget.compare`. */

import type { Kind, Node } from "./node";
import { type Grid, type Verified, valueAt } from "./results";
import type { Shown } from "./settings";
import { floats, list, record, whole } from "./shape";

/** By kind, row by row as its grid; NaN where there is no value. */
export type Mine = ReadonlyMap<Kind, Float32Array>;

export function readMine(value: unknown, where: string): Float32Array {
  const { shape, data } = record(value, where);
  const lengths = list(whole)(shape, `${where}.shape`);
  const size = lengths.reduce((product, length) => product * length, 1);
  return floats(data, `${where}.data`, size);
}

/** Whether it is somebody's own values that are shown. */
export function isOwn(shown: Shown): boolean {
  return shown === "mine" || shown === "mine_miss";
}

/** How far a value of one's own is off, with the sign; sizes where there is none. */
export function ownMiss(mine: number, best: number, isSigned: boolean): number {
  return isSigned ? mine - best : Math.abs(mine) - Math.abs(best);
}

/** The value at a node, and how far it is from the best that is known; null for none. */
export function mineAt(
  mine: Mine,
  grid: Grid | undefined,
  node: Node,
  result: Verified | undefined,
): { value: number; miss: number } | null {
  const own = mine.get(node.kind);
  const value = own ? valueAt(grid, node, own) : null;
  if (!grid || value === null) return null;
  const best = result?.exact ?? valueAt(grid, node) ?? Number.NaN;
  return { value, miss: ownMiss(value, best, grid.isSigned) };
}
