/**
 * The nodes that scatter and ranking are about: those of the kind in focus, or of all
 * shown kinds, with what is known of each.
 */

import { cellNode, formatNode, KINDS, type Kind, type Node, parseNode } from "./node";
import { comparedWith, type Grid, missOf, type Verified } from "./results";

export interface FocusNode {
  name: string;
  node: Node;
  /** False for nodes that are finer than the cells of their kind's grid. */
  hasCell: boolean;
  /** False where the estimate is a size, to be compared with the size of the effect. */
  isSigned: boolean;
  /** NaN where the method gave no number; null where there is no estimate at all. */
  estimate: number | null;
  /** The exact effect; null where no patch was run. */
  exact: number | null;
  /** What the estimate is compared with: `exact`, or its size. */
  compared: number | null;
  /** The bootstrap interval of `compared`; null where there is none. */
  interval: readonly [from: number, to: number] | null;
  /** |compared − estimate|; null where either is no number. */
  miss: number | null;
}

type Grids = ReadonlyMap<Kind, Grid>;
type Results = ReadonlyMap<string, Verified>;

/** The kinds in focus that have a grid; empty text stands for all of them. */
export function focusKinds(grids: Grids, focus: Kind | ""): Kind[] {
  return KINDS.filter((kind) => grids.has(kind) && (focus === "" || focus === kind));
}

/** Cells first, kind by kind and layer by layer, then the verified nodes without one. */
export function focusNodes(
  grids: Grids,
  verified: Results,
  focus: Kind | "",
): FocusNode[] {
  const cells = focusKinds(grids, focus).flatMap((kind) => {
    const grid = grids.get(kind);
    return grid ? gridNodes(grid, verified) : [];
  });
  const known = new Set(cells.map(({ name }) => name));
  const finer = [...verified].flatMap(([name, result]) => {
    const node = known.has(name) ? null : parseNode(name);
    const grid = node && grids.get(node.kind);
    const isAsked = grid && (focus === "" || focus === node.kind);
    return isAsked ? [makeNode(name, node, grid, null, result)] : [];
  });
  return [...cells, ...finer];
}

export function isVerified({ exact }: FocusNode): boolean {
  return exact !== null;
}

/** A number that can be drawn and compared. */
export function isNumber(value: number | null): value is number {
  return value !== null && Number.isFinite(value);
}

function gridNodes(grid: Grid, verified: Results): FocusNode[] {
  return Array.from(grid.values, (estimate, index) => {
    const row = Math.floor(index / grid.columns);
    const node = cellNode(grid.kind, row, index - row * grid.columns);
    const name = formatNode(node);
    return makeNode(name, node, grid, estimate, verified.get(name));
  });
}

function makeNode(
  name: string,
  node: Node,
  { isSigned }: Grid,
  cell: number | null,
  result: Verified | undefined,
): FocusNode {
  const estimate = result?.estimate ?? cell;
  const exact = result?.exact ?? null;
  const compared = exact === null ? null : comparedWith(exact, isSigned);
  const miss = exact === null ? null : missOf({ estimate, exact }, isSigned);
  return {
    name,
    node,
    hasCell: cell !== null,
    isSigned,
    estimate,
    exact,
    compared,
    interval: comparedInterval(result?.interval ?? null, isSigned),
    miss: isNumber(miss) ? miss : null,
  };
}

/** An interval of a size begins at 0 where that of the effect lies on both sides of it. */
function comparedInterval(
  interval: FocusNode["interval"],
  isSigned: boolean,
): FocusNode["interval"] {
  if (!interval?.every(Number.isFinite)) return null;
  const [from, to] = interval;
  if (isSigned) return [from, to];
  const [a, b] = [Math.abs(from), Math.abs(to)];
  return [from <= 0 && to >= 0 ? 0 : Math.min(a, b), Math.max(a, b)];
}
