/** What the kernel has computed: grids of estimates, verified nodes, the job's state. */

import { isHeadKind, KINDS, type Kind, type Node, nodeCell } from "./node";
import {
  fields,
  floats,
  list,
  measured,
  nullable,
  oneOf,
  optional,
  record,
  ShapeError,
  text,
  whole,
} from "./shape";

/** Estimates of one kind; NaN where a value is missing. */
export interface Grid {
  kind: Kind;
  /** The chosen one, or `atp` where that does not give this kind. */
  method: string;
  /** False where the method gives sizes of effects only. */
  isSigned: boolean;
  rows: number;
  columns: number;
  /** Row by row. */
  values: Float32Array;
  /** How the pairs are spread, row by row each; null with a single pair. */
  spread: Spread | null;
}

export interface Spread {
  /** The range over pairs. */
  low: Float32Array;
  high: Float32Array;
  /** A bootstrap interval of the mean. */
  from: Float32Array;
  to: Float32Array;
}

export interface Verified {
  estimate: number | null;
  exact: number;
  /** The exact change of the metric, not divided by the study's scale. */
  raw: number;
  perPair: number[];
  /** What the right answer's rise and the other's fall contribute to `exact`. */
  halves: [rise: number, fall: number] | null;
  /** A bootstrap interval of `exact` over pairs; null with a single pair. */
  interval: [from: number, to: number] | null;
}

const JOB_STATES = ["idle", "running", "done", "failed", "cancelled"] as const;

export interface Job {
  id: number;
  /** "lost" is what the page makes of a job whose kernel is gone. */
  state: (typeof JOB_STATES)[number] | "lost";
  done: number;
  total: number;
  label: string;
  /** How long it will still take; null while nobody can tell. */
  secondsLeft: number | null;
  error: { type: string; message: string } | null;
}

export const NO_JOB: Job = {
  id: 0,
  state: "idle",
  done: 0,
  total: 0,
  label: "",
  secondsLeft: null,
  error: null,
};

export function readGrid(value: unknown, where: string): Grid {
  const raw = record(value, where);
  const kind = oneOf(...KINDS)(raw.kind, `${where}.kind`);
  const axes = list(text)(raw.axes, `${where}.axes`).join();
  const expected = isHeadKind(kind) ? "layer,head" : "layer,pos";
  if (axes !== expected) throw new ShapeError(`${where}.axes`, expected, axes);
  const [rows = 0, columns = 0] = list(whole)(raw.shape, `${where}.shape`);
  const values = floats(raw.data, `${where}.data`, rows * columns);
  return {
    kind,
    method: text(raw.method, `${where}.method`),
    isSigned: raw.signed !== false,
    rows,
    columns,
    values,
    spread: raw.spread == null ? null : readSpread(raw.spread, values.length, where),
  };
}

/** Low, high, from, to: one after the other. */
function readSpread(value: unknown, size: number, where: string): Spread {
  const all = floats(value, `${where}.spread`, 4 * size);
  const part = (index: number) => all.subarray(index * size, (index + 1) * size);
  return { low: part(0), high: part(1), from: part(2), to: part(3) };
}

/** What a verification ranks by, and what methods without signs give. */
export const MEAN_SIZE = "mean size over pairs";

/** What an estimate is compared with: of a method without signs, the size. */
export function comparedWith(exact: number, isSigned: boolean): number {
  return isSigned ? exact : Math.abs(exact);
}

/** How far an estimate is off; NaN where either is no number. */
export function missOf(
  { estimate, exact }: Pick<Verified, "estimate" | "exact">,
  isSigned = true,
): number | null {
  return estimate === null ? null : Math.abs(comparedWith(exact, isSigned) - estimate);
}

/** The estimate of a node, from its result or its kind's grid; null without either. */
export function estimateOf(
  node: Node | null,
  result: Verified | undefined,
  grids: ReadonlyMap<Kind, Grid>,
): number | null {
  return result?.estimate ?? (node && valueAt(grids.get(node.kind), node));
}

/** A node's value, of a grid's own or of others that stand alike; null without a cell. */
export function valueAt(
  grid: Grid | undefined,
  node: Node,
  values: Float32Array | undefined = grid?.values,
): number | null {
  const cell = nodeCell(node);
  if (!grid || !cell || cell.row >= grid.rows || cell.column >= grid.columns)
    return null;
  return values?.[cell.row * grid.columns + cell.column] ?? null;
}

export const readVerified = fields<Verified>({
  estimate: nullable(measured),
  exact: measured,
  raw: measured,
  perPair: list(measured),
  halves: nullable(readTwo),
  interval: nullable(readTwo),
});

const readJobFields = fields<Omit<Job, "secondsLeft">>({
  id: whole,
  state: oneOf(...JOB_STATES),
  done: measured,
  total: measured,
  label: optional(text, ""),
  error: nullable(fields({ type: text, message: text })),
});

/** `NO_JOB` before the first one. */
export function readJob(value: unknown): Job {
  if (value == null) return NO_JOB;
  const raw = record(value, "job");
  if (Object.keys(raw).length === 0) return NO_JOB;
  return { ...readJobFields(raw, "job"), secondsLeft: null };
}

function readTwo(value: unknown, where: string): [number, number] {
  const [first, second] = list(measured)(value, where);
  if (first === undefined || second === undefined) {
    throw new ShapeError(where, "two numbers", value);
  }
  return [first, second];
}
