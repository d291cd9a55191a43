/** The scatter's picture: a canvas, its axes, and what moves above them on hover. */

import { computed, type ReadonlySignal } from "@preact/signals-core";
import { el, react, setAttributes, svgEl } from "../draw/dom";
import { clamp } from "../draw/geometry";
import { type Box, isInside, nearest, type Point } from "../draw/hits";
import { signed, unsigned } from "../draw/number";
import { type SquareScale, squareScale } from "../draw/scale";
import { paintScatter, RUG_ROOM, type ScatterPainting } from "../draw/scatter";
import { drawScatterAxes, type ScatterTitles, scatterMargins } from "../draw/square";
import type { FocusNode } from "../state/focus";
import { formatNode } from "../state/node";
import { nodePlace } from "../state/place";
import { headNicknames } from "../state/ranking";
import { type Cloud, cloudValues, steps } from "../state/scatter";
import { KIND_MARKS } from "./kinds";
import { pickAll, pickNode } from "./link";
import { listenToPoints } from "./points";
import type { View } from "./view";
import { counted } from "./words";

const MAX_SIDE = 420;
const MIN_SIDE = 180;
/** The pointer finds dots that are this near, in CSS pixels. */
const REACH = 9;
const RUG_REACH = 4;
/** Of the words at the hovered dot, at most. */
const TIP_HEIGHT = 84;

/** What is drawn, and where: made anew with the data, not with the pointer. */
interface Drawing {
  cloud: Cloud;
  scale: SquareScale;
  /** In CSS pixels of the canvas. */
  dotPoints: readonly Point[];
  rugPoints: readonly Point[];
  places: ReadonlyMap<string, { point: Point; isRug: boolean; node: FocusNode }>;
}

export interface CloudWords {
  titles: ScatterTitles;
  /** What the picture says, for those who do not see it. */
  description: string;
  /** Where the exact effects of nodes that are not verified lie; null for none. */
  band: ScatterPainting["band"];
}

export function createCloud(
  view: View,
  cloud: ReadonlySignal<Cloud>,
  words: ReadonlySignal<CloudWords>,
): HTMLElement {
  const { store, ui, theme, signal } = view;
  const parts = makeParts();
  const drawing = computed(() => makeDrawing(cloud.value, ui.width.value));
  react(signal, () => {
    if (ui.width.value === 0) return;
    const { scale } = drawing.value;
    const { titles, description, band } = words.value;
    layOut(parts, scale, titles);
    const picks = new Set(store.selection.value);
    const painting = paintingOf(cloud.value, picks);
    const isDrawn = paintScatter(parts.canvas, {
      ...painting,
      scale,
      band,
      theme: theme.value,
    });
    setAttributes(parts.canvas, {
      "data-drawn": isDrawn,
      "data-dots": cloud.value.dots.length,
      "data-rug": cloud.value.rug.length,
      "aria-label": description,
    });
  });
  react(signal, () => showHovered(view, drawing.value, parts));
  listenToCloud(view, drawing, parts);
  return parts.element;
}

type Parts = ReturnType<typeof makeParts>;

function makeParts() {
  const canvas = el("canvas", {
    class: "pw-cloud",
    tabindex: 0,
    role: "application",
    "aria-roledescription": "scatter plot",
  });
  const svg = svgEl("svg", { class: "pw-axes", "aria-hidden": "true" });
  const spot = el("div", { class: "pw-spot", hidden: true });
  const brush = el("div", { class: "pw-brush", hidden: true });
  const tip = el("div", { class: "pw-tip", "aria-hidden": "true", hidden: true });
  const field = el("div", "pw-field", canvas, svg, brush, spot, tip);
  const element = el("div", "pw-cloud-plot", field);
  return { element, field, canvas, svg, spot, brush, tip };
}

function makeDrawing(cloud: Cloud, width: number): Drawing {
  const side = clamp(width - 60, MIN_SIDE, MAX_SIDE);
  const scale = squareScale(cloudValues(cloud), side);
  const dotPoints = cloud.dots.map(({ estimate, compared }) => ({
    x: scale.x(estimate),
    y: scale.y(compared),
  }));
  const rugPoints = cloud.rug.map(({ estimate }) => ({
    x: scale.x(estimate),
    y: scale.size + RUG_ROOM / 2,
  }));
  const places: [string, { point: Point; isRug: boolean; node: FocusNode }][] = [];
  const add = (
    nodes: readonly FocusNode[],
    points: readonly Point[],
    isRug: boolean,
  ) => {
    nodes.forEach((node, index) => {
      const point = points[index];
      if (point) places.push([node.name, { point, isRug, node }]);
    });
  };
  add(cloud.dots, dotPoints, false);
  add(cloud.rug, rugPoints, true);
  return { cloud, scale, dotPoints, rugPoints, places: new Map(places) };
}

function paintingOf(
  { dots, rug }: Cloud,
  picks: ReadonlySet<string>,
): Pick<ScatterPainting, "dots" | "rug"> {
  return {
    dots: dots.map(({ name, node, estimate, compared, interval, hasCell }) => ({
      x: estimate,
      y: compared,
      interval,
      mark: KIND_MARKS[node.kind],
      isOpen: !hasCell,
      isPicked: picks.has(name),
    })),
    rug: rug.map(({ name, estimate }) => ({ x: estimate, isPicked: picks.has(name) })),
  };
}

function layOut(
  { element, field, svg }: Parts,
  scale: SquareScale,
  titles: ScatterTitles,
) {
  const { left, bottom } = scatterMargins(scale);
  element.style.width = `${left + scale.size}px`;
  element.style.height = `${scale.size + bottom}px`;
  field.style.left = `${left}px`;
  field.style.width = `${scale.size}px`;
  field.style.height = `${scale.size}px`;
  drawScatterAxes(svg, scale, titles);
}

/** Moves two elements and writes one: the canvas is left alone. */
function showHovered(
  view: View,
  { places, scale }: Drawing,
  { spot, tip }: Parts,
): void {
  const node = view.ui.hover.value?.node;
  const found = node && places.get(formatNode(node));
  spot.hidden = !found;
  tip.hidden = !found;
  if (!found) return;
  const { x, y } = found.point;
  spot.classList.toggle("pw-spot-rug", found.isRug);
  spot.style.transform = `translate(${x}px, ${y}px)`;
  tip.replaceChildren(...tipLines(view, found.node));
  const isRight = x > scale.size / 2;
  // Beside the diagonal, where the other dots are; a rug has its dots above.
  const top = isRight || found.isRug ? Math.max(0, y - TIP_HEIGHT - 8) : y + 8;
  const left = isRight ? `calc(${x - 12}px - 100%)` : `${x + 12}px`;
  tip.style.transform = `translate(${left}, ${top}px)`;
}

function tipLines({ store }: View, row: FocusNode): HTMLElement[] {
  const label = headNicknames(row.node, store.names.value, store.study.value);
  const { exact, interval, isSigned, miss } = row;
  const size = row.estimate ?? Number.NaN;
  const facts = [
    `estimate ${isSigned ? signed(size) : unsigned(size)}`,
    exact === null ? "exact not run" : `exact ${signed(exact)}`,
    ...(interval ? [`interval ${signed(interval[0])} to ${signed(interval[1])}`] : []),
    ...(miss === null ? [] : [`miss ${unsigned(miss)}`]),
  ];
  const name = label === "" ? row.name : `${row.name} · ${label}`;
  return [el("strong", {}, name), ...facts.map((fact) => el("span", {}, fact))];
}

function listenToCloud(
  view: View,
  drawing: ReadonlySignal<Drawing>,
  { canvas, brush }: Parts,
): void {
  const { store, ui, signal } = view;
  let last: string | null = null;
  const hover = (name: string | null) => {
    if (name === last && ui.hover.peek() !== null) return;
    last = name;
    const study = store.study.peek();
    const found = name === null ? null : drawing.peek().places.get(name);
    ui.hover.value = found && study ? nodePlace(found.node.node, study) : null;
  };
  listenToPoints(
    canvas,
    {
      at: (point) => nameAt(drawing.peek(), point),
      hover,
      pick: (name, mode) => pickNode(view, name, mode),
      clear: () => store.set("selection", []),
      order: () => steps(drawing.peek().cloud),
      showBrush: (box) => showBrush(brush, box, drawing.peek(), store.isSaved),
      brush(box, isAdding) {
        const names = namesInside(drawing.peek(), box);
        if (names.length === 0) return; // a slip is no wish to lose the picks
        pickAll(view, names, isAdding ? "toggle" : "only");
      },
    },
    signal,
  );
}

function nameAt(
  { cloud, dotPoints, rugPoints, scale }: Drawing,
  at: Point,
): string | null {
  const dot = nearest(dotPoints, at, REACH);
  if (dot !== null) return cloud.dots[dot]?.name ?? null;
  if (at.y < scale.size) return null;
  // Along the rug only the way to the side counts.
  const level = { x: at.x, y: scale.size + RUG_ROOM / 2 };
  const mark = nearest(rugPoints, level, RUG_REACH);
  return mark === null ? null : (cloud.rug[mark]?.name ?? null);
}

/** Marks of the rug only where the drag began among them: picking them runs patches. */
function namesInside(
  { cloud, dotPoints, rugPoints, scale }: Drawing,
  box: Box,
): string[] {
  const isRug = box.top >= scale.size;
  const band = { ...box, top: scale.size, height: RUG_ROOM };
  return isRug
    ? cloud.rug
        .filter((_, index) => isAt(rugPoints[index], band))
        .map(({ name }) => name)
    : cloud.dots
        .filter((_, index) => isAt(dotPoints[index], box))
        .map(({ name }) => name);
}

function isAt(point: Point | undefined, box: Box): boolean {
  return point !== undefined && isInside(point, box);
}

function showBrush(
  brush: HTMLElement,
  box: Box | null,
  drawing: Drawing,
  isSaved: boolean,
): void {
  brush.hidden = box === null;
  if (!box) return;
  const isRug = box.top >= drawing.scale.size;
  const count = namesInside(drawing, box).length;
  brush.textContent = `${isRug && !isSaved ? "run " : ""}${counted(count, "node")}`;
  brush.style.transform = `translate(${box.left}px, ${box.top}px)`;
  brush.style.width = `${box.width}px`;
  brush.style.height = `${box.height}px`;
}
