/** What the heatmaps hold, as a table for other programs. */

import { type Mine, mineAt } from "./mine";
import { nodeNickname } from "./names";
import { cellNode, formatNode, type Kind, type Node, parseNode } from "./node";
import { type Grid, MEAN_SIZE, missOf, type Verified } from "./results";
import type { Study } from "./study";

const COLUMNS = [
  "node",
  "kind",
  "layer",
  "head",
  "pos",
  "src",
  "token",
  "name",
  "metric",
  "direction",
  "method",
  "estimate",
  "estimate_is",
  "estimate_from",
  "estimate_to",
  "exact",
  "exact_from",
  "exact_to",
  "exact_raw",
  "miss",
  "mine",
  "mine_miss",
] as const;

type Column = (typeof COLUMNS)[number];
type Row = Partial<Record<Column, string | number | null>>;

export interface Results {
  study: Study;
  grids: ReadonlyMap<Kind, Grid>;
  verified: ReadonlyMap<string, Verified>;
  mine: Mine;
  names: Readonly<Record<string, string>>;
  /** The chosen one, by which nodes without a cell were estimated. */
  method: string;
}

/** A line per cell of every grid, then one per verified node that has no cell. */
export function toCsv(results: Results): string {
  const rows = [...results.grids.values()].flatMap((grid) => gridRows(results, grid));
  const drawn = new Set(rows.map(({ node }) => node));
  for (const [name, result] of results.verified) {
    if (!drawn.has(name)) rows.push(finerRow(results, name, result));
  }
  const lines = rows.map((row) => COLUMNS.map((name) => field(row[name])).join(","));
  return `${[COLUMNS.join(","), ...lines].join("\r\n")}\r\n`;
}

function gridRows(results: Results, grid: Grid): Row[] {
  return Array.from(grid.values, (estimate, index) => {
    const layer = Math.floor(index / grid.columns);
    const node = cellNode(grid.kind, layer, index % grid.columns);
    const result = results.verified.get(formatNode(node));
    const own = mineAt(results.mine, grid, node, result);
    return {
      ...nodeFields(results, node),
      method: grid.method,
      estimate,
      estimate_is: averageOf(grid.isSigned),
      estimate_from: grid.spread?.from[index] ?? null,
      estimate_to: grid.spread?.to[index] ?? null,
      ...(result ? resultFields(result, grid.isSigned) : {}),
      mine: own?.value ?? null,
      mine_miss: own?.miss ?? null,
    };
  });
}

/** A head at a position, a neuron: its estimate came with its result. */
function finerRow(results: Results, name: string, result: Verified): Row {
  const node = parseNode(name);
  const grid = node ? results.grids.get(node.kind) : undefined;
  const { metric, direction } = results.study;
  const isSigned = grid?.isSigned ?? true;
  return {
    ...(node
      ? nodeFields(results, node)
      : { node: name, metric: metric.name, direction }),
    method: result.estimate === null ? null : (grid?.method ?? results.method),
    estimate: result.estimate,
    estimate_is: result.estimate === null ? null : averageOf(isSigned),
    ...resultFields(result, isSigned),
  };
}

/** Sizes do not cancel between pairs as effects do: the two rank nodes differently. */
function averageOf(isSigned: boolean): string {
  return isSigned ? "mean over pairs" : MEAN_SIZE;
}

function nodeFields({ study, names }: Results, node: Node): Row {
  const { kind, layer, head, pos, src } = node;
  return {
    node: formatNode(node),
    kind,
    layer,
    head,
    pos,
    src,
    token: pos === null ? null : (study.pairs[0]?.clean[pos] ?? null),
    name: nodeNickname(names, node, study) || null,
    metric: study.metric.name,
    direction: study.direction,
  };
}

function resultFields(result: Verified, isSigned: boolean): Row {
  return {
    exact: result.exact,
    exact_from: result.interval?.[0] ?? null,
    exact_to: result.interval?.[1] ?? null,
    exact_raw: result.raw,
    miss: missOf(result, isSigned),
  };
}

/** Empty for what is not there; quoted where a token holds what would break the table. */
function field(value: string | number | null | undefined): string {
  if (value == null || Number.isNaN(value)) return "";
  const text = `${value}`;
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
