/** What the kernel has computed: grids of estimates, verified nodes, the job's state. */

import { isHeadKind, isPositionKind, type Kind, type Node, nodeCell } from "./node";
import {
  floats,
  list,
  measured,
  nullable,
  oneOf,
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

export const JOB_STATES = ["idle", "running", "done", "failed", "cancelled"] as const;

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
  const kind = text(raw.kind, `${where}.kind`);
  if (!isHeadKind(kind) && !isPositionKind(kind)) {
    throw new ShapeError(`${where}.kind`, "a known kind", kind);
  }
  const axes = list(text)(raw.axes, `${where}.axes`).join();
  const expected = isHeadKind(kind) ? "layer,head" : "layer,pos";
  if (axes !== expected) throw new ShapeError(`${where}.axes`, expected, axes);
  const [rows = 0, columns = 0] = list(whole)(raw.shape, `${where}.shape`);
  const values = floats(raw.data, `${where}.data`);
  if (values.length !== rows * columns) {
    throw new ShapeError(`${where}.data`, `${rows} x ${columns} values`, values.length);
  }
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
  const all = floats(value, `${where}.spread`);
  if (all.length !== 4 * size) {
    throw new ShapeError(`${where}.spread`, `4 x ${size} values`, all.length);
  }
  const part = (index: number) => all.subarray(index * size, (index + 1) * size);
  return { low: part(0), high: part(1), from: part(2), to: part(3) };
}

/** The estimate of a node, from its result or its kind's grid; null without either. */
export function estimateOf(
  node: Node | null,
  result: Verified | undefined,
  grids: ReadonlyMap<Kind, Grid>,
): number | null {
  return result?.estimate ?? estimateAt(grids, node);
}

function estimateAt(grids: ReadonlyMap<Kind, Grid>, node: Node | null): number | null {
  const grid = node && grids.get(node.kind);
  const cell = node && nodeCell(node);
  if (!grid || !cell || cell.row >= grid.rows || cell.column >= grid.columns)
    return null;
  return grid.values[cell.row * grid.columns + cell.column] ?? null;
}

export function readVerified(value: unknown, where: string): Verified {
  const raw = record(value, where);
  return {
    estimate: nullable(measured)(raw.estimate, `${where}.estimate`),
    exact: measured(raw.exact, `${where}.exact`),
    raw: measured(raw.raw, `${where}.raw`),
    perPair: list(measured)(raw.per_pair, `${where}.per_pair`),
    halves: nullable(readTwo)(raw.halves, `${where}.halves`),
    interval: nullable(readTwo)(raw.interval, `${where}.interval`),
  };
}

/** `NO_JOB` before the first one. */
export function readJob(value: unknown): Job {
  if (value == null) return NO_JOB;
  const raw = record(value, "job");
  if (Object.keys(raw).length === 0) return NO_JOB;
  return {
    id: whole(raw.id, "job.id"),
    state: oneOf(...JOB_STATES)(raw.state, "job.state"),
    done: measured(raw.done, "job.done"),
    total: measured(raw.total, "job.total"),
    label: text(raw.label ?? "", "job.label"),
    secondsLeft: null,
    error: nullable(readError)(raw.error, "job.error"),
  };
}

function readTwo(value: unknown, where: string): [number, number] {
  const [first, second] = list(measured)(value, where);
  if (first === undefined || second === undefined) {
    throw new ShapeError(where, "two numbers", value);
  }
  return [first, second];
}

function readError(value: unknown, where: string): { type: string; message: string } {
  const raw = record(value, where);
  return {
    type: text(raw.type, `${where}.type`),
    message: text(raw.message, `${where}.message`),
  };
}
