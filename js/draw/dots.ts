/** One value per pair as dots on a line, with their mean as a stroke. */

import { svgEl } from "./dom";
import { unsigned } from "./number";

const WIDTH = 110;
const HEIGHT = 14;
const RADIUS = 1.8;
const MARGIN = 4;

export type Range = readonly [low: number, high: number];

/** The range of all values and zero, so that rows of dots can be compared. */
export function dotRange(rows: readonly (readonly number[])[]): Range {
  const finite = rows.flat().filter(Number.isFinite);
  return [Math.min(0, ...finite), Math.max(0, ...finite)];
}

export function dots(values: readonly number[], mean: number, range: Range) {
  const [low, high] = range;
  const at = (value: number) =>
    MARGIN + ((value - low) / (high - low || 1)) * (WIDTH - 2 * MARGIN);
  const middle = HEIGHT / 2;
  const finite = values.filter(Number.isFinite);
  const label = `${values.length} pairs, from ${unsigned(Math.min(...values))} to ${unsigned(Math.max(...values))}`;
  const svg = svgEl("svg", {
    class: "pw-dots",
    width: WIDTH,
    height: HEIGHT,
    role: "img",
    "aria-label": label,
  });
  const upright = (x: number, reach: number, name: string) =>
    svgEl("line", {
      x1: x,
      x2: x,
      y1: middle - reach,
      y2: middle + reach,
      class: name,
    });
  svg.append(upright(at(0), middle, "pw-zero"));
  for (const value of finite) {
    svg.append(svgEl("circle", { cx: at(value), cy: middle, r: RADIUS }));
  }
  if (Number.isFinite(mean)) svg.append(upright(at(mean), 5, "pw-mean"));
  return svg;
}
