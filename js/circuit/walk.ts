/** The way through the sketch by arrow keys: from node to node, and along paths. */

import { movedCell } from "../draw/geometry";
import type { Sketch, SketchEdge, SketchNode } from "./sketch";

/** Where one is, and the node that one was at last. */
export interface Stand {
  at: string;
  home: string;
}

/** Where the way begins: at the top, at the left. */
export function firstStop({ nodes }: Sketch): string | undefined {
  return rowsOf(nodes)[0]?.[0]?.key;
}

/**
 * The key of what an arrow leads to; null for another key. `isAlong` goes from a node to
 * its largest path on that side. From a path up and down lead to its ends, left and right
 * to its neighbours among those of the node that one came from.
 */
export function nextStop(
  sketch: Sketch,
  { at, home }: Stand,
  arrow: string,
  isAlong: boolean,
): string | null {
  const edge = sketch.edges.find(({ key }) => key === at);
  if (edge) return besideEdge(sketch, edge, home, arrow);
  const side = isAlong && SIDES.get(arrow);
  if (!side) return besideNode(sketch, at, arrow);
  return sketch.edges.filter((one) => one[side] === at).at(-1)?.key ?? at;
}

/** What a node is to the paths above it, and below. */
const SIDES: ReadonlyMap<string, "writer" | "reader"> = new Map([
  ["ArrowUp", "writer"],
  ["ArrowDown", "reader"],
]);

/** In its row; in the next row the node that is nearest. */
function besideNode({ nodes }: Sketch, at: string, arrow: string): string | null {
  const rows = rowsOf(nodes);
  const row = rows.findIndex((some) => some.some(({ key }) => key === at));
  const own = rows[row] ?? [];
  const column = own.findIndex(({ key }) => key === at);
  const shape = { rows: rows.length, columns: own.length };
  const to = movedCell({ row, column }, arrow, shape);
  if (!to) return null;
  if (to.row === row) return own[to.column]?.key ?? at;
  const from = own[column]?.x ?? 0;
  const off = ({ x }: SketchNode) => Math.abs(x - from);
  return rows[to.row]?.reduce((a, b) => (off(b) < off(a) ? b : a)).key ?? at;
}

function besideEdge(
  { edges }: Sketch,
  edge: SketchEdge,
  home: string,
  arrow: string,
): string | null {
  if (arrow === "ArrowUp") return edge.reader;
  if (arrow === "ArrowDown") return edge.writer;
  const [side, far] =
    edge.writer === home ? (["writer", "to"] as const) : (["reader", "from"] as const);
  const row = edges
    .filter((one) => one[side] === edge[side])
    .sort((a, b) => a[far][0] - b[far][0]);
  const column = row.indexOf(edge);
  const to = movedCell({ row: 0, column }, arrow, { rows: 1, columns: row.length });
  return to && (row[to.column]?.key ?? edge.key);
}

/** From above, each from the left. */
function rowsOf(nodes: readonly SketchNode[]): SketchNode[][] {
  const heights = [...new Set(nodes.map(({ y }) => y))].sort((a, b) => a - b);
  return heights.map((height) =>
    nodes.filter(({ y }) => y === height).sort((a, b) => a.x - b.x),
  );
}
