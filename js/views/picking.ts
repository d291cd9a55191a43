/** Picks from a canvas of cells, each of which is a node. */

import { computed, type ReadonlySignal } from "@preact/signals-core";
import { type Cell, type CellRect, cellCount, cellsIn } from "../draw/geometry";
import type { Plot } from "../draw/plot";
import { onAbort } from "../host/life";
import { namedHead, nodeNickname } from "../state/names";
import { formatNode, isHeadKind, type Node, parseNode } from "../state/node";
import { nodePlace } from "../state/place";
import { estimateOf } from "../state/results";
import { MAX_DRAGGED, type PickMode } from "../state/selection";
import type { Naming } from "../state/ui";
import { type CellActions, listenToCells } from "./cells";
import { pickAll, pickNode } from "./link";
import type { View } from "./view";
import { counted, valueWords } from "./words";

export interface NodeCells {
  /** Rows and columns now. */
  shape: ReadonlySignal<{ rows: number; columns: number } | undefined>;
  nodeAt(row: number, column: number): Node | null;
  /** What is estimated there, where the grids do not tell. */
  estimateAt?(row: number, column: number): number | null;
}

/** Hover, picks, rectangles, names: what every matrix of nodes can do. */
export function listenToNodes(view: View, cells: NodeCells, plot: Plot): void {
  const { ui, signal } = view;
  const shape = () => cells.shape.peek() ?? { rows: 0, columns: 0 };
  const hover = hoverActions(view, cells, plot);
  const actions: CellActions = {
    ...hover,
    ...pickActions(view, cells),
    shape,
    reveal: ({ column }) => plot.reveal(column),
    rename(cell) {
      const naming = namingAt(view, cells, cell, plot.canvas);
      if (naming) ui.naming.value = naming;
    },
    ask({ row, column }) {
      const node = cells.nodeAt(row, column);
      if (node && isHeadKind(node.kind)) ui.asked.value = node;
    },
  };
  listenToCells(plot.canvas, actions, signal);
}

/** The pointer, and a rectangle that follows it. */
function hoverActions(view: View, { nodeAt, estimateAt }: NodeCells, plot: Plot) {
  const { store, ui, signal } = view;
  let last = "";
  const hover = (cell: Cell | null) => {
    const study = store.study.peek();
    const node = cell && nodeAt(cell.row, cell.column);
    const name = node ? formatNode(node) : "";
    if (name === last && (name === "" || ui.hover.peek() !== null)) return;
    last = name;
    ui.hover.value = node && study ? nodePlace(node, study) : null;
    const estimate = cell && estimateAt?.(cell.row, cell.column);
    plot.tip(cell, node ? tipText(view, node, estimate) : undefined);
  };
  const outline = (rect: CellRect | null) => {
    const count = rect ? cellCount(rect) : 0;
    plot.outline(rect, counted(count, "cell"), count > MAX_DRAGGED);
    if (rect) plot.tip(null);
  };
  // A plot that is taken away under the pointer is not told that the pointer left.
  onAbort(signal, () => hover(null));
  return { hover, outline };
}

function pickActions(view: View, { nodeAt }: NodeCells) {
  const { store, ui } = view;
  return {
    pick({ row, column }: Cell, mode: PickMode) {
      ui.refusal.value = "";
      const node = nodeAt(row, column);
      if (node) pickNode(view, formatNode(node), mode);
    },
    pickAll(rect: CellRect, mode: PickMode) {
      const count = cellCount(rect);
      ui.refusal.value = count > MAX_DRAGGED ? refusal(count) : "";
      if (count > MAX_DRAGGED) return;
      const nodes = [...cellsIn(rect)].map(({ row, column }) => nodeAt(row, column));
      pickAll(view, nodes.filter((node) => node !== null).map(formatNode), mode);
    },
    clear() {
      ui.refusal.value = "";
      store.set("selection", []);
    },
  };
}

/** Where a head's name is written: at the lower left of its cell. */
function namingAt(
  { store }: View,
  { nodeAt, shape }: NodeCells,
  { row, column }: Cell,
  from: HTMLElement,
): Naming | null {
  const node = nodeAt(row, column);
  const study = store.study.peek();
  const head = node && study && namedHead(node, study);
  if (!head) return null;
  const { left, top, width, height } = from.getBoundingClientRect();
  const { rows, columns } = shape.peek() ?? { rows: 1, columns: 1 };
  return {
    head,
    left: left + (column / columns) * width,
    top: top + ((row + 1) / rows) * height,
    from,
  };
}

function refusal(count: number): string {
  return (
    `${counted(count, "cell")}: more than ${MAX_DRAGGED} are not picked at once, ` +
    "since each is an exact patch. Draw a smaller rectangle."
  );
}

function tipText(
  { store }: View,
  node: Node,
  known: number | null | undefined,
): [title: string, rest: string] {
  const name = formatNode(node);
  const study = store.study.peek();
  const nickname = study ? nodeNickname(store.names.peek(), node, study) : "";
  const result = store.verified.peek().get(name);
  const estimate = known ?? estimateOf(node, result, store.grids.peek());
  const rest = [
    ...(nickname ? [`“${nickname}”`] : []),
    ...(estimate === null ? [] : [`estimate ${valueWords(estimate)}`]),
    ...(result ? [`exact ${valueWords(result.exact)}`] : []),
  ];
  return [name, rest.join(" · ")];
}

/** Indices of the picked among some nodes: the same list while they are the same. */
export function pickedAmong(
  { store }: View,
  indexOf: (node: Node) => number | null,
): ReadonlySignal<readonly number[]> {
  let last: readonly number[] = [];
  return computed(() => {
    const found = store.selection.value.flatMap((name) => {
      const node = parseNode(name);
      const index = node && indexOf(node);
      return index === null ? [] : [index];
    });
    const isSame =
      found.length === last.length && found.every((one, at) => one === last[at]);
    if (!isSame) last = found; // or every facet would be painted at every pick
    return last;
  });
}
