/** The circuit so far: verified paths between what writes and what reads. */

import { computed, signal as makeSignal } from "@preact/signals-core";
import { el, listen, live, react, svgEl } from "../../draw/dom";
import { signed } from "../../draw/number";
import { positionName } from "../../state/tokens";
import { counted } from "../../views/words";
import type { PathResult } from "../record";
import {
  NODE_HEIGHT,
  type Sketch,
  type SketchEdge,
  type SketchNode,
  sketchOf,
} from "../sketch";
import { pathStory } from "./path_story";
import { pathTable } from "./path_table";
import { linkPath, pathWords } from "./paths";
import { rebuilt } from "./rebuilt";
import { listenToSketch, partAt, stopAt, type TabStop, tabStop } from "./sketch_keys";
import { nodeBox, portLetters } from "./sketch_node";
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
  const visited = makeSignal("");
  const stop = tabStop(sketch, visited);
  const picture = el("div", "pw-sketch-picture");
  const words = readingOf(view, picture);
  rebuilt(view, picture, (own) => {
    return sketch.value ? [drawn(own, sketch.value, stop)] : [];
  });
  listenToSketch(view, picture, sketch, visited);
  const hint = el("div", "pw-quiet");
  live(signal, () => hintOf(paths.value, sketch.value), hint);
  const list = pathTable(view, paths);
  react(signal, () => {
    picture.hidden = words.hidden = list.hidden = paths.value.size === 0;
  });
  return el(
    "section",
    { class: "pw-sketch", "aria-label": "Circuit sketch" },
    el("div", "pw-circuit-title", "Circuit sketch"),
    hint,
    picture,
    words,
    pathStory(view),
    list,
    sketchTools(view, picture),
  );
}

const HINT =
  "Point at a node or a line, or move with the arrow keys, for what is known of it; " +
  "with Shift they lead from a node along its paths.";

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

/** What is said of that which is pointed at, or has the focus. */
function readingOf({ signal }: CircuitView, picture: HTMLElement): HTMLElement {
  const line = el("div", "pw-circuit-words", HINT);
  const read = (event: Event) => {
    line.textContent = partAt(event)?.getAttribute("aria-label") ?? HINT;
  };
  const leave = () => {
    line.textContent = HINT;
  };
  listen(picture, { pointerover: read, focusin: read }, signal);
  listen(picture, { pointerleave: leave, focusout: leave }, signal);
  return line;
}

function drawn(view: CircuitView, sketch: Sketch, stop: TabStop): SVGSVGElement {
  const { width, height, nodes, edges, served, rows, columns } = sketch;
  return svgEl(
    "svg",
    {
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: "application",
      "aria-roledescription": "circuit sketch",
      "aria-label": pictureWords(edges),
    },
    ...rows.map(([label, y]) => textAt(0, y, label, "pw-sketch-row")),
    ...columns.map(([label, x]) => textAt(x, 9, label, "pw-sketch-column")),
    ...served.map(([from, to]) => servedLine(from, to)),
    ...edges.map((edge) => edgeLine(view, edge, stop)),
    ...nodes.map((node) => nodeBox(view, node, edges, stop)),
    ...nodes.flatMap(portLetters),
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

/** The line, below it a wide one without colour that is easy to hit. */
function edgeLine(view: CircuitView, edge: SketchEdge, stop: TabStop): SVGElement {
  const { over, signal } = view;
  const { key, path, result, from, to, size } = edge;
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
  const words = `${path}: ${pathWords(result.estimate, result)}`;
  const named = { "data-key": key, "data-path": path, "data-sign": sign };
  const group = svgEl(
    "g",
    { ...named, role: "img", "aria-label": words },
    svgEl("title", {}, words),
    target,
    line,
  );
  linkPath(view, group, path, result.writer);
  stopAt(view, group, key, stop);
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
