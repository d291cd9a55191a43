/** Which rows of a long table are in sight: all rows have the same height. */

import { clamp } from "./geometry";

/** Rows beyond both edges that are drawn as well, so that a scroll shows no gap. */
const SPARE = 6;

/** Half-open. */
export interface RowWindow {
  start: number;
  end: number;
}

export interface Viewport {
  /** How far it is scrolled, and how much it shows, in CSS pixels. */
  top: number;
  height: number;
  rowHeight: number;
}

export function rowWindow(
  { top, height, rowHeight }: Viewport,
  count: number,
): RowWindow {
  const start = Math.floor(top / rowHeight) - SPARE;
  const end = Math.ceil((top + height) / rowHeight) + SPARE;
  return { start: clamp(start, 0, count), end: clamp(end, 0, count) };
}

/** Where to scroll so that a row is in sight: nowhere if it is. */
export function scrollFor(row: number, { top, height, rowHeight }: Viewport): number {
  const [start, end] = [row * rowHeight, (row + 1) * rowHeight];
  if (start < top) return start;
  return end > top + height ? end - height : top;
}
