/** One heatmap: the grid of one kind, by layer and position or by layer and head. */

import { computed, type ReadonlySignal } from "@preact/signals-core";
import { type Axes, type Axis, numberLabels, rowMargin } from "../draw/axes";
import { el, react } from "../draw/dom";
import type { FacetLayout } from "../draw/geometry";
import type { Plot } from "../draw/plot";
import { type Facet, lineOf } from "../state/figure";
import { cellNode, isHeadKind, type Kind, type Node, nodeCell } from "../state/node";
import { linkedColumns } from "../state/place";
import type { Shown } from "../state/settings";
import type { Study } from "../state/study";
import { tokenLabels } from "../state/tokens";
import { drawEffects, heatmap } from "./effects";
import { listenToNodes, pickedAmong } from "./picking";
import { scrollTogether } from "./scroll";
import type { View } from "./view";
import { counted, KIND_TITLES, methodLabel } from "./words";

/** Where a facet stands among its siblings. */
export interface FacetFrame extends FacetLayout {
  kinds: readonly Kind[];
  /** The width of the line. */
  room: number;
}

export function createFacet(
  view: View,
  kind: Kind,
  frame: ReadonlySignal<FacetFrame>,
): HTMLElement {
  const { store, signal } = view;
  const plot = heatmap("pw-grid", { "data-kind": kind });
  const facet = computed(() => store.figure.value.facets.get(kind));
  const picked = pickedAmong(view, (node) => indexIn(node, facet.value));
  // Of the figure only what this facet's picture depends on.
  const scale = computed(() => store.figure.value.scales[lineOf(kind)]);
  react(signal, () => {
    const look = { scale: scale.value, picked: picked.value };
    drawFacet(view, facet.value, frame.value, look, plot);
  });
  react(signal, () => {
    frame.value; // read: a new layout moves the marks
    highlightFacet(view, facet.value, plot);
  });
  const nodeAt = (row: number, column: number) => cellNode(kind, row, column);
  listenToNodes(view, { shape: facet, nodeAt }, plot);
  if (!isHeadKind(kind)) scrollTogether(view, plot.scroller);
  return el("figure", "pw-facet", caption(view, kind, facet), plot.element);
}

/** The kind, and what there is to know of its estimates. */
function caption(
  { store, signal }: View,
  kind: Kind,
  facet: ReadonlySignal<Facet | undefined>,
): HTMLElement {
  const notes = el("span", "pw-facet-notes");
  react(signal, () => {
    const now = facet.value;
    if (!now) return;
    const study = store.study.value;
    const label = methodLabel(study, now.method);
    const chosen = methodLabel(study, store.method.value);
    const other = `${chosen} does not give this kind, or not yet: these are from ${label}`;
    const sizes = `${label} gives sizes of effects only: the sign is not known`;
    notes.replaceChildren(
      ...(now.method === store.method.value ? [] : [note(label, other)]),
      ...(now.isSigned ? [] : [note("sizes", sizes)]),
    );
  });
  return el(
    "figcaption",
    "pw-facet-title",
    KIND_TITLES[kind],
    el("code", "pw-code pw-quiet", kind),
    notes,
  );
}

function note(text: string, title: string): HTMLElement {
  return el("span", { class: "pw-facet-note", title }, text);
}

/** Room left of a facet's cells; the same for all facets of a study. */
export function facetMargin(rows: number): number {
  return rowMargin(layerAxis(rows));
}

function layerAxis(rows: number): Axis {
  return { title: "Layer", labels: numberLabels(rows), words: false };
}

function columnAxis(study: Study, { kind, columns }: Facet, pair: number): Axis {
  if (!isHeadKind(kind)) return positionAxis(study, pair, columns);
  const isShared = columns !== study.heads;
  const title = isShared ? "KV head" : "Head";
  return { title, labels: numberLabels(columns), words: false };
}

/** Tokens with their numbers. */
export function positionAxis(study: Study, pair: number, columns: number): Axis {
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
  look: { scale: number; picked: readonly number[] },
  plot: Plot,
): void {
  const { store, ui } = view;
  const study = store.study.value;
  if (!facet || !study || ui.width.value === 0) return;
  drawEffects(view, plot, {
    ...look,
    cells: facet,
    axes: facetAxes(study, facet, frame, store.pair.value),
    label: describe(facet, store.shown.value, methodLabel(study, facet.method)),
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
    room: frame.room,
  };
}

function describe(facet: Facet, shown: Shown, method: string): string {
  const { kind, rows, columns, isSigned } = facet;
  const across = counted(columns, isHeadKind(kind) ? "head" : "position");
  const size = `${counted(rows, "layer")} by ${across}`;
  const source = `Estimates by ${method}${isSigned ? "" : ", sizes only"}.`;
  const keys = "Arrow keys move, with Shift they draw a rectangle, Enter picks.";
  const more = isHeadKind(kind) ? " F2 names the head, R shows its positions." : "";
  const values = shown === "mine_miss" ? "mine minus exact or estimate" : shown;
  return `${KIND_TITLES[kind]}, ${values}: ${size}. ${source} ${keys}${more}`;
}

function indexIn(node: Node, facet: Facet | undefined): number | null {
  const cell = node.kind === facet?.kind ? nodeCell(node) : null;
  if (!facet || !cell || cell.row >= facet.rows || cell.column >= facet.columns) {
    return null;
  }
  return cell.row * facet.columns + cell.column;
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
