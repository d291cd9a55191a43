/** The drawn scale: a strip of the colour map with its ticks. */

import { type ColourMap, colourAt, css } from "./colour";
import { svgEl } from "./dom";
import { niceTicks } from "./geometry";
import { tick } from "./number";

const WIDTH = 210;
const BAR_HEIGHT = 10;
const MARGIN = 16;
const BLOCKS = 70;

export interface ColourBar {
  colours: ColourMap;
  /** The value at the upper end; 0 where all values are zero. */
  scale: number;
  /** False where values have no sign and only the upper half is used. */
  signed: boolean;
}

export function colourBar({ colours, scale, signed }: ColourBar): SVGSVGElement {
  const low = signed ? -1 : 0;
  const height = BAR_HEIGHT + 16;
  const svg = svgEl("svg", { class: "pw-bar", width: WIDTH + 2 * MARGIN, height });
  // Rectangles and no gradient: SVG finds gradients by an id, and a page has many bars.
  for (let index = 0; index < BLOCKS; index++) {
    const share = low + ((index + 0.5) / BLOCKS) * (1 - low);
    const fill = css(colourAt(colours, share));
    const x = MARGIN + (index / BLOCKS) * WIDTH;
    const block = { x, y: 0, width: WIDTH / BLOCKS, height: BAR_HEIGHT, fill };
    svg.append(svgEl("rect", block));
  }
  for (const value of barTicks(low, scale)) {
    const share = scale > 0 ? (value / scale - low) / (1 - low) : 0.5;
    svg.append(...tickMark(MARGIN + share * WIDTH, value));
  }
  return svg;
}

function barTicks(low: number, scale: number): number[] {
  return scale > 0 ? niceTicks(low * scale, scale, 5) : [0];
}

function tickMark(x: number, value: number): SVGElement[] {
  const line = { x1: x, x2: x, y1: BAR_HEIGHT, y2: BAR_HEIGHT + 3, class: "pw-line" };
  const label = { x, y: BAR_HEIGHT + 13, class: "pw-tick", "text-anchor": "middle" };
  return [svgEl("line", line), svgEl("text", label, tick(value))];
}
