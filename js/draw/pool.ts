/** A matrix with more cells than pixels: each pixel shows its strongest cell. */

import type { Matrix } from "./canvas";
import { clamp } from "./geometry";

/** The square part of a matrix that is looked at, in cells. */
interface Part {
  top: number;
  left: number;
  count: number;
}

/** Fills `out` with a row's values from a column on. */
export type ReadRow = (row: number, from: number, out: Float32Array) => void;

/** What is pooled: a causal matrix has nothing right of its diagonal. */
export interface Source {
  read: ReadRow;
  isCausal?: boolean;
  /** How many cells each value stands for, along either side: see pyramid.ts. */
  block?: number;
}

/**
 * The part of a matrix that is looked at, in at most `most` rows and columns. Where cells
 * share a pixel, the one of largest magnitude is kept, with its sign: a mean would wash
 * out the single strong cell that one looks for.
 */
export function pooled(source: Source, part: Part, most: number): Matrix {
  const { read, isCausal = false, block = 1 } = source;
  const { top, left, count } = part;
  const bins = Math.max(1, Math.min(count, Math.floor(most)));
  const values = new Float32Array(bins * bins);
  const [firstRow, rowBins] = binsOf(top, count, block, bins);
  const [firstColumn, columnBins] = binsOf(left, count, block, bins);
  const columns = columnBins.length;
  const line = new Float32Array(columns);
  for (let at = 0; at < rowBins.length; at++) {
    const row = firstRow + at;
    read(row, firstColumn, line);
    const start = (rowBins[at] as number) * bins;
    const end = isCausal ? Math.min(columns, row - firstColumn + 1) : columns;
    for (let column = 0; column < end; column++) {
      // All are within their lengths.
      const bin = start + (columnBins[column] as number);
      values[bin] = stronger(values[bin] as number, line[column] as number);
    }
  }
  return { rows: bins, columns: bins, values };
}

/** The first block that has a part in `count` cells, and the bin of each by its middle. */
function binsOf(first: number, count: number, block: number, bins: number) {
  const from = Math.floor(first / block);
  const length = Math.floor((first + count - 1) / block) - from + 1;
  const middle = from * block + (block >> 1) - first;
  const places = Uint32Array.from({ length }, (_, at) =>
    Math.floor((clamp(middle + at * block, 0, count - 1) * bins) / count),
  );
  return [from, places] as const;
}

/** What is not a number is seen only where nothing stronger than zero is. */
export function stronger(one: number, other: number): number {
  // Of long prompts there are millions: the usual cases first.
  if (Math.abs(other) > Math.abs(one)) return other;
  return Number.isNaN(one + other) && isOdder(other, one) ? other : one;
}

function isOdder(value: number, than: number): boolean {
  return Number.isNaN(than) ? Math.abs(value) > 0 : than === 0;
}
