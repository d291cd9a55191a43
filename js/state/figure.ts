/** What the heatmaps show: one facet per kind, and one scale for all of them. */

import { KINDS, type Kind, nodeCell, parseNode } from "./node";
import type { Grid, Verified } from "./results";
import type { Shown } from "./settings";

export interface Facet {
  kind: Kind;
  rows: number;
  columns: number;
  /** Row by row; NaN where there is no value. */
  values: Float32Array;
  /** 1 where a value is absent because no exact patch was run, not because of NaN. */
  unknown: Uint8Array;
  /** 1 where the exact effect is known. */
  verified: Uint8Array;
}

export interface Figure {
  shown: Shown;
  facets: ReadonlyMap<Kind, Facet>;
  /**
   * The value at the ends of the colour scale, which is symmetric and the same for
   * all facets. Estimates set it in every mode, so that a colour keeps its meaning
   * when the mode changes; larger exact effects or misses widen it.
   */
  scale: number;
}

export function makeFigure(
  grids: ReadonlyMap<Kind, Grid>,
  verified: ReadonlyMap<string, Verified>,
  shown: Shown,
): Figure {
  const results = byKind(verified);
  const facets = new Map<Kind, Facet>();
  let scale = 0;
  for (const kind of KINDS) {
    const grid = grids.get(kind);
    if (!grid) continue;
    const facet = makeFacet(grid, results.get(kind) ?? [], shown);
    facets.set(kind, facet);
    scale = Math.max(scale, largest(grid.values), largest(facet.values));
  }
  return { shown, facets, scale };
}

export function missOf({ estimate, exact }: Verified): number | null {
  return estimate === null ? null : Math.abs(exact - estimate);
}

interface CellResult {
  row: number;
  column: number;
  result: Verified;
}

/** The results that have a cell; those of finer nodes have none. */
function byKind(verified: ReadonlyMap<string, Verified>): Map<Kind, CellResult[]> {
  const found = new Map<Kind, CellResult[]>();
  for (const [name, result] of verified) {
    const node = parseNode(name);
    const cell = node && nodeCell(node);
    if (!cell) continue;
    const others = found.get(node.kind) ?? [];
    others.push({ ...cell, result });
    found.set(node.kind, others);
  }
  return found;
}

function makeFacet(grid: Grid, results: readonly CellResult[], shown: Shown): Facet {
  const { kind, rows, columns, values } = grid;
  const isFull = shown === "estimate" || shown === "known";
  const facet: Facet = {
    kind,
    rows,
    columns,
    values: isFull ? values.slice() : new Float32Array(values.length).fill(Number.NaN),
    unknown: new Uint8Array(values.length).fill(isFull ? 0 : 1),
    verified: new Uint8Array(values.length),
  };
  for (const { row, column, result } of results) {
    if (row >= rows || column >= columns) continue;
    const index = row * columns + column;
    facet.verified[index] = 1;
    if (shown === "estimate") continue;
    facet.unknown[index] = 0;
    facet.values[index] =
      shown === "miss" ? (missOf(result) ?? Number.NaN) : result.exact;
  }
  return facet;
}

/** The largest finite magnitude; 0 where there is none. */
function largest(values: Float32Array): number {
  let found = 0;
  for (const value of values) {
    const size = Math.abs(value);
    if (size > found && Number.isFinite(size)) found = size;
  }
  return found;
}
