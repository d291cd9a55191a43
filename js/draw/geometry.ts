/** Where things go: pure arithmetic, in CSS pixels. */

export interface Cell {
  row: number;
  column: number;
}

/** Where a pointer is on an element, whose size comes with it. */
export function pointerOn(
  { clientX, clientY }: { clientX: number; clientY: number },
  element: Element,
): { x: number; y: number; width: number; height: number } {
  const { left, top, width, height } = element.getBoundingClientRect();
  return { x: clientX - left, y: clientY - top, width, height };
}

/** The cell under a point of a canvas that holds nothing but cells. */
export function cellAt(
  { x, y, width, height }: ReturnType<typeof pointerOn>,
  shape: { rows: number; columns: number },
): Cell | null {
  const column = Math.floor((x / width) * shape.columns);
  const row = Math.floor((y / height) * shape.rows);
  const isInside =
    row >= 0 && row < shape.rows && column >= 0 && column < shape.columns;
  return isInside ? { row, column } : null;
}

/** The neighbour that an arrow key leads to, or null for another key. */
export function movedCell(
  { row, column }: Cell,
  key: string,
  shape: { rows: number; columns: number },
): Cell | null {
  const step = ARROWS.get(key);
  if (!step) return null;
  return {
    row: clamp(row + step.row, 0, shape.rows - 1),
    column: clamp(column + step.column, 0, shape.columns - 1),
  };
}

const ARROWS: ReadonlyMap<string, Cell> = new Map([
  ["ArrowUp", { row: -1, column: 0 }],
  ["ArrowDown", { row: 1, column: 0 }],
  ["ArrowLeft", { row: 0, column: -1 }],
  ["ArrowRight", { row: 0, column: 1 }],
]);

/** Cells in a rectangle; both ends half-open. */
export interface CellRect {
  rows: readonly [number, number];
  columns: readonly [number, number];
}

/** The rectangle that has two cells in opposite corners. */
export function rectBetween(a: Cell, b: Cell): CellRect {
  return {
    rows: [Math.min(a.row, b.row), Math.max(a.row, b.row) + 1],
    columns: [Math.min(a.column, b.column), Math.max(a.column, b.column) + 1],
  };
}

export function cellCount({ rows, columns }: CellRect): number {
  return (rows[1] - rows[0]) * (columns[1] - columns[0]);
}

/** Row by row. */
export function* cellsIn({ rows, columns }: CellRect): Iterable<Cell> {
  for (let row = rows[0]; row < rows[1]; row++) {
    for (let column = columns[0]; column < columns[1]; column++) yield { row, column };
  }
}

/** The cell nearest to a point, which may lie outside. */
export function nearestCell(
  { x, y, width, height }: ReturnType<typeof pointerOn>,
  shape: { rows: number; columns: number },
): Cell {
  return {
    row: clamp(Math.floor((y / height) * shape.rows), 0, shape.rows - 1),
    column: clamp(Math.floor((x / width) * shape.columns), 0, shape.columns - 1),
  };
}

export interface FacetLayout {
  /** How many facets stand side by side. */
  perLine: number;
  cellWidth: number;
  cellHeight: number;
}

export const FACET_GAP = 18;
/** Narrower cells are hard to tell apart and to hit: a plot that needs them scrolls. */
export const NARROWEST_CELL = 7;
/** When it has to scroll, it need not be stingy. */
const MIN_CELL = 10;
const COMFORTABLE_CELL = 12;
const MAX_CELL = 28;
/** Narrow cells are taller than wide, so that they are still easy to hit. */
const COMFORTABLE_CELL_HEIGHT = 17;
/** Deep models get flatter cells before they get a longer page. */
const COMFORTABLE_HEIGHT = 420;
const MIN_CELL_HEIGHT = 8;
/** Of this many columns on, a facet takes the smallest cells to stand beside others. */
const MANY_COLUMNS = 33;
/** Wider canvases cannot be had at two device pixels per pixel in every browser. */
const MAX_PLOT_WIDTH = 8000;

/**
 * As many facets on a line as leave a cell that is comfortable to read and to hit.
 * `fit` squeezes all columns into the width, however narrow cells become.
 */
export function layoutFacets(
  width: number,
  facets: number,
  shape: { rows: number; columns: number },
  margin: number,
  fit = false,
): FacetLayout {
  const enough = shape.columns < MANY_COLUMNS ? COMFORTABLE_CELL : MIN_CELL;
  let perLine = Math.max(1, facets);
  let cell = cellThatFits(width, perLine, shape.columns, margin);
  while (perLine > 1 && cell < enough) {
    perLine -= 1;
    cell = cellThatFits(width, perLine, shape.columns, margin);
  }
  // Four and one is a worse page than three and two.
  perLine = Math.ceil(facets / Math.ceil(facets / perLine)) || 1;
  cell = cellThatFits(width, perLine, shape.columns, margin);
  const squeezed = Math.max(0.5, (width - margin) / shape.columns);
  const least = Math.min(MIN_CELL, MAX_PLOT_WIDTH / shape.columns);
  const own = cell >= NARROWEST_CELL ? Math.min(cell, MAX_CELL) : least;
  const cellWidth = fit && cell < NARROWEST_CELL ? Math.min(squeezed, least) : own;
  const flat = Math.floor(COMFORTABLE_HEIGHT / shape.rows);
  const tall = Math.max(cellWidth, COMFORTABLE_CELL_HEIGHT);
  const cellHeight = Math.max(MIN_CELL_HEIGHT, Math.min(tall, flat));
  return { perLine, cellWidth, cellHeight };
}

function cellThatFits(
  width: number,
  perLine: number,
  columns: number,
  margin: number,
): number {
  const room = (width + FACET_GAP) / perLine - FACET_GAP - margin;
  return Math.floor(room / columns);
}

/** Every how many cells a label fits, when each needs some room. */
export function labelStep(cellSize: number, room: number): number {
  return Math.max(1, Math.ceil(room / cellSize));
}

/** Round numbers that cover a range: about `count` of them, both ends inside. */
export function niceTicks(low: number, high: number, count: number): number[] {
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(span)) return [low];
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  // Multiplied, not added up: 3 * 0.1 errs once, 0.1 + 0.1 + 0.1 at every step.
  return Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
}

/** A rough width of a text in the widget's label size; no layout is asked for it. */
export function textWidth(text: string, fontSize: number): number {
  let ems = 0;
  // Han, kana and Hangul are about twice as wide as letters.
  for (const character of text) ems += character > "\u2e7f" ? 1 : 0.62;
  return ems * fontSize;
}

export function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, value));
}
