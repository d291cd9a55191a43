/** The chosen head, drawn large: one panel or three that zoom and pan together. */

import { computed } from "@preact/signals-core";
import { type Axis, columnMargin, rowMargin } from "../draw/axes";
import { button, el, keyed, live, react } from "../draw/dom";
import { clamp } from "../draw/geometry";
import { type HeadRef, headName } from "../state/attention";
import { shownRuns } from "../state/look";
import type { Run } from "../state/pattern";
import type { Study } from "../state/study";
import { tokenLabels } from "../state/tokens";
import { canZoomIn, canZoomOut, wholeMatrix, zoomed } from "../state/viewport";
import { tryAgain, unanswered } from "./asking";
import { entryOf, type HeadsView, ownName } from "./heads";
import { createPanel, type PanelAxes, type PanelLayout } from "./panels";
import { ZOOM_STEP } from "./steer";

const GAP = 10;
/** The last column's label stands a little over its cell. */
const LAST_LABEL = 6;
/** Panels beside one another get no narrower; then they stand under one another. */
const MIN_BESIDE = 110;
const MAX_SIDE = { one: 560, several: 440 };
const MAX_CELL = { one: 32, several: 24 };

export function largeHead(view: HeadsView): HTMLElement {
  const { look, signal, pattern, chosen } = view;
  const panels = el("div", "pw-panels");
  const axes = computed(() => axesOf(view));
  const layout = computed(() => layoutOf(view, axes.value));
  const children = keyed<Run>(
    panels,
    (run, life) => createPanel({ ...view, signal: life }, run, layout),
    signal,
  );
  react(signal, () => {
    const runs = shownRuns(look.aspect.value);
    children(chosen.value ? runs : []);
    panels.classList.toggle("pw-stacked", (layout.value?.perLine ?? 1) < runs.length);
    panels.hidden = pattern.value === null;
  });
  return el("div", "pw-head", titleLine(view), panels, status(view));
}

function titleLine(view: HeadsView): HTMLElement {
  const { chosen, signal } = view;
  const words = (of: (head: HeadRef) => string) => () =>
    chosen.value ? of(chosen.value) : "";
  return el(
    "div",
    "pw-head-line",
    live(signal, words(headName), el("strong", "pw-head-title")),
    live(
      signal,
      words((head) => ownName(view, head)),
      el("span", { class: "pw-quiet", dir: "auto" }),
    ),
    zoomButtons(view),
  );
}

function zoomButtons({ look, viewport, pattern, signal }: HeadsView): HTMLElement {
  const by = (factor: number) => () => {
    look.viewport.value = zoomed(viewport.peek(), factor);
  };
  const fit = () => {
    look.viewport.value = wholeMatrix(viewport.peek().size);
  };
  const named = (title: string) => ({ title, "aria-label": title });
  const nearer = button("+", by(ZOOM_STEP), signal, named("Zoom in"));
  const farther = button("−", by(1 / ZOOM_STEP), signal, named("Zoom out"));
  const whole = button("fit", fit, signal, named("Fit the whole pattern"));
  const part = el("span", "pw-quiet pw-zoom-part");
  const group = { role: "group", "aria-label": "Zoom of the pattern" };
  const buttons = el("span", { class: "pw-zoom", ...group }, nearer, farther, whole);
  buttons.append(part);
  react(signal, () => {
    const now = viewport.value;
    nearer.disabled = !canZoomIn(now);
    farther.disabled = !canZoomOut(now);
    whole.disabled = !canZoomOut(now);
    buttons.hidden = pattern.value === null || (!canZoomIn(now) && !canZoomOut(now));
    part.textContent = canZoomOut(now) ? `${now.count} of ${now.size} tokens` : "";
  });
  return buttons;
}

function status(view: HeadsView): HTMLElement {
  const { chosen, signal } = view;
  const line = el("div", "pw-head-status");
  const retry = tryAgain(view, () => again(view, chosen.peek()));
  react(signal, () => {
    const now = entryOf(view, chosen.value);
    line.replaceChildren(...unanswered(now, "No attention", retry));
  });
  return line;
}

function again({ store }: HeadsView, head: HeadRef | null): void {
  if (head) store.attention.retry(head, store.pair.peek());
}

/** Null without a pattern. Zooming leaves them as they are. */
function axesOf({ store, pattern }: HeadsView): PanelAxes | null {
  const study = store.study.value;
  const size = pattern.value?.size;
  if (!study || !size) return null;
  const pair = store.pair.value;
  const clean = positionAxis(study, pair, size, "clean");
  const corrupted = positionAxis(study, pair, size, "corrupted");
  return {
    clean,
    corrupted,
    size,
    left: Math.max(rowMargin(clean), rowMargin(corrupted)),
  };
}

/** Null while there is nothing to lay out in. */
function layoutOf(
  { ui, look, viewport }: HeadsView,
  axes: PanelAxes | null,
): PanelLayout | null {
  if (!axes || ui.width.value === 0) return null;
  const { left, size } = axes;
  const runs = shownRuns(look.aspect.value);
  const width = ui.width.value - left - LAST_LABEL;
  const several = (width - (runs.length - 1) * GAP) / runs.length;
  const isBeside = several >= MIN_BESIDE;
  const room = isBeside ? several : width;
  const most = runs.length > 1 ? "several" : "one";
  const side = clamp(room, 40, MAX_SIDE[most]);
  const extent = evenly(Math.min(side / size, MAX_CELL[most])) * size;
  const shown = extent / viewport.value.count;
  const margins = [axes.clean, axes.corrupted].map((axis) => columnMargin(axis, shown));
  const bottom = Math.max(...margins);
  return { axes, bottom, extent, perLine: isBeside ? runs.length : 1, runs };
}

/** Whole pixels where there is room for them: no cell is wider than its neighbour. */
function evenly(cell: number): number {
  if (cell < 2) return cell;
  return cell < 6 ? Math.floor(2 * cell) / 2 : Math.floor(cell);
}

function positionAxis(
  study: Study,
  pair: number,
  size: number,
  prompt: "clean" | "corrupted",
): Axis {
  const labels = tokenLabels(study, pair, prompt).map((label, position) => {
    const name = study.names.get(position);
    return name === undefined ? label : { lead: "", body: name, varies: false };
  });
  return { title: "From", labels: labels.slice(0, size), words: true };
}
