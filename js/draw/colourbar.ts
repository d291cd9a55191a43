/** The drawn scale: a strip of the colour map with its ends, zero, and a pointer. */

import { type ColourMap, colourAt, css } from "./colour";
import { setAttributes, svgEl } from "./dom";
import { textWidth } from "./geometry";
import { tick } from "./number";

const WIDTH = 150;
const BAR_HEIGHT = 10;
const BLOCKS = 60;
const FONT_SIZE = 11;
const GAP = 5;
/** Room above the strip for the pointer. */
const TOP = 5;

export interface ColourBar {
  colours: ColourMap;
  /** The value at the upper end, above 0. */
  scale: number;
  /** False where values have no sign and only the upper half is used. */
  signed: boolean;
}

export interface DrawnBar {
  element: SVGSVGElement;
  /** Shows where a value lies; null for none. */
  point(value: number | null): void;
}

export function colourBar({ colours, scale, signed }: ColourBar): DrawnBar {
  const low = signed ? -1 : 0;
  const ends = [
    signed ? tick(-scale) : "0",
    signed ? `+${tick(scale)}` : tick(scale),
  ] as const;
  const margins = ends.map((text) => Math.ceil(textWidth(text, FONT_SIZE)) + GAP);
  const [left = 0, right = 0] = margins;
  const svg = svgEl("svg", {
    class: "pw-bar",
    width: left + WIDTH + right,
    height: TOP + BAR_HEIGHT + 1,
    role: "img",
    "aria-label": `Colours from ${ends[0]} to ${ends[1]}`,
  });
  // Rectangles and no gradient: SVG finds gradients by an id, and a page has many bars.
  for (let index = 0; index < BLOCKS; index++) {
    const share = low + ((index + 0.5) / BLOCKS) * (1 - low);
    const fill = css(colourAt(colours, share));
    const x = left + (index / BLOCKS) * WIDTH;
    // A little wider, or a seam shows between two of them.
    const width = WIDTH / BLOCKS + (index < BLOCKS - 1 ? 0.5 : 0);
    svg.append(svgEl("rect", { x, y: TOP, width, height: BAR_HEIGHT, fill }));
  }
  const x = (share: number) => left + ((share - low) / (1 - low)) * WIDTH;
  svg.append(...endLabels(ends, left));
  if (signed) svg.append(zeroMark(x(0)));
  const pointer = svgEl("path", { class: "pw-bar-pointer", d: "M-4,0h8l-4,5z" });
  svg.append(pointer);
  const point = (value: number | null) => {
    const isShown = value !== null && Number.isFinite(value);
    const share = isShown ? value / scale : 0;
    const at = x(Math.max(low, Math.min(1, share)));
    setAttributes(pointer, {
      transform: `translate(${at} 0)`,
      visibility: isShown ? "visible" : "hidden",
    });
  };
  point(null);
  return { element: svg, point };
}

function endLabels([low, high]: readonly [string, string], left: number) {
  const y = TOP + BAR_HEIGHT - 1;
  const place = { y, class: "pw-bar-end" };
  return [
    svgEl("text", { ...place, x: left - GAP, "text-anchor": "end" }, low),
    svgEl("text", { ...place, x: left + WIDTH + GAP }, high),
  ];
}

function zeroMark(x: number): SVGElement {
  const ends = { x1: x, x2: x, y1: TOP, y2: TOP + BAR_HEIGHT };
  return svgEl("line", { ...ends, class: "pw-bar-zero" });
}
