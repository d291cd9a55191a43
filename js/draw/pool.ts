/** A matrix with more cells than pixels: each pixel shows its strongest cell. */

import type { Matrix } from "./canvas";

/** The square part of a matrix that is looked at, in cells. */
interface Part {
  top: number;
  left: number;
  count: number;
}

/** Fills `out` with a row's values from a column on. */
export type ReadRow = (row: number, from: number, out: Float32Array) => void;

/**
 * The part of a matrix that is looked at, in at most `most` rows and columns. Where cells
 * share a pixel, the one of largest magnitude is kept, with its sign: a mean would wash
 * out the single strong cell that one looks for. A causal one has nothing right of its
 * diagonal, which need not be looked at.
 */
export function pooled(
  read: ReadRow,
  part: Part,
  most: number,
  isCausal = false,
): Matrix {
  const { top, left, count } = part;
  const bins = Math.max(1, Math.min(count, Math.floor(most)));
  const values = new Float32Array(bins * bins);
  const line = new Float32Array(count);
  const binOf = Uint32Array.from(line, (_, cell) => Math.floor((cell * bins) / count));
  for (let row = 0; row < count; row++) {
    read(top + row, left, line);
    const start = (binOf[row] ?? 0) * bins;
    const end = isCausal ? Math.min(count, top + row - left + 1) : count;
    for (let column = 0; column < end; column++) {
      // Of long prompts there are millions: the usual case first, and without a call.
      const value = line[column] as number; // all three are within their lengths
      const at = start + (binOf[column] as number);
      const old = values[at] as number;
      if (Math.abs(value) > Math.abs(old)) values[at] = value;
      else if (Number.isNaN(value + old) && isOdder(value, old)) values[at] = value;
    }
  }
  return { rows: bins, columns: bins, values };
}

/** What is not a number is seen only where nothing stronger than zero is. */
function isOdder(value: number, than: number): boolean {
  return Number.isNaN(than) ? Math.abs(value) > 0 : than === 0;
}
