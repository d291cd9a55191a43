/** A painted matrix with its axes and a crosshair: one facet, one attention panel. */

import {
  type Axes,
  bottomMargin,
  drawAxes,
  type Highlight,
  highlightAxes,
} from "./axes";
import { type Painting, paint } from "./canvas";
import { el, setAttributes, svgEl } from "./dom";

export interface Plot {
  element: HTMLElement;
  /** Its area is exactly the cells. */
  canvas: HTMLCanvasElement;
  /** Returns false where the canvas cannot be drawn on. */
  draw(painting: Painting, axes: Axes): boolean;
  /** Marks rows and columns; `isHere` where the pointer is at this very cell. */
  highlight(at: Highlight, isHere: boolean): void;
}

/** Wider plots scroll sideways on their own, so that the page does not. */
const SCROLL_FROM_WIDTH = 2000;

/** Marks inside smaller cells would hide them, so they stand around them. */
const ROOM_FOR_MARKS = 6;

export function createPlot(): Plot {
  const canvas = el("canvas");
  const svg = svgEl("svg", { class: "pw-axes", "aria-hidden": "true" });
  const rowBand = el("div", { class: "pw-band", hidden: true });
  const columnBand = el("div", { class: "pw-band", hidden: true });
  const cursor = el("div", { class: "pw-cursor", hidden: true });
  const cells = el("div", { class: "pw-cells" });
  cells.append(canvas, svg, rowBand, columnBand, cursor);
  const element = el("div", { class: "pw-plot" }, cells);
  let drawn: Axes | null = null;

  return {
    element,
    canvas,
    draw(painting, axes) {
      drawn = axes;
      const width = painting.matrix.columns * painting.cellWidth;
      const height = painting.matrix.rows * painting.cellHeight;
      const left = axes.left ?? 0;
      const bottom = bottomMargin(axes);
      element.style.width = `${left + width}px`;
      element.style.height = `${height + bottom}px`;
      element.classList.toggle("pw-wide", width > SCROLL_FROM_WIDTH);
      element.classList.toggle("pw-fine", axes.cellWidth < ROOM_FOR_MARKS);
      setBox(cells, left, 0, width, height);
      drawAxes(svg, axes);
      return paint(canvas, painting);
    },
    highlight({ rows, columns }, isHere) {
      if (!drawn) return;
      const { cellWidth, cellHeight } = drawn;
      const x = span(columns, cellWidth);
      const y = span(rows, cellHeight);
      const all = { at: 0, size: null };
      place(rowBand, y && { x: all, y });
      place(columnBand, x && { x, y: all });
      place(cursor, x && y && { x, y });
      cursor.classList.toggle("pw-here", isHere);
      highlightAxes(svg, drawn, { rows, columns });
    },
  };
}

interface Extent {
  at: number;
  /** Null for the whole plot. */
  size: number | null;
}

function span(cells: readonly [number, number] | null, size: number): Extent | null {
  return cells && { at: cells[0] * size, size: (cells[1] - cells[0]) * size };
}

function place(mark: HTMLElement, box: { x: Extent; y: Extent } | null): void {
  setAttributes(mark, { hidden: box === null });
  if (!box) return;
  const { x, y } = box;
  mark.style.transform = `translate(${x.at}px, ${y.at}px)`;
  mark.style.width = x.size === null ? "100%" : `${x.size}px`;
  mark.style.height = y.size === null ? "100%" : `${y.size}px`;
}

function setBox(
  element: HTMLElement,
  left: number,
  top: number,
  width: number,
  height: number,
): void {
  const { style } = element;
  style.left = `${left}px`;
  style.top = `${top}px`;
  style.width = `${width}px`;
  style.height = `${height}px`;
}
