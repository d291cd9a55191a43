/** A painted matrix with its axes and a crosshair: one facet, one attention panel. */

import {
  type Axes,
  type AxesParts,
  bottomMargin,
  drawAxes,
  type Highlight,
  highlightAxes,
} from "./axes";
import { type Painting, paint } from "./canvas";
import { el, setAttributes, svgEl } from "./dom";
import type { Cell, CellRect } from "./geometry";
import { createTip } from "./tip";

export interface Plot {
  element: HTMLElement;
  /** Its area is exactly the cells. */
  canvas: HTMLCanvasElement;
  /** What scrolls sideways where the cells are wider than their room. */
  scroller: HTMLElement;
  /** Returns false where the canvas cannot be drawn on. */
  draw(painting: Painting, axes: Axes): boolean;
  /** Marks rows and columns; `isHere` where the pointer is at this very cell. */
  highlight(at: Highlight, isHere: boolean): void;
  /** A frame around a rectangle that is being drawn; null takes it away. */
  outline(rect: CellRect | null, label: string, isRefused: boolean): void;
  /** A note at a cell; null takes it away. */
  tip(cell: Cell | null, text?: readonly [title: string, rest: string]): void;
  /** Scrolls until a column can be seen. */
  reveal(column: number): void;
}

/** Room for a scroll bar under the labels. */
const SCROLL_BAR = 14;

/** Marks inside smaller cells would hide them, so they stand around them. */
const ROOM_FOR_MARKS = 6;

export function createPlot(): Plot {
  const canvas = el("canvas");
  const axesParts: AxesParts = {
    still: svgEl("svg", { class: "pw-axes pw-still", "aria-hidden": "true" }),
    moving: svgEl("svg", { class: "pw-axes", "aria-hidden": "true" }),
  };
  const rowBand = el("div", { class: "pw-band", hidden: true });
  const columnBand = el("div", { class: "pw-band", hidden: true });
  const cursor = el("div", { class: "pw-cursor", hidden: true });
  const frame = el("div", { class: "pw-outline", hidden: true });
  const note = createTip();
  const cells = el("div", "pw-cells");
  cells.append(canvas, axesParts.moving, rowBand, columnBand, cursor, frame);
  const scroller = el("div", "pw-scroller", cells);
  const element = el("div", "pw-plot");
  element.append(scroller, axesParts.still, note.element);
  let drawn: Axes | null = null;
  let look = "";
  let isWide = false;

  /** Labels cost more than cells, and change less often. */
  function layOut(axes: Axes): void {
    const key = JSON.stringify(axes);
    drawn = axes;
    if (key === look) return;
    look = key;
    const width = axes.columns.labels.length * axes.cellWidth;
    const height = axes.rows.labels.length * axes.cellHeight;
    const left = axes.left ?? 0;
    const bottom = bottomMargin(axes);
    isWide = axes.room !== undefined && left + width > axes.room;
    const extra = isWide ? SCROLL_BAR : 0;
    element.style.width = `${left + width}px`;
    element.style.height = `${height + bottom + extra}px`;
    scroller.style.left = `${left}px`;
    scroller.classList.toggle("pw-scrolls", isWide);
    axesParts.still.style.left = `${left}px`;
    setSize(cells, width, height);
    drawAxes(axesParts, axes);
  }

  return {
    element,
    canvas,
    scroller,
    draw(painting, axes) {
      layOut(axes);
      element.classList.toggle("pw-fine", axes.cellWidth < ROOM_FOR_MARKS);
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
      highlightAxes(axesParts, drawn, { rows, columns });
    },
    outline(rect, label, isRefused) {
      const x = drawn && rect && span(rect.columns, drawn.cellWidth);
      const y = drawn && rect && span(rect.rows, drawn.cellHeight);
      place(frame, x && y && { x, y });
      frame.dataset.label = label;
      frame.classList.toggle("pw-refused", isRefused);
    },
    tip(cell, text) {
      if (!drawn || !cell || !text) {
        note.hide();
        return;
      }
      const { cellWidth, cellHeight, left, room } = drawn;
      // Asked only where it can differ from 0: the answer costs a layout.
      const scrolled = isWide ? scroller.scrollLeft : 0;
      const x = (left ?? 0) + (cell.column + 0.5) * cellWidth - scrolled;
      const own = (left ?? 0) + drawn.columns.labels.length * cellWidth;
      note.show(text, x, cell.row * cellHeight, Math.min(own, room ?? own));
    },
    reveal(column) {
      if (!drawn) return;
      const { cellWidth } = drawn;
      const [start, end] = [column * cellWidth, (column + 1) * cellWidth];
      const seen = scroller.clientWidth;
      if (start < scroller.scrollLeft) scroller.scrollLeft = start - cellWidth;
      else if (end > scroller.scrollLeft + seen) {
        scroller.scrollLeft = end - seen + cellWidth;
      }
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

function setSize({ style }: HTMLElement, width: number, height: number): void {
  style.width = `${width}px`;
  style.height = `${height}px`;
}
