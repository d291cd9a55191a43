/** Values as coloured cells: colours, and the words for those who do not see them. */

import { type ColourMap, colourAt, css, type Rgb } from "../draw/colour";

/** Every text has a contrast of at least 4.5 to one of black and white. */
const MIDDLE = 0.179;

export interface Paint {
  fill: string;
  ink: "#000" | "#fff";
}

/** Null for what is no number. */
export function paintOf(
  value: number | undefined,
  scale: number,
  colours: ColourMap,
): Paint | null {
  if (value === undefined || !Number.isFinite(value)) return null;
  const rgb = colourAt(colours, scale > 0 ? value / scale : 0);
  return { fill: css(rgb), ink: luminance(rgb) > MIDDLE ? "#000" : "#fff" };
}

/** The largest size among numbers; 0 where there is none. */
export function largest(rows: readonly (readonly number[])[]): number {
  let most = 0;
  for (const row of rows) {
    for (const value of row) {
      if (Number.isFinite(value)) most = Math.max(most, Math.abs(value));
    }
  }
  return most;
}

/** Relative luminance as WCAG defines it. */
function luminance(rgb: Rgb): number {
  const [red, green, blue] = rgb.map((byte) => {
    const share = byte / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * (red ?? 0) + 0.7152 * (green ?? 0) + 0.0722 * (blue ?? 0);
}
