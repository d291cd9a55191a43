/** One heatmap: the grid of one kind, by layer and position or by layer and head. */

import { computed, type ReadonlySignal } from "@preact/signals-core";
import { type Axes, type Axis, numberLabels, rowMargin } from "../draw/axes";
import type { Painting } from "../draw/canvas";
import { el, react, setAttributes } from "../draw/dom";
import type { Cell, FacetLayout } from "../draw/geometry";
import { createPlot, type Plot } from "../draw/plot";
import type { Facet } from "../state/figure";
import {
  cellNode,
  formatNode,
  isHeadKind,
  type Kind,
  nodeCell,
  parseNode,
} from "../state/node";
import { linkedColumns, nodePlace } from "../state/place";
import { pick } from "../state/selection";
import type { Shown } from "../state/settings";
import type { Study } from "../state/study";
import { tokenLabels } from "../state/tokens";
import { listenToCells } from "./cells";
import type { View } from "./view";
import { counted, KIND_TITLES } from "./words";

/** Where a facet stands among its siblings. */
export interface FacetFrame extends FacetLayout {
  kinds: readonly Kind[];
}

export function createFacet(
  view: View,
  kind: Kind,
  frame: ReadonlySignal<FacetFrame>,
): HTMLElement {
  const { store, signal } = view;
  const plot = createPlot();
  const facet = computed(() => store.figure.value.facets.get(kind));
  setAttributes(plot.canvas, {
    class: "pw-grid",
    "data-kind": kind,
    tabindex: 0,
    role: "application",
    "aria-roledescription": "heatmap",
  });
  react(signal, () => drawFacet(view, facet.value, frame.value, plot));
  react(signal, () => {
    frame.value; // read: a new layout moves the marks
    highlightFacet(view, facet.value, plot);
  });
  listenToFacet(view, facet, kind, plot.canvas);
  const caption = el(
    "figcaption",
    { class: "pw-facet-title" },
    KIND_TITLES[kind],
    el("code", { class: "pw-code pw-quiet" }, kind),
  );
  return el("figure", { class: "pw-facet" }, caption, plot.element);
}

/** Room left of a facet's cells; the same for all facets of a study. */
export function facetMargin(rows: number): number {
  return rowMargin(layerAxis(rows));
}

function layerAxis(rows: number): Axis {
  return { title: "Layer", labels: numberLabels(rows), words: false };
}

function columnAxis(study: Study, { kind, columns }: Facet, pair: number): Axis {
  if (isHeadKind(kind)) {
    const isShared = columns !== study.heads;
    const title = isShared ? "KV head" : "Head";
    return { title, labels: numberLabels(columns), words: false };
  }
  const labels = tokenLabels(study, pair).map((label, position) => ({
    ...label,
    tail: ` ${position}`,
  }));
  return { title: "Position", labels: labels.slice(0, columns), words: true };
}

function drawFacet(
  view: View,
  facet: Facet | undefined,
  frame: FacetFrame,
  { canvas, draw }: Plot,
): void {
  const { store, ui, theme } = view;
  const study = store.study.value;
  if (!facet || !study || ui.width.value === 0) return;
  const { shown, scale } = store.figure.value;
  const { palette } = theme.value;
  const painting: Painting = {
    matrix: facet,
    colours: shown === "miss" ? palette.miss : palette.diverging,
    scale,
    cellWidth: frame.cellWidth,
    cellHeight: frame.cellHeight,
    theme: theme.value,
    unknown: facet.unknown,
    verified: facet.verified,
    picked: pickedCells(store.selection.value, facet),
  };
  const isDrawn = draw(painting, facetAxes(study, facet, frame, store.pair.value));
  setAttributes(canvas, {
    "data-rows": facet.rows,
    "data-cols": facet.columns,
    "data-drawn": isDrawn && shown,
    "aria-label": describe(facet, shown),
  });
}

function facetAxes(study: Study, facet: Facet, frame: FacetFrame, pair: number): Axes {
  const rows = layerAxis(facet.rows);
  const isFirst = frame.kinds.indexOf(facet.kind) % frame.perLine === 0;
  return {
    rows: isFirst ? rows : { ...rows, title: "" },
    columns: columnAxis(study, facet, pair),
    left: facetMargin(facet.rows),
    cellWidth: frame.cellWidth,
    cellHeight: frame.cellHeight,
  };
}

function describe({ kind, rows, columns }: Facet, shown: Shown): string {
  const across = counted(columns, isHeadKind(kind) ? "head" : "position");
  const size = `${counted(rows, "layer")} by ${across}`;
  return `${KIND_TITLES[kind]}, ${shown}: ${size}. Arrow keys move, Enter picks.`;
}

function* pickedCells(
  selection: readonly string[],
  { kind, rows, columns }: Facet,
): Iterable<number> {
  for (const name of selection) {
    const node = parseNode(name);
    const cell = node?.kind === kind ? nodeCell(node) : null;
    if (cell && cell.row < rows && cell.column < columns) {
      yield cell.row * columns + cell.column;
    }
  }
}

function highlightFacet(
  { store, ui }: View,
  facet: Facet | undefined,
  { highlight }: Plot,
): void {
  const place = ui.hover.value;
  const study = store.study.value;
  if (!facet || !study || !place) {
    highlight({ rows: null, columns: null }, false);
    return;
  }
  const { layer, node } = place;
  const isRow = layer !== null && layer < facet.rows;
  const columns = linkedColumns(place, facet.kind, study);
  highlight(
    {
      rows: isRow ? [layer, layer + 1] : null,
      columns: columns && columns[0] < facet.columns ? columns : null,
    },
    node?.kind === facet.kind,
  );
}

function listenToFacet(
  { store, ui, signal }: View,
  facet: ReadonlySignal<Facet | undefined>,
  kind: Kind,
  canvas: HTMLCanvasElement,
): void {
  let last = "";
  const hover = (cell: Cell | null) => {
    const study = store.study.peek();
    const node = cell && cellNode(kind, cell.row, cell.column);
    const name = node ? formatNode(node) : "";
    if (name === last && ui.hover.peek() !== null) return;
    last = name;
    ui.hover.value = node && study ? nodePlace(node, study) : null;
  };
  listenToCells(
    canvas,
    {
      shape: () => facet.peek() ?? { rows: 0, columns: 0 },
      hover,
      pick(cell, mode) {
        const name = formatNode(cellNode(kind, cell.row, cell.column));
        store.set("selection", pick(store.selection.peek(), name, mode));
      },
      clear: () => store.set("selection", []),
    },
    signal,
  );
}
