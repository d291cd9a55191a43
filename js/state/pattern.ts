/** Attention patterns of one head in both runs, packed as they came; read by rows. */

export interface RunPattern {
  /** The lower triangle, row by row: row r has r + 1 entries, in 65535ths. */
  weights: Uint16Array;
  /** By source position: the norm of what the head would write if it read only there. */
  norms: Float32Array;
}

export interface Pattern {
  /** Rows (destinations) and columns (sources). */
  size: number;
  clean: RunPattern;
  corrupted: RunPattern;
}

const RUNS = ["clean", "corrupted", "difference"] as const;
export type Run = (typeof RUNS)[number];

/** What is read of a pattern. */
export interface Quantity {
  /** `difference`: clean − corrupted. */
  run: Run;
  /** Times the norm of the value's write: what looks strong also says something. */
  weighted: boolean;
}

const WHOLE = 65535;

export function triangleLength(size: number): number {
  return (size * (size + 1)) / 2;
}

/** How much room the patterns of one head take, in bytes. */
export function patternBytes(size: number): number {
  return 2 * (2 * triangleLength(size) + 4 * size);
}

/** Fills `out` with a row's values from a source on; 0 where a source comes later. */
export type ReadRow = (row: number, from: number, out: Float32Array) => void;

export function rowsOf(
  { clean, corrupted }: Pattern,
  { run, weighted }: Quantity,
): ReadRow {
  const { weights, norms } = run === "corrupted" ? corrupted : clean;
  const less = run === "difference" ? corrupted : null;
  return (row, from, out) => {
    const start = triangleLength(row) + from;
    const end = Math.max(0, Math.min(out.length, row + 1 - from));
    // Of long prompts there are millions; all of these are within their lengths.
    for (let at = 0; at < end; at++) {
      let value = weights[start + at] as number;
      let other = less ? (less.weights[start + at] as number) : 0;
      if (weighted) {
        value *= norms[from + at] as number;
        if (less) other *= less.norms[from + at] as number;
      }
      out[at] = (value - other) / WHOLE;
    }
    out.fill(0, end);
  };
}

export function valueAt(
  pattern: Pattern,
  quantity: Quantity,
  row: number,
  column: number,
): number {
  const out = new Float32Array(1);
  rowsOf(pattern, quantity)(row, column, out);
  return out[0] ?? 0;
}

/** `to`: what a position attends to, by source. `from`: what attends to it. */
export type Direction = "to" | "from";

export function profile(
  pattern: Pattern,
  quantity: Quantity,
  position: number,
  direction: Direction,
): Float32Array {
  const values = new Float32Array(pattern.size);
  if (direction === "to") rowsOf(pattern, quantity)(position, 0, values);
  else {
    for (let row = position; row < pattern.size; row++) {
      values[row] = valueAt(pattern, quantity, row, position);
    }
  }
  return values;
}
