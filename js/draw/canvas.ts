/** Paints a matrix of values, and the marks on its cells, into a canvas. */

import { type ColourMap, colourOffset } from "./colour";
import { clamp } from "./geometry";
import type { Theme } from "./theme";

export interface Matrix {
  rows: number;
  columns: number;
  /** Row by row; NaN where there is no value. */
  values: Float32Array;
}

export interface Painting {
  matrix: Matrix;
  colours: ColourMap;
  /** The value at the end of the colours; zero draws everything as zero. */
  scale: number;
  cellWidth: number;
  cellHeight: number;
  theme: Theme;
  /** Of cells without a value: 1 for a dot instead of hatching, 2 for nothing at all. */
  unknown?: Uint8Array;
  /** 1 for cells with the verified mark. */
  verified?: Uint8Array;
  /** Indices of picked cells. */
  picked?: Iterable<number>;
}

/** Smaller cells have no room for lines between them. */
const MIN_CELL_FOR_GAPS = 6;
const FULL_GAP_FROM = 14;
const HATCH_SPACING = 5;
/** Width of the frame around a picked cell. */
const FRAME = 2;
/** Marks stay visible on the smallest cells, though they reach over the next one. */
const MIN_FRAME = 6;
const MIN_MARK = 4;
const MAX_MARK = 8;

/** Returns false where the canvas cannot be drawn on. */
export function paint(canvas: HTMLCanvasElement, painting: Painting): boolean {
  const { matrix, cellWidth, cellHeight, theme } = painting;
  const width = matrix.columns * cellWidth;
  const height = matrix.rows * cellHeight;
  const context = sizedContext(canvas, width, height, theme.density);
  if (!context) return false;
  paintValues(context, painting);
  paintAbsent(context, painting);
  paintGaps(context, painting);
  paintMarks(context, painting);
  return true;
}

/** Emptied, and in CSS pixels; null where it cannot be drawn on. */
export function sizedContext(
  canvas: HTMLCanvasElement,
  width: number,
  height: number,
  density: number,
): CanvasRenderingContext2D | null {
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  canvas.width = Math.max(1, Math.round(width * density));
  canvas.height = Math.max(1, Math.round(height * density));
  const context = canvas.getContext("2d");
  context?.scale(canvas.width / width, canvas.height / height);
  return context;
}

/** One pixel per cell, then enlarged (or, for very long prompts, reduced). */
function paintValues(context: CanvasRenderingContext2D, painting: Painting): void {
  const { matrix, colours, scale, theme, cellWidth, cellHeight } = painting;
  const { rows, columns, values } = matrix;
  const small = document.createElement("canvas");
  small.width = columns;
  small.height = rows;
  const target = small.getContext("2d", { willReadFrequently: true });
  if (!target) return;
  const image = target.createImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  const colourWords = new Uint32Array(colours.buffer);
  for (let index = 0; index < values.length; index++) {
    const value = values[index] as number; // within its length
    if (Number.isNaN(value)) continue;
    pixels[index] = colourWords[colourOffset(value, scale) / 4] as number; // as above
  }
  target.putImageData(image, 0, 0);
  context.fillStyle = theme.paper;
  const [width, height] = [columns * cellWidth, rows * cellHeight];
  context.fillRect(0, 0, width, height);
  context.imageSmoothingEnabled = cellWidth * theme.density < 1;
  context.drawImage(small, 0, 0, width, height);
}

/** A dot where nothing was run yet, hatching where a value ought to be. */
function paintAbsent(context: CanvasRenderingContext2D, painting: Painting): void {
  const { matrix, unknown, cellWidth, cellHeight, theme } = painting;
  context.strokeStyle = theme.hatch;
  context.fillStyle = theme.hatch;
  context.lineWidth = 1;
  for (let index = 0; index < matrix.values.length; index++) {
    if (unknown?.[index] === 2 || !Number.isNaN(matrix.values[index])) continue;
    const { x, y } = corner(painting, index);
    if (!unknown?.[index]) hatch(context, x, y, cellWidth, cellHeight);
    else
      context.fillRect(x + cellWidth / 2 - 0.75, y + cellHeight / 2 - 0.75, 1.5, 1.5);
  }
}

function hatch(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  width: number,
  height: number,
): void {
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.beginPath();
  for (let at = HATCH_SPACING / 2; at < width + height; at += HATCH_SPACING) {
    context.moveTo(x + at, y);
    context.lineTo(x + at - height, y + height);
  }
  context.stroke();
  context.restore();
}

function paintGaps(context: CanvasRenderingContext2D, painting: Painting): void {
  const { matrix, cellWidth, cellHeight, theme } = painting;
  const { rows, columns } = matrix;
  if (Math.min(cellWidth, cellHeight) < MIN_CELL_FOR_GAPS) return;
  // A full line between small cells would be louder than their colours.
  const line = Math.min(cellWidth, cellHeight) < FULL_GAP_FROM ? 0.5 : 1;
  context.fillStyle = theme.paper;
  for (let column = 1; column < columns; column++) {
    context.fillRect(column * cellWidth - line / 2, 0, line, rows * cellHeight);
  }
  for (let row = 1; row < rows; row++) {
    context.fillRect(0, row * cellHeight - line / 2, columns * cellWidth, line);
  }
}

function paintMarks(context: CanvasRenderingContext2D, painting: Painting): void {
  const { verified, picked = [], cellWidth, cellHeight, theme } = painting;
  const size = clamp(0.36 * Math.min(cellWidth, cellHeight), MIN_MARK, MAX_MARK);
  const framed = new Set(picked);
  for (const index of framed) {
    const { x, y } = corner(painting, index);
    frame(context, x, y, cellWidth, cellHeight, theme);
  }
  for (const index of verified?.keys() ?? []) {
    if (!verified?.[index]) continue;
    const { x, y } = corner(painting, index);
    const inset = framed.has(index) ? FRAME : 0.5;
    triangle(context, x + cellWidth - inset, y + inset, size, theme);
  }
}

/** Filled with ink and edged with paper: one of the two stands out on any colour. */
function triangle(
  context: CanvasRenderingContext2D,
  right: number,
  top: number,
  size: number,
  theme: Theme,
): void {
  context.beginPath();
  context.moveTo(right - size, top);
  context.lineTo(right, top);
  context.lineTo(right, top + size);
  context.closePath();
  context.lineWidth = 1.5;
  context.strokeStyle = theme.paper;
  context.stroke();
  context.fillStyle = theme.ink;
  context.fill();
}

function frame(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  width: number,
  height: number,
  theme: Theme,
): void {
  const [wide, high] = [Math.max(width, MIN_FRAME), Math.max(height, MIN_FRAME)];
  const [left, top] = [x - (wide - width) / 2, y - (high - height) / 2];
  const inner = FRAME + 0.5;
  context.lineWidth = 1;
  context.strokeStyle = theme.paper;
  context.strokeRect(left + inner, top + inner, wide - 2 * inner, high - 2 * inner);
  context.lineWidth = FRAME;
  context.strokeStyle = theme.ink;
  context.strokeRect(left + FRAME / 2, top + FRAME / 2, wide - FRAME, high - FRAME);
}

function corner(painting: Painting, index: number): { x: number; y: number } {
  const { matrix, cellWidth, cellHeight } = painting;
  const row = Math.floor(index / matrix.columns);
  return { x: (index - row * matrix.columns) * cellWidth, y: row * cellHeight };
}
