/** The strip of a head's effects: a row for each kind, a column for each position. */

import { computed, type ReadonlySignal } from "@preact/signals-core";
import { type Axes, rowMargin } from "../draw/axes";
import { react } from "../draw/dom";
import { layoutFacets } from "../draw/geometry";
import type { Plot } from "../draw/plot";
import type { Asked } from "../state/asked";
import { type EffectCells, largest } from "../state/figure";
import { headLabel, namedHead } from "../state/names";
import { formatNode, type Node } from "../state/node";
import {
  type HeadRow,
  type RowQuestion,
  rowCell,
  rowCells,
  rowKey,
} from "../state/rows";
import type { Study } from "../state/study";
import { drawEffects, heatmap } from "./effects";
import { positionAxis } from "./facet";
import { listenToNodes, pickedAmong } from "./picking";
import { scrollTogether } from "./scroll";
import type { View } from "./view";
import { KIND_TITLES } from "./words";

const CELL_HEIGHT = 22;

export interface Answer {
  question: RowQuestion;
  entry: Asked<HeadRow> | undefined;
}

export interface Strip {
  /** Heads as a whole: one a row. */
  nodes: ReadonlySignal<readonly Node[]>;
  cells: ReadonlySignal<EffectCells | undefined>;
  /** What came, or did not, for each of the nodes. */
  answers: ReadonlySignal<readonly Answer[]>;
  /** That of the heads' heatmaps, or wider where an effect here is larger. */
  scale: ReadonlySignal<number>;
}

export function makeStrip({ store }: View, nodes: Strip["nodes"]): Strip {
  const answers = computed(() =>
    nodes.value.map((node) => {
      const question = { node: formatNode(node), method: store.method.value };
      return { question, entry: store.rows.entries.value.get(rowKey(question)) };
    }),
  );
  const cells = computed(() => {
    const positions = store.study.value?.positions ?? 0;
    if (nodes.value.length === 0 || positions === 0) return undefined;
    const grids = [...store.grids.value.values()];
    return rowCells(
      nodes.value,
      answers.value.map(({ entry }) => entry),
      store.verified.value,
      store.shown.value,
      positions,
      (method) => grids.find((grid) => grid.method === method)?.isSigned ?? true,
    );
  });
  const scale = computed(() =>
    Math.max(store.figure.value.scales.head, largest(cells.value?.values ?? [])),
  );
  return { nodes, answers, cells, scale };
}

export function stripTitle({ store }: View, node: Node | undefined): string {
  const study = store.study.value;
  if (!node || !study) return "";
  const head = namedHead(node, study);
  const name = head
    ? headLabel(store.names.value, head.layer, head.head)
    : `L${node.layer} KV head ${node.head}`;
  return `${name} by position`;
}

export function stripPlot(view: View, strip: Strip): HTMLElement {
  const { signal } = view;
  const plot = heatmap("pw-row-grid");
  const nodeAt = (row: number, column: number) =>
    rowCell(strip.nodes.peek(), row, column);
  const indexOf = (node: Node) => {
    const row = strip.nodes.value.findIndex((whole) => isOfHead(node, whole));
    const columns = strip.cells.value?.columns ?? 0;
    const isThere = row >= 0 && node.pos !== null && node.pos < columns;
    return isThere && node.src === null ? row * columns + (node.pos ?? 0) : null;
  };
  const picked = pickedAmong(view, indexOf);
  const keepInLine = scrollTogether(view, plot.scroller);
  react(signal, () => {
    drawStrip(view, strip, picked.value, plot);
    keepInLine();
  });
  react(signal, () => highlightStrip(view, strip, plot));
  const estimateAt = (row: number, column: number) => {
    const entry = strip.answers.peek()[row]?.entry;
    return entry?.state === "ready" ? (entry.answer.values[column] ?? null) : null;
  };
  listenToNodes(view, { shape: strip.cells, nodeAt, estimateAt }, plot);
  return plot.element;
}

function isOfHead(node: Node, whole: Node): boolean {
  const { kind, layer, head } = whole;
  return node.kind === kind && node.layer === layer && node.head === head;
}

function drawStrip(
  view: View,
  { nodes, cells, scale }: Strip,
  picked: readonly number[],
  plot: Plot,
): void {
  const { store, ui } = view;
  const study = store.study.value;
  const matrix = cells.value;
  if (!study || !matrix || ui.width.value === 0) return;
  const what = `${stripTitle(view, nodes.value[0])}, ${store.shown.value}`;
  drawEffects(view, plot, {
    cells: matrix,
    scale: scale.value,
    picked,
    axes: stripAxes(view, study, nodes.value, matrix),
    label: `${what}. Arrow keys move, Enter picks.`,
  });
}

function stripAxes(
  { store, ui }: View,
  study: Study,
  nodes: readonly Node[],
  { rows, columns }: EffectCells,
): Axes {
  const labels = nodes.map(({ kind }) => ({
    lead: "",
    body: "",
    tail: KIND_TITLES[kind], // a tail is not shortened
  }));
  const names = { title: "", labels, words: false };
  const left = rowMargin(names);
  const shape = { rows, columns };
  const { cellWidth } = layoutFacets(ui.width.value, 1, shape, left, ui.fit.value);
  return {
    rows: names,
    columns: positionAxis(study, store.pair.value, columns),
    left,
    cellWidth,
    cellHeight: CELL_HEIGHT,
    room: ui.width.value,
  };
}

function highlightStrip({ ui }: View, { nodes, cells }: Strip, plot: Plot): void {
  const place = ui.hover.value;
  ui.width.value; // read: a new layout moves the marks
  const columns = cells.value?.columns ?? 0;
  const node = place?.node ?? null;
  const row = node ? nodes.value.findIndex((whole) => isOfHead(node, whole)) : -1;
  const pos = place?.pos ?? null;
  plot.highlight(
    {
      rows: row >= 0 ? [row, row + 1] : null,
      columns: pos !== null && pos < columns ? [pos, pos + 1] : null,
    },
    row >= 0,
  );
}
