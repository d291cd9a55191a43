/**
 * The square part of a square matrix that is looked at: zoom and pan.
 *
 * In whole cells, so that every label stands at its cell and no cell is cut.
 */

export interface Viewport {
  /** Rows and columns of the whole matrix. */
  size: number;
  /** The first row and column shown. */
  top: number;
  left: number;
  /** Rows and columns shown. */
  count: number;
}

/** Fewer cells than this at once are no picture. */
const LEAST_CELLS = 8;

export function wholeMatrix(size: number): Viewport {
  return { size, top: 0, left: 0, count: size };
}

/** A factor over 1 comes nearer; the cell at that share of the picture stays there. */
export function zoomed(
  view: Viewport,
  factor: number,
  at: { x: number; y: number } = { x: 0.5, y: 0.5 },
): Viewport {
  const { size, top, left, count } = view;
  const wanted = Math.round(count / factor);
  // Rounding must not swallow a small turn of the wheel.
  const step = factor > 1 ? -1 : factor < 1 ? 1 : 0;
  const next = clamp(wanted === count ? count + step : wanted, leastCells(size), size);
  return kept({
    size,
    top: Math.round(top + at.y * (count - next)),
    left: Math.round(left + at.x * (count - next)),
    count: next,
  });
}

export function panned(view: Viewport, rows: number, columns: number): Viewport {
  return kept({ ...view, top: view.top + rows, left: view.left + columns });
}

/** Moved by as little as shows a row and a column; null for either that may be. */
export function revealing(
  view: Viewport,
  row: number | null,
  column: number | null,
): Viewport {
  const { top, left, count } = view;
  const nearest = (first: number, at: number | null) =>
    at === null ? first : clamp(first, at - count + 1, at);
  return kept({ ...view, top: nearest(top, row), left: nearest(left, column) });
}

export function canZoomIn({ size, count }: Viewport): boolean {
  return count > leastCells(size);
}

export function canZoomOut({ size, count }: Viewport): boolean {
  return count < size;
}

/** The same part of another matrix, as far as it has one. */
export function fittedTo(view: Viewport, size: number): Viewport {
  return view.size === size ? view : wholeMatrix(size);
}

function leastCells(size: number): number {
  return Math.min(size, LEAST_CELLS);
}

function kept(view: Viewport): Viewport {
  const last = view.size - view.count;
  return { ...view, top: clamp(view.top, 0, last), left: clamp(view.left, 0, last) };
}

function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, value));
}
