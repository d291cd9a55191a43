/** Tick labels and titles around a matrix of cells, as SVG text. */

import { setAttributes, svgEl } from "./dom";
import { labelStep, textWidth } from "./geometry";

export interface AxisLabel {
  /** Drawn faintly before the body: a token's leading space. */
  lead: string;
  body: string;
  /** Follows the body and is never shortened: a position's number. */
  tail?: string;
  /** Set in italics: the label stands for several that differ. */
  varies?: boolean;
}

export interface Axis {
  /** Empty for none. */
  title: string;
  labels: readonly AxisLabel[];
  /** Words are set aslant under columns; numbers stand upright. */
  words: boolean;
  /** Which labels are drawn; those that fit, evenly spaced, where not given. */
  ticks?: readonly number[];
}

/** Cells of the matrix that a hover stands for, half-open; null for none. */
export interface Highlight {
  rows: readonly [number, number] | null;
  columns: readonly [number, number] | null;
}

export interface Axes {
  rows: Axis;
  columns: Axis;
  /** Null leaves out the row labels: a neighbour has them. */
  left: number | null;
  /** Room under the cells; as much as the labels need where not given. */
  bottom?: number;
  cellWidth: number;
  cellHeight: number;
  /** The width that all may take together; a wider plot scrolls sideways. */
  room?: number;
}

/** Row labels and titles stay where they are while cells and their labels scroll. */
export interface AxesParts {
  still: SVGSVGElement;
  moving: SVGSVGElement;
}

export const FONT_SIZE = 10;
/** Height of a line of labels. */
export const LINE = 12;
const TITLE_ROOM = 16;
const TICK_GAP = 4;
const MAX_LABEL_LETTERS = 8;
/** From this column width on, labels at 45 degrees stay clear of each other. */
const SLANT_FROM = 16;

export function numberLabels(count: number): AxisLabel[] {
  return Array.from({ length: count }, (_, index) => ({ lead: "", body: `${index}` }));
}

/** Room left of the cells for row labels and the title. */
export function rowMargin({ title, labels }: Axis): number {
  return Math.ceil(longest(labels) + TICK_GAP + (title ? TITLE_ROOM : 2));
}

/** Room under the cells for column labels and the title. */
export function columnMargin(
  { title, labels, words }: Axis,
  cellWidth: number,
): number {
  const across = longest(labels);
  const slant = cellWidth >= SLANT_FROM ? Math.SQRT1_2 : 1;
  const depth = words ? (across + LINE / 2) * slant : LINE;
  return Math.ceil(depth + TICK_GAP + (title ? TITLE_ROOM : 2));
}

export function bottomMargin({ bottom, columns, cellWidth }: Axes): number {
  return bottom ?? columnMargin(columns, cellWidth);
}

/** Draws all labels, thinned until they are legible. The origin is the first cell. */
export function drawAxes({ still, moving }: AxesParts, axes: Axes): void {
  const { rows, columns, cellWidth, cellHeight, left, room } = axes;
  const width = columns.labels.length * cellWidth;
  const height = rows.labels.length * cellHeight;
  const margin = bottomMargin(axes);
  setAttributes(moving, { width, height: height + margin });
  still.replaceChildren();
  moving.replaceChildren();
  if (left !== null) drawRows(still, axes, left);
  drawColumns(moving, axes);
  const seen = Math.min(width, (room ?? Number.POSITIVE_INFINITY) - (left ?? 0));
  still.append(title(columns.title, seen / 2, height + margin - 3));
}

function drawRows(svg: SVGSVGElement, axes: Axes, left: number): void {
  const { rows, cellHeight } = axes;
  const step = labelStep(cellHeight, LINE);
  for (const row of rows.ticks ?? everyStep(rows.labels.length, step)) {
    svg.append(rowLabel(axes, row));
  }
  const middle = (rows.labels.length * cellHeight) / 2;
  const name = title(rows.title, 0, 0);
  name.setAttribute("transform", `translate(${10 - left} ${middle}) rotate(-90)`);
  svg.append(name);
}

function drawColumns(svg: SVGSVGElement, axes: Axes): void {
  const { columns, cellWidth } = axes;
  const room = columns.words
    ? LINE
    : textWidth(`${columns.labels.length - 1}`, FONT_SIZE) + TICK_GAP;
  const step = labelStep(cellWidth, room);
  for (const column of columns.ticks ?? everyStep(columns.labels.length, step)) {
    svg.append(columnLabel(axes, column));
  }
}

function everyStep(count: number, step: number): number[] {
  return Array.from({ length: Math.ceil(count / step) }, (_, index) => index * step);
}

/** Shows the labels of the hovered cells, thinned out or not, over the others. */
export function highlightAxes(
  { still, moving }: AxesParts,
  axes: Axes,
  at: Highlight,
): void {
  const row = at.rows && axes.left !== null ? rowLabel(axes, at.rows[0]) : null;
  putHover(still, row);
  putHover(moving, at.columns && columnLabel(axes, at.columns[0]));
}

function putHover(svg: SVGSVGElement, label: SVGTextElement | null): void {
  svg.querySelector(".pw-tick-hover")?.remove();
  if (!label) return;
  label.classList.add("pw-tick-hover");
  svg.append(label);
}

function rowLabel({ rows, cellHeight }: Axes, row: number): SVGTextElement {
  const y = (row + 0.5) * cellHeight;
  const place = { x: -TICK_GAP, y, "text-anchor": "end", dy: "0.35em" };
  return labelText(rows.labels[row], place);
}

function columnLabel(axes: Axes, column: number): SVGTextElement {
  const { columns, rows, cellWidth, cellHeight } = axes;
  const x = (column + 0.5) * cellWidth;
  const y = rows.labels.length * cellHeight + TICK_GAP;
  const label = columns.labels[column];
  if (!columns.words) {
    return labelText(label, { x, y: y + 8, "text-anchor": "middle" });
  }
  const angle = cellWidth >= SLANT_FROM ? -45 : -90;
  const transform = `translate(${x} ${y}) rotate(${angle})`;
  return labelText(label, { transform, "text-anchor": "end", dy: "0.35em" });
}

function labelText(
  label: AxisLabel | undefined,
  place: Record<string, string | number>,
): SVGTextElement {
  const { lead = "", body = "", tail = "", varies = false } = label ?? {};
  const text = svgEl("text", { class: "pw-tick", direction: "ltr", ...place });
  if (varies) text.classList.add("pw-varies");
  if (lead) text.append(svgEl("tspan", { class: "pw-space" }, lead));
  // Isolated, or right-to-left letters would take the number to their other side.
  text.append(`\u2068${shortened(body)}\u2069${tail}`);
  return text;
}

function title(text: string, x: number, y: number): SVGTextElement {
  return svgEl("text", { class: "pw-axis-title", x, y, "text-anchor": "middle" }, text);
}

function shortened(body: string): string {
  const letters = [...body];
  const isShort = letters.length <= MAX_LABEL_LETTERS;
  return isShort ? body : `${letters.slice(0, MAX_LABEL_LETTERS - 1).join("")}…`;
}

const LONGEST = new WeakMap<readonly AxisLabel[], number>();

/** Measured once: there may be thousands, and one zooms in on them step by step. */
function longest(labels: readonly AxisLabel[]): number {
  const known = LONGEST.get(labels);
  if (known !== undefined) return known;
  const widths = labels.map(({ lead, body, tail = "" }) =>
    textWidth(lead + shortened(body) + tail, FONT_SIZE),
  );
  const found = Math.max(0, ...widths);
  LONGEST.set(labels, found);
  return found;
}
