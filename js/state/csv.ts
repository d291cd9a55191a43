/** What the heatmaps hold, as a table for other programs. */

import { missOf } from "./figure";
import { nodeNickname } from "./names";
import { cellNode, formatNode, type Kind, parseNode } from "./node";
import type { Grid, Verified } from "./results";
import type { Study } from "./study";

const COLUMNS = [
  "node",
  "kind",
  "layer",
  "head",
  "pos",
  "token",
  "name",
  "method",
  "estimate",
  "estimate_from",
  "estimate_to",
  "exact",
  "exact_from",
  "exact_to",
  "exact_raw",
  "miss",
] as const;

type Column = (typeof COLUMNS)[number];
type Row = Partial<Record<Column, string | number | null>>;

export interface Results {
  study: Study;
  grids: ReadonlyMap<Kind, Grid>;
  verified: ReadonlyMap<string, Verified>;
  names: Readonly<Record<string, string>>;
}

/** A line per cell of every grid, then one per verified node that has no cell. */
export function toCsv(results: Results): string {
  const rows = [...results.grids.values()].flatMap((grid) => gridRows(results, grid));
  const drawn = new Set(rows.map(({ node }) => node));
  for (const [node, result] of results.verified) {
    if (drawn.has(node)) continue;
    const kind = parseNode(node)?.kind;
    const isSigned = (kind && results.grids.get(kind)?.isSigned) ?? true;
    rows.push({ node, ...resultFields(result, isSigned) });
  }
  const lines = rows.map((row) => COLUMNS.map((name) => field(row[name])).join(","));
  return `${[COLUMNS.join(","), ...lines].join("\r\n")}\r\n`;
}

function gridRows({ study, verified, names }: Results, grid: Grid): Row[] {
  return Array.from(grid.values, (estimate, index) => {
    const layer = Math.floor(index / grid.columns);
    const node = cellNode(grid.kind, layer, index % grid.columns);
    const name = formatNode(node);
    const result = verified.get(name);
    const { head, pos } = node;
    return {
      node: name,
      kind: grid.kind,
      layer,
      head,
      pos,
      token: pos === null ? null : (study.pairs[0]?.clean[pos] ?? null),
      name: nodeNickname(names, node, study) || null,
      method: grid.method,
      estimate,
      estimate_from: grid.spread?.from[index] ?? null,
      estimate_to: grid.spread?.to[index] ?? null,
      ...(result ? resultFields(result, grid.isSigned) : {}),
    };
  });
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
