/** The three panels of one head; rows attend, columns are attended to. */

import { computed, type ReadonlySignal } from "@preact/signals-core";
import { type Axes, type Axis, rowMargin } from "../draw/axes";
import { el, react } from "../draw/dom";
import { type Cell, clamp } from "../draw/geometry";
import { tick } from "../draw/number";
import { createPlot, type Plot } from "../draw/plot";
import { type HeadAttention, type HeadRef, headName } from "../state/attention";
import { attentionPlace } from "../state/place";
import type { Study } from "../state/study";
import { tokenLabels } from "../state/tokens";
import { listenToCells } from "./cells";
import type { View } from "./view";

const RUNS = ["clean", "corrupted", "difference"] as const;
type Run = (typeof RUNS)[number];

const MAX_CELL = 12;
const GAP = 10;
const MIN_PANEL = 60;

interface Patterns {
  size: number;
  runs: Record<Run, Float32Array>;
  /** One scale for all three, so that their colours can be compared. */
  scale: number;
}

export function createPanels(
  view: View,
  head: HeadRef,
  entry: ReadonlySignal<HeadAttention | undefined>,
): HTMLElement {
  const patterns = computed(() => patternsOf(entry.value));
  const panels = RUNS.map((run) => createPanel(view, head, run, patterns));
  return el("div", { class: "pw-panels" }, ...panels);
}

function patternsOf(entry: HeadAttention | undefined): Patterns | null {
  if (entry?.state !== "ready") return null;
  const { size, clean, corrupted } = entry;
  const difference = clean.map((value, index) => value - (corrupted[index] ?? 0));
  let scale = 0;
  for (const values of [clean, corrupted]) {
    for (const value of values) if (value > scale) scale = value;
  }
  return { size, runs: { clean, corrupted, difference }, scale };
}

function createPanel(
  view: View,
  head: HeadRef,
  run: Run,
  patterns: ReadonlySignal<Patterns | null>,
): HTMLElement {
  const { signal } = view;
  const plot = createPlot();
  plot.canvas.classList.add("pw-pattern");
  plot.canvas.tabIndex = 0;
  plot.canvas.setAttribute("role", "application");
  plot.canvas.setAttribute("aria-roledescription", "heatmap");
  const label = `Attention of ${headName(head)}, ${run}: rows attend to columns.`;
  plot.canvas.setAttribute("aria-label", `${label} Arrow keys move.`);
  const range = el("span", { class: "pw-quiet" });
  const caption = el("figcaption", { class: "pw-panel-title" }, titleOf(run), range);
  react(signal, () => {
    const now = patterns.value;
    if (!now) return;
    const top = tick(now.scale);
    range.textContent = run === "difference" ? ` ±${top}` : ` 0 to ${top}`;
    const axes = panelAxes(view, run, now);
    if (!axes) return;
    caption.style.paddingInlineStart = `${axes.left ?? 0}px`;
    plot.canvas.toggleAttribute("data-drawn", drawPanel(view, run, now, plot, axes));
  });
  react(signal, () => highlightPanel(view, head, patterns.value, plot));
  listenToPanel(view, head, patterns, plot.canvas);
  const attributes = {
    class: "pw-attention-panel",
    "data-head": headName(head),
    "data-run": run,
  };
  return el("figure", attributes, caption, plot.element);
}

function titleOf(run: Run): string {
  return run === "difference" ? "clean − corrupted" : run;
}

function drawPanel(
  { theme }: View,
  run: Run,
  { size, runs, scale }: Patterns,
  plot: Plot,
  axes: Axes,
): boolean {
  return plot.draw(
    {
      matrix: { rows: size, columns: size, values: runs[run] },
      colours: theme.value.palette.diverging,
      scale,
      cellWidth: axes.cellWidth,
      cellHeight: axes.cellHeight,
      theme: theme.value,
    },
    axes,
  );
}

/** Null while there is nothing to lay out in. Only the first panel names its rows. */
function panelAxes({ store, ui }: View, run: Run, { size }: Patterns): Axes | null {
  const study = store.study.value;
  if (!study || ui.width.value === 0) return null;
  const rows = positionAxis(study, store.pair.value, size, "From");
  const left = rowMargin(rows);
  const cell = cellSize(ui.width.value, left, size);
  return {
    rows,
    columns: { ...rows, title: "To" },
    left: run === RUNS[0] ? left : null,
    cellWidth: cell,
    cellHeight: cell,
  };
}

function positionAxis(study: Study, pair: number, size: number, title: string): Axis {
  const labels = tokenLabels(study, pair).map((label, position) => ({
    ...label,
    body: study.names.get(position) ?? label.body,
    lead: study.names.has(position) ? "" : label.lead,
    varies: label.varies && !study.names.has(position),
  }));
  return { title, labels: labels.slice(0, size), words: true };
}

/** The three panels of a head stay side by side at any width. */
function cellSize(width: number, left: number, size: number): number {
  const room = (width - left - (RUNS.length - 1) * GAP) / RUNS.length;
  const panel = Math.max(MIN_PANEL, room);
  const cell = panel / size;
  // Whole pixels where there is room for them: no cell is wider than its neighbour.
  return cell >= 2 ? clamp(Math.floor(cell), 1, MAX_CELL) : cell;
}

function highlightPanel(
  { ui, store }: View,
  { layer, head }: HeadRef,
  now: Patterns | null,
  plot: Plot,
): void {
  const place = ui.hover.value;
  ui.width.value; // read: a new layout moves the marks
  store.pair.value;
  const span = (position: number | null | undefined) => {
    const isInside = now && position != null && position < now.size;
    return isInside ? ([position, position + 1] as const) : null;
  };
  const isHere = place?.layer === layer && place.heads?.[0] === head;
  plot.highlight({ rows: span(place?.pos), columns: span(place?.src) }, isHere);
}

function listenToPanel(
  { ui, signal }: View,
  { layer, head }: HeadRef,
  patterns: ReadonlySignal<Patterns | null>,
  canvas: HTMLCanvasElement,
): void {
  const hover = (cell: Cell | null) => {
    ui.hover.value = cell ? attentionPlace(layer, head, cell.row, cell.column) : null;
  };
  const shape = () => {
    const size = patterns.peek()?.size ?? 0;
    return { rows: size, columns: size };
  };
  listenToCells(canvas, { shape, hover }, signal);
}
