/** Later heads as cells, layers up: how their direct effects change. */

import type { Signal } from "@preact/signals-core";
import { listen, react, setAttributes, svgEl } from "../../draw/dom";
import { type Cell, movedCell } from "../../draw/geometry";
import { headPlace } from "../../state/place";
import { largest, type Paint, paintOf } from "../cells";
import type { Repair } from "../record";
import type { CircuitView } from "./view";

/** The head that is pointed at: a row is a layer. */
export type At = Signal<Cell | null>;

const CELL = { width: 22, height: 18, left: 54 };

/** `L4H0` of `L4H0.z`. */
export function headOf(node: string): string {
  return node.replace(/\.z$/, "");
}

/** Seen without colour, and said beside the head's name below. */
export function markOf(role: string): string {
  return role.includes("negative") ? "▽" : "▲";
}

export function responseStrip(view: CircuitView, found: Repair, at: At): SVGSVGElement {
  const [layers = 0, heads = 0] = found.shape;
  const isLater = (row: readonly number[]) => row.some((value) => !Number.isNaN(value));
  const first = found.change.findIndex(isLater);
  const count = first < 0 ? 0 : layers - first;
  const top = (layer: number) => (layers - 1 - layer) * CELL.height + 1;
  const svg = svgEl("svg", {
    width: CELL.left + heads * CELL.width + 2,
    height: (count + 1) * CELL.height + 2,
    tabindex: 0,
    role: "application",
    "aria-roledescription": "strip of heads",
    "aria-label": "Change of each later head's direct effect",
  });
  const shown = Array.from({ length: count }, (_, index) => first + index);
  svg.append(
    ...shown.map((layer) => textAt(CELL.left - 6, top(layer), `layer ${layer}`, "end")),
    ...shown.flatMap((layer) => cellsOf(view, found, layer, top(layer))),
    ...Array.from({ length: heads }, (_, head) => {
      const x = CELL.left + (head + 0.5) * CELL.width;
      return textAt(x, count * CELL.height + 1, `${head}`, "middle");
    }),
    cursor(view, at, top),
  );
  listenToStrip(view, svg, at, { first, layers, heads });
  return svg;
}

function cellsOf({ theme }: CircuitView, found: Repair, layer: number, y: number) {
  const { diverging } = theme.value.palette;
  const scale = largest(found.change);
  return (found.change[layer] ?? []).flatMap((value, head) => {
    const paint = paintOf(value, scale, diverging);
    if (!paint) return [];
    const name = `L${layer}H${head}`;
    const role = found.against.find((one) => headOf(one.head) === name)?.role;
    const x = CELL.left + head * CELL.width;
    return [cellAt({ row: layer, column: head }, x, y, paint, role)];
  });
}

function cellAt(
  { row, column }: Cell,
  x: number,
  y: number,
  { fill, ink }: Paint,
  role: string | undefined,
): SVGElement {
  const [width, height] = [CELL.width - 1, CELL.height - 1];
  const box = svgEl("rect", { x: x + 0.5, y: y + 0.5, width, height, fill });
  const group = svgEl("g", { "data-layer": row, "data-head": column }, box);
  if (role) {
    const mark = textAt(x + CELL.width / 2, y, markOf(role), "middle");
    mark.style.fill = ink;
    group.append(mark);
  }
  return group;
}

function textAt(x: number, y: number, words: string, anchor: string): SVGTextElement {
  const place = { x, y: y + CELL.height / 2, "text-anchor": anchor };
  return svgEl("text", { ...place, class: "pw-strip-text", dy: "0.35em" }, words);
}

/** A frame around the head that is pointed at. */
function cursor({ signal }: CircuitView, at: At, top: (layer: number) => number) {
  const { width, height } = CELL;
  const frame = svgEl("rect", { class: "pw-strip-cursor", width, height });
  react(signal, () => {
    const cell = at.value;
    setAttributes(frame, {
      x: CELL.left + (cell?.column ?? 0) * CELL.width,
      y: cell ? top(cell.row) : 0,
      visibility: cell ? "visible" : "hidden",
    });
  });
  return frame;
}

function listenToStrip(
  { ui, signal }: CircuitView,
  svg: SVGSVGElement,
  at: At,
  { first, layers, heads }: { first: number; layers: number; heads: number },
): void {
  const show = (cell: Cell | null) => {
    at.value = cell;
    ui.hover.value = cell && headPlace(cell.row, cell.column);
  };
  const onKey = (event: KeyboardEvent) => {
    const from = at.peek() ?? { row: layers - 1, column: 0 };
    const shape = { rows: layers, columns: heads };
    // Layers go up.
    const key = { ArrowUp: "ArrowDown", ArrowDown: "ArrowUp" }[event.key] ?? event.key;
    const to = movedCell(from, key, shape);
    if (!to) return;
    event.preventDefault(); // or the page would scroll
    show({ ...to, row: Math.max(first, to.row) });
  };
  const enter = ({ target }: Event) => {
    const group = target instanceof Element ? target.closest("[data-layer]") : null;
    const [layer, head] = ["data-layer", "data-head"].map((name) =>
      Number(group?.getAttribute(name)),
    );
    show(group ? { row: layer ?? 0, column: head ?? 0 } : null);
  };
  const leave = () => show(null);
  const listeners = { keydown: onKey, pointerover: enter };
  listen(svg, { ...listeners, pointerleave: leave, blur: leave }, signal);
}
