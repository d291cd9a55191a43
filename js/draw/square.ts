/** Ticks and titles around a scatter's square, as SVG. */

import { setAttributes, svgEl } from "./dom";
import { textWidth } from "./geometry";
import { tick } from "./number";
import type { SquareScale } from "./scale";
import { RUG_ROOM } from "./scatter";

export interface ScatterTitles {
  x: string;
  y: string;
  /** The name of the diagonal. */
  diagonal: string;
}

const FONT_SIZE = 10;
const TITLE_ROOM = 16;
const TICK_LENGTH = 4;
/** Under the square, without the rug. */
const BOTTOM = TICK_LENGTH + 12 + TITLE_ROOM;

/** Room around the square: left of it, and under it. */
export function scatterMargins({ ticks }: SquareScale): {
  left: number;
  bottom: number;
} {
  const widths = ticks.map((value) => textWidth(tick(value), FONT_SIZE));
  const left = Math.ceil(Math.max(0, ...widths) + TICK_LENGTH + 4 + TITLE_ROOM);
  return { left, bottom: RUG_ROOM + BOTTOM };
}

/** The origin is the upper left corner of the square. */
export function drawScatterAxes(
  svg: SVGSVGElement,
  scale: SquareScale,
  titles: ScatterTitles,
): void {
  const { size, ticks } = scale;
  const { left, bottom } = scatterMargins(scale);
  setAttributes(svg, { width: size, height: size + bottom });
  svg.replaceChildren(
    ...ticks.flatMap((value) => [
      ...columnTick(scale, value),
      ...rowTick(scale, value),
    ]),
    title(titles.x, { x: size / 2, y: size + bottom - 4 }),
    title(titles.y, {
      transform: `translate(${11 - left} ${size / 2}) rotate(-90)`,
    }),
    diagonal(size, titles.diagonal),
  );
}

function columnTick(scale: SquareScale, value: number): SVGElement[] {
  const x = scale.x(value);
  const y = scale.size + RUG_ROOM;
  return [
    svgEl("line", { class: "pw-line", x1: x, x2: x, y1: y, y2: y + TICK_LENGTH }),
    label(tick(value), { x, y: y + TICK_LENGTH + 10, "text-anchor": "middle" }),
  ];
}

function rowTick(scale: SquareScale, value: number): SVGElement[] {
  const y = scale.y(value);
  const x = -TICK_LENGTH - 3;
  return [
    svgEl("line", { class: "pw-line", x1: -TICK_LENGTH, x2: 0, y1: y, y2: y }),
    label(tick(value), { x, y, dy: "0.35em", "text-anchor": "end" }),
  ];
}

/** Beside the diagonal's upper end, where few dots lie. */
function diagonal(size: number, text: string): SVGElement {
  const transform = `translate(${size - 8} ${8}) rotate(-45)`;
  return label(text, { transform, dy: "-0.5em", "text-anchor": "end" });
}

function label(text: string, place: Record<string, string | number>): SVGElement {
  return svgEl("text", { class: "pw-tick", ...place }, text);
}

function title(text: string, place: Record<string, string | number>): SVGElement {
  return svgEl(
    "text",
    { class: "pw-axis-title", "text-anchor": "middle", ...place },
    text,
  );
}
