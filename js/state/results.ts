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
  method: string;
  rows: number;
  columns: number;
  /** Row by row. */
  values: Float32Array;
}

export interface Verified {
  estimate: number | null;
  exact: number;
  /** The exact change of the metric, not divided by the study's scale. */
  raw: number;
  perPair: number[];
  /** What the right answer's rise and the other's fall contribute to `exact`. */
  halves: [rise: number, fall: number] | null;
}

export const JOB_STATES = ["idle", "running", "done", "failed", "cancelled"] as const;

export interface Job {
  id: number;
  state: (typeof JOB_STATES)[number];
  done: number;
  total: number;
  label: string;
  error: { type: string; message: string } | null;
}

export const NO_JOB: Job = {
  id: 0,
  state: "idle",
  done: 0,
  total: 0,
  label: "",
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
  return { kind, method: text(raw.method, `${where}.method`), rows, columns, values };
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
    halves: nullable(readHalves)(raw.halves, `${where}.halves`),
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
    error: nullable(readError)(raw.error, "job.error"),
  };
}

function readHalves(value: unknown, where: string): [number, number] {
  const [rise, fall] = list(measured)(value, where);
  if (rise === undefined || fall === undefined) {
    throw new ShapeError(where, "rise and fall", value);
  }
  return [rise, fall];
}

function readError(value: unknown, where: string): { type: string; message: string } {
  const raw = record(value, where);
  return {
    type: text(raw.type, `${where}.type`),
    message: text(raw.message, `${where}.message`),
  };
}
