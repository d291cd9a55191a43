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
export function readRow(
  { clean, corrupted }: Pattern,
  { run, weighted }: Quantity,
  row: number,
  from: number,
  out: Float32Array,
): void {
  out.fill(0);
  if (run !== "corrupted") addRow(clean, weighted, row, from, out, 1);
  if (run !== "clean") {
    addRow(corrupted, weighted, row, from, out, run === "difference" ? -1 : 1);
  }
}

function addRow(
  { weights, norms }: RunPattern,
  weighted: boolean,
  row: number,
  from: number,
  out: Float32Array,
  sign: number,
): void {
  const start = triangleLength(row) + from;
  const end = Math.min(out.length, row + 1 - from);
  for (let at = 0; at < end; at++) {
    const share = ((weights[start + at] ?? 0) / WHOLE) * sign;
    const size = weighted ? (norms[from + at] ?? 0) : 1;
    out[at] = (out[at] ?? 0) + share * size;
  }
}

export function valueAt(
  pattern: Pattern,
  quantity: Quantity,
  row: number,
  column: number,
): number {
  const out = new Float32Array(1);
  readRow(pattern, quantity, row, column, out);
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
  if (direction === "to") readRow(pattern, quantity, position, 0, values);
  else {
    for (let row = position; row < pattern.size; row++) {
      values[row] = valueAt(pattern, quantity, row, position);
    }
  }
  return values;
}

const LARGEST = new WeakMap<Pattern, Map<string, number>>();

/** The largest finite magnitude; looked for once, for long prompts take a while. */
export function largestOf(pattern: Pattern, { run, weighted }: Quantity): number {
  const known = LARGEST.get(pattern) ?? new Map<string, number>();
  LARGEST.set(pattern, known);
  const key = `${run}${weighted}`;
  const found = known.get(key) ?? findLargest(pattern, { run, weighted });
  known.set(key, found);
  return found;
}

function findLargest(pattern: Pattern, quantity: Quantity): number {
  let found = 0;
  for (let row = 0; row < pattern.size; row++) {
    const line = new Float32Array(row + 1);
    readRow(pattern, quantity, row, 0, line);
    for (const value of line) {
      const size = Math.abs(value);
      if (size > found && size < Number.POSITIVE_INFINITY) found = size;
    }
  }
  return found;
}
