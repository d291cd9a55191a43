/** One panel of the large head; rows attend, columns are attended to. */

import { computed, type ReadonlySignal } from "@preact/signals-core";
import { type Axes, type Axis, LINE } from "../draw/axes";
import { el, react, setAttributes } from "../draw/dom";
import { type Cell, labelStep } from "../draw/geometry";
import { createPlot, type Plot } from "../draw/plot";
import type { Pyramid } from "../draw/pyramid";
import { labelTicks } from "../draw/ticks";
import { headName } from "../state/attention";
import type { Run } from "../state/pattern";
import { attentionPlace } from "../state/place";
import { canZoomOut, type Viewport } from "../state/viewport";
import { type HeadsView, partOf, RUN_TITLES, scaleOfRun } from "./heads";
import { steer } from "./steer";

/** All positions, with each prompt's tokens. */
export interface PanelAxes {
  clean: Axis;
  corrupted: Axis;
  size: number;
  /** Room for the labels beside the cells, the same wherever one looks. */
  left: number;
}

export interface PanelLayout {
  axes: PanelAxes;
  /** Room under the cells. */
  bottom: number;
  /** Width and height of the cells together. */
  extent: number;
  runs: readonly Run[];
  /** Panels beside one another. */
  perLine: number;
}

/** Shorter prompts are drawn in full while one moves. */
const LONG = 512;

export function createPanel(
  view: HeadsView,
  run: Run,
  layout: ReadonlySignal<PanelLayout | null>,
): HTMLElement {
  const { signal, chosen } = view;
  const plot = createPlot();
  setAttributes(plot.canvas, {
    class: "pw-pattern",
    tabindex: 0,
    role: "application",
    "aria-roledescription": "heatmap",
  });
  const caption = el("figcaption", "pw-panel-title", RUN_TITLES[run]);
  const attributes = { class: "pw-attention-panel", "data-run": run };
  const figure = el("figure", attributes, caption, plot.element);
  react(signal, () => {
    const name = chosen.value ? headName(chosen.value) : "";
    figure.dataset.head = name;
    plot.canvas.setAttribute("aria-label", describe(view, run, name));
  });
  const pyramid = computed(() => {
    const { pattern, look, pyramids } = view;
    const quantity = { run, weighted: look.weighted.value };
    return pattern.value && pyramids.of(pattern.value, quantity, true);
  });
  react(signal, () => {
    // The picture before stays, faintly, until the next one is there.
    plot.canvas.removeAttribute("data-drawn");
    if (pyramid.value) drawPanel(view, run, pyramid.value, layout.value, plot, caption);
  });
  // In a step of its own: under a moving pointer nothing is painted.
  react(signal, () => {
    layout.value; // read: a new layout moves the marks
    highlightPanel(view, plot);
  });
  listenToPanel(view, plot.canvas);
  return figure;
}

function describe({ look }: HeadsView, run: Run, name: string): string {
  const weighted = look.weighted.value ? ", value-weighted" : "";
  const what = `Attention of ${name}, ${RUN_TITLES[run]}${weighted}`;
  const keys =
    "Arrow keys move, plus and minus zoom, 0 shows all, Enter keeps a token.";
  return `${what}: rows attend to columns. ${keys}`;
}

function drawPanel(
  view: HeadsView,
  run: Run,
  pyramid: Pyramid,
  layout: PanelLayout | null,
  plot: Plot,
  caption: HTMLElement,
): void {
  const pattern = view.pattern.value;
  if (!pattern || !layout?.runs.includes(run)) return;
  const { store, theme, look, viewport } = view;
  const part = viewport.value;
  const names = store.study.value?.names.keys() ?? [];
  const axes = partAxes(layout, run, part, [...names]);
  const quantity = { run, weighted: look.weighted.value };
  // More cells than pixels are pooled: one cell a device's pixel, or two in passing.
  const isPassing = view.isMoving.value && pattern.size > LONG;
  const most = (layout.extent * theme.value.density) / (isPassing ? 2 : 1);
  const painting = {
    ...partOf(pattern, quantity, part, most, pyramid),
    colours: theme.value.palette.diverging,
    scale: scaleOfRun(view, run),
    theme: theme.value,
  };
  const cell = layout.extent / painting.matrix.rows;
  caption.style.paddingInlineStart = `${axes.left ?? 0}px`;
  plot.canvas.toggleAttribute("data-zoomed", canZoomOut(part));
  const isDrawn = plot.draw({ ...painting, cellWidth: cell, cellHeight: cell }, axes);
  plot.canvas.toggleAttribute("data-drawn", isDrawn);
}

/** Named positions keep their labels where others are thinned out. */
function partAxes(
  { axes, bottom, extent, runs, perLine }: PanelLayout,
  run: Run,
  { top, left: first, count }: Viewport,
  named: readonly number[],
): Axes {
  const cell = extent / count;
  const step = labelStep(cell, LINE);
  // A difference has both prompts' tokens: it shows those of the clean one.
  const axis = axes[run === "corrupted" ? "corrupted" : "clean"];
  const part = (start: number, title: string): Axis => ({
    ...axis,
    title,
    labels: axis.labels.slice(start, start + count),
    ticks: labelTicks(start, count, step, named),
  });
  const isFirst = runs.indexOf(run) % perLine === 0;
  return {
    rows: part(top, "From"),
    columns: part(first, "To"),
    left: isFirst ? axes.left : null,
    bottom,
    cellWidth: cell,
    cellHeight: cell,
  };
}

function highlightPanel(view: HeadsView, plot: Plot): void {
  const { ui, chosen, viewport, look, pattern } = view;
  const place = ui.hover.value;
  const { top, left, count } = viewport.value;
  pattern.value; // read: another head's panel is drawn anew
  const locked = look.locked.value;
  const isTo = look.direction.value === "to";
  const span = (position: number | null | undefined, first: number) => {
    const at = position == null ? -1 : position - first;
    return at >= 0 && at < count ? ([at, at + 1] as const) : null;
  };
  const row = place?.pos ?? (isTo ? locked : null);
  const column = place?.src ?? (isTo ? null : locked);
  const head = chosen.value;
  const isHere = place?.layer === head?.layer && place?.heads?.[0] === head?.head;
  plot.highlight({ rows: span(row, top), columns: span(column, left) }, isHere);
}

function listenToPanel(view: HeadsView, canvas: HTMLCanvasElement): void {
  const { ui, look, chosen, viewport, moveTo, signal } = view;
  const hover = (cell: Cell | null) => {
    const head = chosen.peek();
    const isPlace = cell && head;
    ui.hover.value = isPlace
      ? attentionPlace(head.layer, head.head, cell.row, cell.column)
      : null;
  };
  const lock = ({ row, column }: Cell) => {
    const token = look.direction.peek() === "to" ? row : column;
    look.locked.value = look.locked.peek() === token ? null : token;
  };
  const free = () => {
    look.locked.value = null;
  };
  const actions = {
    viewport: () => viewport.peek(),
    look: moveTo,
    hover,
    lock,
    free,
  };
  steer(canvas, actions, signal);
}
