/** The paths of one head or MLP, by what reads them: estimate and exact effect. */

import type { HeadCounts } from "../state/place";
import type { Arrivals, Entry } from "./arrivals";
import { PORTS, parseEnd, servedBy } from "./ends";
import type { PathResult } from "./record";

export interface PathRow {
  path: string;
  /** The name of the other end. */
  end: string;
  estimate: number | null;
  /** Null where it was not run. */
  result: PathResult | null;
}

export interface Group {
  /** `q`, `k`, `v`, `mlp` or `out`. */
  name: string;
  /** Who reads, or writes: under shared keys and values a KV head. */
  subject: string;
  /** Largest estimate first, then what is known without one. */
  rows: readonly PathRow[];
}

type Results = ReadonlyMap<string, PathResult>;

/** Without estimates, what was run. */
export function groupsOf(
  node: string,
  arrivals: Arrivals | null,
  results: Results,
  counts: HeadCounts,
): Group[] {
  const into = subjects(node, counts).map(([name, subject]) => {
    const entries = arrivals?.into.get(name) ?? [];
    const isHere = ({ reader }: PathResult) => reader === subject;
    const rows = rowsOf(entries, results, isHere, ({ writer }) => writer);
    return { name, subject, rows };
  });
  const isHere = ({ writer }: PathResult) => writer === node;
  const rows = rowsOf(arrivals?.out ?? [], results, isHere, ({ reader }) => reader);
  return [...into, { name: "out", subject: node, rows }];
}

/** What a head or an MLP reads with, by the names of readers. */
function subjects(node: string, counts: HeadCounts): [name: string, subject: string][] {
  const { layer, head } = parseEnd(node) ?? {};
  if (head == null) return [["mlp", node]];
  const kvHead = servedBy(head, counts);
  return PORTS.map((port) => {
    return [port, `L${layer}H${port === "q" ? head : kvHead}.${port}`];
  });
}

function rowsOf(
  entries: readonly Entry[],
  results: Results,
  isHere: (result: PathResult) => boolean,
  endOf: (result: PathResult) => string,
): PathRow[] {
  const estimated = entries.map(({ path, end, value }) => {
    return { path, end, estimate: value, result: results.get(path) ?? null };
  });
  const named = new Set(entries.map(({ path }) => path));
  const others = [...results].filter(([path, one]) => !named.has(path) && isHere(one));
  const known = others
    .sort(([, a], [, b]) => Math.abs(b.exact) - Math.abs(a.exact))
    .map(([path, result]) => {
      return { path, end: endOf(result), estimate: result.estimate, result };
    });
  return [...estimated, ...known];
}

/** The value at the ends of the bars; 0 where there is none. */
export function scaleOf(groups: readonly Group[]): number {
  const values = groups.flatMap(({ rows }) =>
    rows.flatMap(({ estimate, result }) => [estimate ?? 0, result?.exact ?? 0]),
  );
  // One by one: there may be more than a call can take.
  return values.reduce((most, value) => {
    return Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most;
  }, 0);
}

/** Paths that were not run, those of largest estimate first. */
export function notRun(groups: readonly Group[], most: number): string[] {
  const size = ({ estimate }: PathRow) => Math.abs(estimate ?? 0) || 0; // NaN last
  return groups
    .flatMap(({ rows }) => rows.filter(({ result }) => result === null))
    .sort((a, b) => size(b) - size(a))
    .slice(0, most)
    .map(({ path }) => path);
}
