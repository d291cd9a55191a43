/** Marks of a scatter: told apart by shape, and by hue for those who see it. */

import { svgEl } from "./dom";

export type MarkShape =
  | "circle"
  | "square"
  | "diamond"
  | "up"
  | "down"
  | "plus"
  | "cross"
  | "star";

export interface Mark {
  shape: MarkShape;
  /** CSS colours that stand out from a light page, and from a dark one. */
  light: string;
  dark: string;
}

type Outline = readonly (readonly [x: number, y: number])[];

/** Half the width of a bar of plus and cross. */
const BAR = 0.34;
const ARM: Outline = [
  [-BAR, -1.1],
  [BAR, -1.1],
  [BAR, -BAR],
];
const PLUS: Outline = [0, 1, 2, 3].flatMap((quarter) => turned(ARM, quarter / 4));

/** Around the origin, at about equal areas for a radius of one. */
const OUTLINES: Record<MarkShape, Outline> = {
  circle: polygon(20, 1),
  square: polygon(4, 1.25, 1 / 8),
  diamond: polygon(4, 1.3),
  up: polygon(3, 1.4),
  down: polygon(3, 1.4, 1 / 2),
  plus: PLUS,
  cross: turned(PLUS, 1 / 8),
  star: polygon(10, 1.45, 0, 0.62),
};

/** Corners at even turns from the top; every second one may lie further in. */
function polygon(corners: number, radius: number, turn = 0, inner = radius): Outline {
  return Array.from({ length: corners }, (_, index) => {
    const angle = 2 * Math.PI * (index / corners + turn - 1 / 4);
    const reach = index % 2 === 0 ? radius : inner;
    return [reach * Math.cos(angle), reach * Math.sin(angle)];
  });
}

function turned(outline: Outline, turn: number): Outline {
  const angle = 2 * Math.PI * turn;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return outline.map(([x, y]) => [x * cos - y * sin, x * sin + y * cos]);
}

export function hueOf(mark: Mark, isDark: boolean): string {
  return isDark ? mark.dark : mark.light;
}

/** Begins a path on the context; the caller fills or strokes it. */
export function traceMark(
  context: CanvasRenderingContext2D,
  shape: MarkShape,
  x: number,
  y: number,
  radius: number,
): void {
  context.beginPath();
  for (const [dx, dy] of OUTLINES[shape]) {
    context.lineTo(x + radius * dx, y + radius * dy);
  }
  context.closePath();
}

const LEGEND_SIZE = 14;
const LEGEND_RADIUS = 4.5;

/** The mark as a picture, for a legend. */
export function markPicture(mark: Mark, isDark: boolean): SVGSVGElement {
  const points = OUTLINES[mark.shape]
    .map(
      ([x, y]) => `${(LEGEND_RADIUS * x).toFixed(2)},${(LEGEND_RADIUS * y).toFixed(2)}`,
    )
    .join(" ");
  const half = LEGEND_SIZE / 2;
  return svgEl(
    "svg",
    {
      class: "pw-mark",
      width: LEGEND_SIZE,
      height: LEGEND_SIZE,
      viewBox: `${-half} ${-half} ${LEGEND_SIZE} ${LEGEND_SIZE}`,
      "aria-hidden": "true",
    },
    svgEl("polygon", { points, fill: hueOf(mark, isDark) }),
  );
}
