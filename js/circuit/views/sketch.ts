/** The circuit so far: verified paths between what writes and what reads. */

import { computed, type ReadonlySignal } from "@preact/signals-core";
import { el, keyed, listen, live, react, svgEl } from "../../draw/dom";
import { signed } from "../../draw/number";
import { headLabel } from "../../state/names";
import { positionName } from "../../state/tokens";
import { counted } from "../../views/words";
import { endPlace, isAt } from "../ends";
import type { PathResult } from "../record";
import {
  NODE_HEIGHT,
  type Sketch,
  type SketchEdge,
  type SketchNode,
  sketchOf,
} from "../sketch";
import { goTo, nameButton } from "./names";
import { linkPath, pathWords } from "./paths";
import { rebuilt } from "./rebuilt";
import { sketchTools } from "./tools";
import type { CircuitView } from "./view";

/** What the root's padding and the section take of the width. */
const NARROWEST = 260;
const WIDEST = 900;

const EMPTY =
  "No path is verified yet: each exact path patch above adds a line to this sketch.";

export function sketchView(view: CircuitView): HTMLElement {
  const { circuit, store, ui, signal } = view;
  const paths = computed(() => circuit.value.paths);
  const sketch = computed((): Sketch | null => {
    const study = store.study.value;
    if (!study || paths.value.size === 0) return null;
    const width = Math.min(WIDEST, Math.max(NARROWEST, ui.width.value - 20));
    const named = (pos: number) => positionName(study, store.pair.value, pos);
    return sketchOf(paths.value, { ...study, width, positionName: named });
  });
  const picture = el("div", "pw-sketch-picture");
  rebuilt(view, picture, (own) => (sketch.value ? [drawn(own, sketch.value)] : []));
  const hint = el("div", "pw-quiet");
  live(signal, () => hintOf(paths.value, sketch.value), hint);
  const list = pathTable(view, paths);
  react(signal, () => {
    picture.hidden = list.hidden = paths.value.size === 0;
  });
  return el(
    "section",
    { class: "pw-sketch", "aria-label": "Circuit sketch" },
    el("div", "pw-circuit-title", "Circuit sketch"),
    hint,
    picture,
    list,
    sketchTools(view, picture),
  );
}

function hintOf(paths: ReadonlyMap<string, PathResult>, sketch: Sketch | null): string {
  if (paths.size === 0) return EMPTY;
  const lines = new Set(sketch?.edges.map(({ path }) => path)).size;
  const missing = paths.size - lines;
  const rest = missing > 0 ? ` ${counted(missing, "path")} without a number.` : "";
  return (
    `${counted(paths.size, "verified path")}, layers up. Width is the size of the exact ` +
    `effect; solid and blue above zero, dashed and red below.${rest}`
  );
}

function drawn(view: CircuitView, sketch: Sketch): SVGSVGElement {
  const { width, height, nodes, edges, served, rows, columns } = sketch;
  return svgEl(
    "svg",
    {
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      "aria-label": pictureWords(edges),
    },
    ...rows.map(([label, y]) => textAt(0, y, label, "pw-sketch-row")),
    ...columns.map(([label, x]) => textAt(x, 9, label, "pw-sketch-column")),
    ...served.map(([from, to]) => servedLine(from, to)),
    ...edges.map((edge) => edgeLine(view, edge)),
    ...nodes.map((node) => nodeBox(view, node)),
  );
}

function pictureWords(edges: readonly SketchEdge[]): string {
  const largest = edges.slice(-3).reverse();
  const words = largest.map(({ path, result }) => `${path} ${signed(result.exact)}`);
  return `Verified paths, listed below; the largest: ${words.join("; ")}`;
}

function textAt(x: number, y: number, words: string, name: string): SVGTextElement {
  return svgEl("text", { x, y, dy: "0.35em", class: name }, words);
}

/** The line, and a wide one without colour that is easy to hit. */
function edgeLine(view: CircuitView, edge: SketchEdge): SVGElement {
  const { over, signal } = view;
  const { path, result, from, to, size } = edge;
  const d = curve(from, to);
  const sign = result.exact < 0 ? "pw-below" : "pw-above";
  const dash = Math.max(4, 1.6 * size);
  const line = svgEl("path", {
    d,
    class: `pw-edge ${sign}`,
    "stroke-width": size,
    "stroke-dasharray": result.exact < 0 ? `${dash} ${dash * 0.7}` : false,
  });
  const target = svgEl("path", { d, class: "pw-edge-target" });
  const title = svgEl("title", {}, `${path}: ${pathWords(result.estimate, result)}`);
  const group = svgEl(
    "g",
    { "data-path": path, "data-sign": sign },
    title,
    line,
    target,
  );
  linkPath(view, group, path, result.writer);
  react(signal, () => {
    group.classList.toggle("pw-lit", over.value === path);
    group.classList.toggle("pw-dim", over.value !== null && over.value !== path);
  });
  return group;
}

function curve(
  [x1, y1]: readonly [number, number],
  [x2, y2]: readonly [number, number],
) {
  const bend = (y1 - y2) / 2;
  return `M${x1} ${y1}C${x1} ${y1 - bend} ${x2} ${y2 + bend} ${x2} ${y2}`;
}

function servedLine(from: SketchNode, to: SketchNode): SVGElement {
  const ends = { x1: from.x, y1: from.y - NODE_HEIGHT / 2 };
  const other = { x2: to.x, y2: to.y + NODE_HEIGHT / 2 };
  return svgEl("line", { ...ends, ...other, class: "pw-served" });
}

/** A click picks the head; the list below does the same by keyboard. */
function nodeBox(view: CircuitView, node: SketchNode): SVGElement {
  const { store, ui, signal } = view;
  const { end, label, x, y, width, ports } = node;
  const box = svgEl("rect", {
    x: x - width / 2,
    y: y - NODE_HEIGHT / 2,
    width,
    height: NODE_HEIGHT,
    rx: 4,
  });
  const name = svgEl("text", { x, y, dy: "0.35em", "text-anchor": "middle" }, label);
  const letters = [...ports].map(([port, at]) =>
    svgEl(
      "text",
      { x: at, y: y + NODE_HEIGHT / 2 + 9, class: "pw-port", "text-anchor": "middle" },
      port,
    ),
  );
  const title = svgEl("title", {}, label);
  const group = svgEl("g", { class: "pw-sketch-node" }, title, box, name, ...letters);
  const isHead = end.layer !== null && end.head !== null && !label.includes("KV");
  const own = isHead ? `L${end.layer}H${end.head}` : label.replace(" MLP", ".mlp");
  const enter = () => {
    const study = store.study.peek();
    ui.hover.value = study ? endPlace(end, study) : null;
  };
  const leave = () => {
    ui.hover.value = null;
  };
  const click = () => goTo(view, own);
  listen(group, { click, pointerenter: enter, pointerleave: leave }, signal);
  react(signal, () => {
    const study = store.study.value;
    const isLit = study !== null && isAt(end, ui.hover.value, study);
    group.classList.toggle("pw-lit", isLit);
    if (isHead)
      title.textContent = headLabel(store.names.value, end.layer ?? 0, end.head ?? 0);
  });
  return group;
}

/** The same as rows, for the keyboard and for those who do not see the sketch. */
function pathTable(
  view: CircuitView,
  paths: ReadonlySignal<ReadonlyMap<string, PathResult>>,
): HTMLElement {
  const { signal } = view;
  const body = el("ul", "pw-verified-paths");
  const show = keyed(
    body,
    (path: string, life) => row({ ...view, signal: life }, path, paths),
    signal,
  );
  react(signal, () => {
    const size = ([, { exact }]: [string, PathResult]) => Math.abs(exact) || 0;
    const sorted = [...paths.value].sort((a, b) => size(b) - size(a));
    show(sorted.map(([path]) => path));
  });
  const summary = live(
    signal,
    () => `${counted(paths.value.size, "verified path")} in words`,
    el("summary"),
  );
  return el("details", "pw-evidence", summary, body);
}

function row(
  view: CircuitView,
  path: string,
  paths: ReadonlySignal<ReadonlyMap<string, PathResult>>,
): HTMLElement {
  const { over, signal } = view;
  const { writer = "", reader = "" } = paths.peek().get(path) ?? {};
  const words = live(signal, () => {
    const result = paths.value.get(path);
    return result ? pathWords(result.estimate, result) : "";
  });
  const item = el(
    "li",
    { "data-path": path },
    nameButton(view, writer),
    " → ",
    nameButton(view, reader),
    " ",
    words,
  );
  linkPath(view, item, path, writer);
  react(signal, () => {
    item.classList.toggle("pw-lit", over.value === path);
  });
  return item;
}
