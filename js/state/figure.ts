/** What the heatmaps show: one facet per kind, and one scale for each line of them. */

import { isOwn, type Mine, ownMiss } from "./mine";
import { isHeadKind, KINDS, type Kind, nodeCell, parseNode } from "./node";
import { type Grid, missOf, type Verified } from "./results";
import type { Shown } from "./settings";

/** Facets stand in two lines, by what their columns are. */
export const LINES = ["position", "head"] as const;
export type Line = (typeof LINES)[number];

/** A matrix of effects with what is known of each cell. */
export interface EffectCells {
  rows: number;
  columns: number;
  /** Row by row; NaN where there is no value. */
  values: Float32Array;
  /** 1 where a value is absent because no exact patch was run, not because of NaN. */
  unknown: Uint8Array;
  /** 1 where the exact effect is known. */
  verified: Uint8Array;
}

export interface Facet extends EffectCells {
  kind: Kind;
  /** That of its grid, which need not be the chosen one. */
  method: string;
  /** False where the method gives sizes of effects only. */
  isSigned: boolean;
}

export interface Figure {
  shown: Shown;
  facets: ReadonlyMap<Kind, Facet>;
  /**
   * The value at the ends of each line's colours, which are symmetric around 0.
   * Estimates and exact effects set it in every mode, so that a colour keeps its
   * meaning when the mode changes; only a miss that is larger still widens it.
   */
  scales: Readonly<Record<Line, number>>;
}

export function lineOf(kind: Kind): Line {
  return isHeadKind(kind) ? "head" : "position";
}

/** A facet in which nothing has changed is the one of before: it need not be painted. */
export function makeFigure(
  grids: ReadonlyMap<Kind, Grid>,
  verified: ReadonlyMap<string, Verified>,
  shown: Shown,
  before?: Figure,
  mine: Mine = new Map(),
): Figure {
  const results = byKind(verified);
  const facets = new Map<Kind, Facet>();
  const scales = { position: 0, head: 0 };
  for (const kind of KINDS) {
    const grid = grids.get(kind);
    if (!grid) continue;
    const cells = (results.get(kind) ?? []).filter(
      ({ row, column }) => row < grid.rows && column < grid.columns,
    );
    const last = before?.facets.get(kind);
    const own = isOwn(shown) ? mine.get(kind) : undefined;
    const source = { grid, cells, shown, own };
    const facet = last && isMadeOf(last, source) ? last : makeFacet(source);
    SOURCES.set(facet, source);
    facets.set(kind, facet);
    const exact = cells.map(({ result }) => result.exact);
    const line = lineOf(kind);
    scales[line] = Math.max(
      scales[line],
      ...[grid.values, facet.values, exact].map(largest),
    );
  }
  return { shown, facets, scales };
}

interface CellResult {
  row: number;
  column: number;
  result: Verified;
}

interface Source {
  grid: Grid;
  cells: readonly CellResult[];
  shown: Shown;
  /** Somebody's own values, where those are shown. */
  own: Float32Array | undefined;
}

const SOURCES = new WeakMap<Facet, Source>();

function isMadeOf(facet: Facet, { grid, cells, shown, own }: Source): boolean {
  const old = SOURCES.get(facet);
  if (old?.grid !== grid || old.shown !== shown || old.own !== own) return false;
  return (
    old.cells.length === cells.length &&
    cells.every(({ row, column, result }, index) => {
      const other = old.cells[index];
      return (
        other?.row === row &&
        other.column === column &&
        other.result.estimate === result.estimate &&
        other.result.exact === result.exact
      );
    })
  );
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

function makeFacet({ grid, cells: results, shown, own }: Source): Facet {
  const { kind, rows, columns, values, method, isSigned } = grid;
  const isKnown = shown === "mine_miss" && own?.length === values.length;
  const base = isKnown ? "known" : shown;
  const cells = blankCells(rows, columns, values, base);
  for (const { row, column, result } of results) {
    showResult(cells, row * columns + column, result, base, isSigned);
  }
  if (own?.length === values.length) {
    cells.unknown.fill(0);
    cells.values = own.map((mine, index) =>
      isKnown ? ownMiss(mine, cells.values[index] ?? Number.NaN, isSigned) : mine,
    );
  }
  return { ...cells, kind, method, isSigned };
}

/** Cells of which nothing is verified yet. */
export function blankCells(
  rows: number,
  columns: number,
  estimates: Float32Array,
  shown: Shown,
): EffectCells {
  const isFull = shown === "estimate" || shown === "known";
  const size = rows * columns;
  return {
    rows,
    columns,
    values: isFull ? estimates.slice() : new Float32Array(size).fill(Number.NaN),
    unknown: new Uint8Array(size).fill(isFull ? 0 : 1),
    verified: new Uint8Array(size),
  };
}

/** Marks a cell as verified, and puts there what is shown of the result. */
export function showResult(
  cells: EffectCells,
  index: number,
  result: Verified,
  shown: Shown,
  isSigned: boolean,
): void {
  cells.verified[index] = 1;
  if (shown === "estimate" || isOwn(shown)) return;
  cells.unknown[index] = 0;
  cells.values[index] =
    shown === "miss" ? (missOf(result, isSigned) ?? Number.NaN) : result.exact;
}

/** The largest finite magnitude; 0 where there is none. */
export function largest(values: ArrayLike<number>): number {
  let found = 0;
  for (let index = 0; index < values.length; index++) {
    const size = Math.abs(values[index] ?? 0);
    if (size > found && Number.isFinite(size)) found = size;
  }
  return found;
}
