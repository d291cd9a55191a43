/** One scale for both axes of a square plot, so that y = x is its diagonal. */

import { niceTicks } from "./geometry";

export interface SquareScale {
  low: number;
  high: number;
  /** Length of a side, in CSS pixels. */
  size: number;
  /** From the left edge. */
  x(value: number): number;
  /** From the top edge. */
  y(value: number): number;
  ticks: readonly number[];
}

/** Room for marks whose centres lie at the ends, as a share of the range. */
const PADDING = 0.04;
const TICK_EVERY_PX = 70;

/** Holds zero and every finite value. */
export function squareScale(values: Iterable<number>, size: number): SquareScale {
  let [low, high] = [0, 0];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low === high) [low, high] = [-1, 1];
  const room = PADDING * (high - low);
  low -= room;
  high += room;
  const share = (value: number) => (value - low) / (high - low);
  return {
    low,
    high,
    size,
    x: (value) => share(value) * size,
    y: (value) => (1 - share(value)) * size,
    ticks: niceTicks(low, high, Math.max(3, Math.round(size / TICK_EVERY_PX))),
  };
}
