/** What the heatmaps show: one facet per kind, and one scale for all of them. */

import { cellNode, formatNode, HEAD_KINDS, type Kind, POSITION_KINDS } from "./node";
import type { Grid, Verified } from "./results";

export const SHOWN = ["estimate", "exact", "miss"] as const;
export type Shown = (typeof SHOWN)[number];

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
  const facets = new Map<Kind, Facet>();
  let scale = 0;
  for (const kind of [...POSITION_KINDS, ...HEAD_KINDS]) {
    const grid = grids.get(kind);
    if (!grid) continue;
    const facet = makeFacet(grid, verified, shown);
    facets.set(kind, facet);
    scale = Math.max(scale, largest(grid.values), largest(facet.values));
  }
  return { shown, facets, scale };
}

export function missOf({ estimate, exact }: Verified): number | null {
  return estimate === null ? null : Math.abs(exact - estimate);
}

function makeFacet(
  grid: Grid,
  verified: ReadonlyMap<string, Verified>,
  shown: Shown,
): Facet {
  const { kind, rows, columns } = grid;
  const facet: Facet = {
    kind,
    rows,
    columns,
    values: shown === "estimate" ? grid.values : new Float32Array(grid.values.length),
    unknown: new Uint8Array(grid.values.length),
    verified: new Uint8Array(grid.values.length),
  };
  for (let index = 0; index < grid.values.length; index++) {
    const node = cellNode(kind, Math.floor(index / columns), index % columns);
    const result = verified.get(formatNode(node));
    facet.verified[index] = result ? 1 : 0;
    if (shown === "estimate") continue;
    facet.unknown[index] = result ? 0 : 1;
    facet.values[index] = shownValue(result, shown);
  }
  return facet;
}

function shownValue(result: Verified | undefined, shown: "exact" | "miss"): number {
  if (!result) return Number.NaN;
  return shown === "exact" ? result.exact : (missOf(result) ?? Number.NaN);
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
