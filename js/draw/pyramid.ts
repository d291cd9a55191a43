/**
 * A causal matrix at half its size, at a quarter, and so on.
 *
 * A pattern of 2,000 tokens has two million cells: to draw it from the level whose cells
 * are just not larger than a pixel takes a few reads a pixel, however far one is away.
 * A cell of a level is the strongest of the four under it, with its sign, as a pixel of a
 * picture is (pool.ts): the strongest of strongest ones is the strongest of all, so that
 * a picture from a level shows what one from the matrix does, at most half a pixel
 * beside. Means would fade more with every level, the single strong cell that one looks
 * for first of all.
 */

import { type ReadRow, type Source, stronger } from "./pool";

export interface Level extends Source {
  block: number;
  /** Rows and columns. */
  size: number;
}

export interface Pyramid {
  /** The largest finite magnitude in the whole matrix. */
  largest: number;
  /** Finest first. */
  levels: readonly Level[];
}

/** A smaller level than this has fewer cells than any picture has pixels. */
const LEAST = 64;
/** Rows between two steps, which take a millisecond or two at most. */
const ROWS = 4;

/** In steps, so that whoever builds it can do something else in between. */
export function* buildPyramid(read: ReadRow, size: number): Generator<void, Pyramid> {
  const levels: Level[] = [];
  let largest = 0;
  let [below, block, readBelow] = [size, 1, read];
  do {
    const half = Math.ceil(below / 2);
    const values = new Float32Array(startOf(half));
    const buffers = [new Float32Array(2 * half), new Float32Array(2 * half)] as const;
    for (let row = 0; row < half; row++) {
      // Two rows of a triangle, the first of which is shorter; what is missing is zero.
      for (const [which, buffer] of buffers.entries()) {
        const at = 2 * row + which;
        const line = buffer.subarray(0, 2 * row + 2);
        if (at < below) readBelow(at, 0, line);
        else line.fill(0);
        if (block > 1) continue;
        for (const value of line) {
          const magnitude = Math.abs(value);
          if (magnitude > largest && Number.isFinite(magnitude)) largest = magnitude;
        }
      }
      halve(buffers, row + 1, values, startOf(row));
      if (row % ROWS === 0) yield;
    }
    [below, block] = [half, 2 * block];
    readBelow = readerOf(values);
    levels.push({ block, size: half, read: readBelow });
  } while (below > LEAST);
  return { largest, levels };
}

/** Built without a break. */
export function wholePyramid(steps: Generator<void, Pyramid>): Pyramid {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** Of a lower triangle, row by row. */
function readerOf(values: Float32Array): ReadRow {
  return (row, from, out) => {
    const [start, end] = [startOf(row) + from, startOf(row + 1)];
    out.fill(0);
    if (start < end) out.set(values.subarray(start, Math.min(end, start + out.length)));
  };
}

/** The coarsest level of which a picture loses nothing; none where cells are as large. */
export function levelFor(
  { levels }: Pyramid,
  cellsPerPixel: number,
): Level | undefined {
  return levels.filter(({ block }) => block <= cellsPerPixel).at(-1);
}

/** The strongest cell of each block in two rows. */
function halve(
  [upper, lower]: readonly [Float32Array, Float32Array],
  length: number,
  values: Float32Array,
  start: number,
): void {
  for (let column = 0; column < length; column++) {
    const [left, right] = [2 * column, 2 * column + 1];
    // All are within their lengths.
    let found = stronger(upper[left] as number, upper[right] as number);
    found = stronger(found, lower[left] as number);
    values[start + column] = stronger(found, lower[right] as number);
  }
}

/** Where a row begins in a triangle; also, how long one of so many rows is. */
function startOf(row: number): number {
  return (row * (row + 1)) / 2;
}
