/** Every drawn head as a small picture; the chosen one is drawn large. */

import { computed } from "@preact/signals-core";
import { paint } from "../draw/canvas";
import { el, isPlain, keyed, listen, react, setAttributes } from "../draw/dom";
import { type HeadRef, headName } from "../state/attention";
import { thumbnailRun } from "../state/look";
import { headPlace } from "../state/place";
import { wholeMatrix } from "../state/viewport";
import {
  entryOf,
  type HeadsView,
  ownName,
  partOf,
  RUN_TITLES,
  readyPattern,
  scaleOfRun,
} from "./heads";
import { linkHover } from "./link";

/** In CSS pixels. */
const SIDE = 78;

export function thumbnails(view: HeadsView): HTMLElement {
  const { heads, signal } = view;
  const attributes = { role: "radiogroup", "aria-label": "Head drawn large" };
  const wall = el("div", { class: "pw-thumbnails", ...attributes });
  const children = keyed(
    wall,
    (name, life) => thumbnail({ ...view, signal: life }, name),
    signal,
  );
  react(signal, () => {
    // One head is there in large already.
    wall.hidden = heads.value.length < 2;
    children(heads.value.map(headName));
  });
  listen(wall, { keydown: (event) => onKey(event, view, wall) }, signal);
  return wall;
}

function thumbnail(view: HeadsView, name: string): HTMLElement {
  const { look, ui, chosen, heads, signal } = view;
  const head = heads.peek().find((candidate) => headName(candidate) === name);
  const attributes = { type: "button", class: "pw-thumbnail", role: "radio" };
  const element = el("button", { ...attributes, "data-head": name });
  if (!head) return element;
  const canvas = el("canvas", "pw-thumbnail-picture");
  element.append(canvas, el("span", "pw-thumbnail-name", name));
  element.append(ownNameTag(view, head), stateTag(view, head));
  const choose = () => {
    look.chosen.value = name;
  };
  listen(element, { click: choose }, signal);
  linkHover(view, element, () => headPlace(head.layer, head.head));
  react(signal, () => {
    const isChosen = chosen.value !== null && headName(chosen.value) === name;
    setAttributes(element, {
      "aria-checked": `${isChosen}`,
      tabindex: isChosen ? 0 : -1,
      "aria-label": label(view, head),
    });
  });
  const isHere = computed(() => {
    const place = ui.hover.value;
    const [start = 0, end = 0] = place?.heads ?? [];
    return place?.layer === head.layer && start <= head.head && head.head < end;
  });
  react(signal, () => element.classList.toggle("pw-linked", isHere.value));
  drawThumbnail(view, head, canvas);
  return element;
}

function label(view: HeadsView, head: HeadRef): string {
  const { look } = view;
  const weighted = look.weighted.value ? ", value-weighted" : "";
  const run = RUN_TITLES[thumbnailRun(look.aspect.value)];
  const own = ownName(view, head);
  return `${headName(head)}${own ? `, ${own}` : ""}: ${run}${weighted}`;
}

function ownNameTag(view: HeadsView, head: HeadRef): HTMLElement {
  const tag = el("span", { class: "pw-thumbnail-own pw-quiet", dir: "auto" });
  react(view.signal, () => {
    tag.textContent = ownName(view, head);
    tag.title = tag.textContent;
  });
  return tag;
}

function stateTag(view: HeadsView, head: HeadRef): HTMLElement {
  const tag = el("span", "pw-thumbnail-state");
  react(view.signal, () => {
    const state = entryOf(view, head)?.state ?? "loading";
    tag.textContent = state === "failed" ? "failed" : "…";
    tag.classList.toggle("pw-error", state === "failed");
    tag.hidden = state === "ready";
  });
  return tag;
}

function drawThumbnail(
  view: HeadsView,
  head: HeadRef,
  canvas: HTMLCanvasElement,
): void {
  const { look, theme, ui, signal } = view;
  const pattern = computed(() => readyPattern(view, head));
  const run = computed(() => thumbnailRun(look.aspect.value));
  const pyramid = computed(() => {
    const quantity = { run: run.value, weighted: look.weighted.value };
    return pattern.value && view.pyramids.of(pattern.value, quantity);
  });
  react(signal, () => {
    const [now, reduced] = [pattern.value, pyramid.value];
    canvas.classList.toggle("pw-waiting", reduced === null);
    if (!now || !reduced || ui.width.value === 0) return;
    const quantity = { run: run.value, weighted: look.weighted.value };
    const most = SIDE * theme.value.density;
    const whole = wholeMatrix(now.size);
    const { matrix, unknown } = partOf(now, quantity, whole, most, reduced);
    // Whole pixels where cells are wide enough for that.
    const cell = SIDE / matrix.rows;
    const size = cell >= 3 ? Math.floor(cell) : cell;
    paint(canvas, {
      matrix,
      unknown,
      colours: theme.value.palette.diverging,
      scale: scaleOfRun(view, run.value),
      cellWidth: size,
      cellHeight: size,
      theme: theme.value,
    });
  });
}

const STEPS: ReadonlyMap<string, number> = new Map([
  ["ArrowLeft", -1],
  ["ArrowUp", -1],
  ["ArrowRight", 1],
  ["ArrowDown", 1],
]);

/** As with any choice of one: arrows go round, and choose. */
function onKey(
  event: KeyboardEvent,
  { look, heads, chosen }: HeadsView,
  wall: HTMLElement,
): void {
  const step = STEPS.get(event.key);
  const now = chosen.peek();
  if (!isPlain(event) || !step || !now) return;
  event.preventDefault(); // the page would scroll
  const names = heads.peek().map(headName);
  const at = (names.indexOf(headName(now)) + step + names.length) % names.length;
  look.chosen.value = names[at] ?? "";
  const target = wall.children[at];
  if (target instanceof HTMLElement) target.focus();
}
