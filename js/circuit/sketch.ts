/** Where the parts of a circuit stand: layers up, heads by their number, paths between. */

import { clamp } from "../draw/geometry";
import type { HeadCounts } from "../state/place";
import { acrossOf, widthOf } from "./across";
import { type End, PORTS, type Port, parseEnds, servedBy } from "./ends";
import type { PathResult } from "./record";

export interface SketchNode {
  key: string;
  label: string;
  end: End;
  /** The middle. */
  x: number;
  y: number;
  width: number;
  /** What lines reach it by, with the place of each. */
  ports: ReadonlyMap<Port, number>;
}

export interface SketchEdge {
  key: string;
  path: string;
  result: PathResult;
  /** Keys of the nodes at its ends. */
  writer: string;
  reader: string;
  from: readonly [x: number, y: number];
  to: readonly [x: number, y: number];
  /** Width of the line. */
  size: number;
}

export interface Sketch {
  width: number;
  height: number;
  nodes: readonly SketchNode[];
  /** The smallest first, so that the largest lie on top. */
  edges: readonly SketchEdge[];
  /** A KV head beside the heads that it serves, of those that are drawn. */
  served: readonly (readonly [from: SketchNode, to: SketchNode])[];
  /** Names of rows, and the height at which each stands. */
  rows: readonly (readonly [label: string, y: number])[];
  /** Names of positions, where paths have any. */
  columns: readonly (readonly [label: string, x: number])[];
}

export const NODE_HEIGHT = 20;
const ROW_GAP = { most: 68, least: 44 };
/** Where there are many layers, they come closer. */
const COMFORTABLE_HEIGHT = 760;
const MARGIN = { top: 16, bottom: 16, columns: 18 };
const WIDEST = 7;
const THINNEST = 1;

export interface Extent extends HeadCounts {
  width: number;
  /** A position by its name. */
  positionName(pos: number): string;
}

export interface Placed {
  key: string;
  end: End;
  row: number;
  label: string;
  ports: Set<Port>;
}

export function sketchOf(results: ReadonlyMap<string, PathResult>, extent: Extent) {
  const drawn = [...results].filter(([, { exact }]) => Number.isFinite(exact));
  const parts = partsOf(drawn, extent);
  const rows = [...new Set(parts.map(({ row }) => row))].sort((a, b) => a - b);
  const columns = columnsOf(parts);
  const top = MARGIN.top + (columns.length > 1 ? MARGIN.columns : 0);
  const across = acrossOf(parts, columns, extent);
  const gap = clamp(COMFORTABLE_HEIGHT / rows.length, ROW_GAP.least, ROW_GAP.most);
  const yOf = (row: number) =>
    top + NODE_HEIGHT / 2 + (rows.length - 1 - rows.indexOf(row)) * gap;
  const nodes = parts.map((part) => ({
    ...part,
    x: across.places.get(part.key) ?? 0,
    y: yOf(part.row),
    width: widthOf(part),
    ports: portsOf(part, across.places.get(part.key) ?? 0),
  }));
  const byKey = new Map(nodes.map((node) => [node.key, node]));
  const height = top + NODE_HEIGHT + (rows.length - 1) * gap + MARGIN.bottom;
  const sketch: Sketch = {
    width: across.width,
    height: rows.length === 0 ? 0 : height,
    nodes,
    edges: edgesOf(drawn, byKey, extent),
    served: servedOf(nodes, extent),
    rows: layersOf(rows).map(([layer, row]) => [`layer ${layer}`, yOf(row)] as const),
    columns: columns.length > 1 ? across.columns : [],
  };
  return sketch;
}

function partsOf(
  drawn: readonly (readonly [string, PathResult])[],
  extent: Extent,
): Placed[] {
  const parts = new Map<string, Placed>();
  for (const [, { writer, reader }] of drawn) {
    for (const end of [...parseEnds(writer), ...parseEnds(reader)]) {
      if (!end) continue;
      const key = keyOf(end, extent);
      const label = labelOf(end, extent);
      const part = parts.get(key) ?? {
        key,
        end,
        label,
        row: rowOf(end, extent),
        ports: new Set<Port>(),
      };
      if (end.port) part.ports.add(end.port);
      parts.set(key, part);
    }
  }
  return [...parts.values()];
}

/** Keys and values that several heads share have a place of their own. */
function isShared({ port }: End, { heads, kvHeads }: HeadCounts): boolean {
  return (port === "k" || port === "v") && kvHeads > 0 && kvHeads < heads;
}

function keyOf(end: End, extent: Extent): string {
  const { part, layer, head, pos } = end;
  const kind = isShared(end, extent) ? "kv" : part;
  return [kind, layer, head, pos].join(" ");
}

function labelOf(end: End, extent: Extent): string {
  const { part, layer, head } = end;
  if (part === "embed") return "embedding";
  if (part === "final") return "logits";
  if (part === "mlp") return `L${layer} MLP`;
  return isShared(end, extent) ? `L${layer} KV${head}` : `L${layer}H${head}`;
}

const PER_LAYER = 3;

/** From below: what a head reads with, the head, the MLP after it. */
function rowOf(end: End, extent: Extent): number {
  const { part, layer } = end;
  if (part === "embed") return -1;
  if (part === "final" || layer === null) return Number.POSITIVE_INFINITY;
  if (part === "mlp") return PER_LAYER * layer + 2;
  return PER_LAYER * layer + (isShared(end, extent) ? 0 : 1);
}

/** Each layer with the lowest of its rows. */
function layersOf(rows: readonly number[]): [layer: number, row: number][] {
  const layers = new Map<number, number>();
  for (const row of rows) {
    const layer = Math.floor(row / PER_LAYER);
    if (row >= 0 && Number.isFinite(row) && !layers.has(layer)) layers.set(layer, row);
  }
  return [...layers];
}

/** Positions from left to right; null for what is not about one. */
function columnsOf(parts: readonly Placed[]): (number | null)[] {
  const found = new Set(parts.map(({ end }) => end.pos));
  const named = [...found].filter((pos) => pos !== null).sort((a, b) => a - b);
  return found.has(null) ? [...named, null] : named;
}

function portsOf(part: Placed, x: number): Map<Port, number> {
  const used = PORTS.filter((port) => part.ports.has(port));
  const step = (widthOf(part) - 8) / 2;
  return new Map(used.map((port) => [port, x + (PORTS.indexOf(port) - 1) * step]));
}

function edgesOf(
  drawn: readonly (readonly [string, PathResult])[],
  nodes: ReadonlyMap<string, SketchNode>,
  extent: Extent,
): SketchEdge[] {
  const most = Math.max(0, ...drawn.map(([, { exact }]) => Math.abs(exact))) || 1;
  const edges = drawn.flatMap(([path, result]) => {
    const share = Math.abs(result.exact) / most;
    const size = THINNEST + (WIDEST - THINNEST) * share;
    const nodeOf = (end: End | null) => end && nodes.get(keyOf(end, extent));
    return parseEnds(result.writer).flatMap((writer, first) =>
      parseEnds(result.reader).flatMap((reader, second): SketchEdge[] => {
        const [from, to] = [nodeOf(writer), nodeOf(reader)];
        if (!from || !to) return [];
        const x = (reader?.port && to.ports.get(reader.port)) ?? to.x;
        const ends = { writer: from.key, reader: to.key };
        const line = { from: topOf(from), to: [x, bottomOf(to)] as const };
        const key = `${path} ${first} ${second}`;
        return [{ key, path, result, size, ...ends, ...line }];
      }),
    );
  });
  return edges.sort((a, b) => a.size - b.size);
}

function topOf({ x, y }: SketchNode): [number, number] {
  return [x, y - NODE_HEIGHT / 2];
}

function bottomOf({ y }: SketchNode): number {
  return y + NODE_HEIGHT / 2;
}

function servedOf(nodes: readonly SketchNode[], extent: Extent) {
  return nodes
    .filter(({ end }) => isShared(end, extent))
    .flatMap((shared) =>
      nodes
        .filter(({ end }) => {
          const isHead = end.part === "head" && !isShared(end, extent);
          if (!isHead || end.head === null || end.layer !== shared.end.layer)
            return false;
          return servedBy(end.head, extent) === shared.end.head;
        })
        .map((head) => [shared, head] as const),
    );
}
