/** Marks drawn once and then copied: outlines of a thousand dots take several frames. */

import { hueOf, type Mark, traceMark } from "./marks";
import type { Theme } from "./theme";

/** Puts the mark's middle at a point, in CSS pixels. */
export type Stamp = (context: CanvasRenderingContext2D, x: number, y: number) => void;

/** Marks reach this far beyond their radius, with their edges. */
const REACH = 1.6;

/** Edged with paper, so that dots that overlap stay apart. */
export function makeStamp(
  mark: Mark,
  isOpen: boolean,
  radius: number,
  theme: Theme,
): Stamp {
  const { density, dark, paper } = theme;
  const canvas = document.createElement("canvas");
  const side = 2 * Math.ceil((REACH * radius + 1) * density);
  canvas.width = side;
  canvas.height = side;
  const context = canvas.getContext("2d");
  if (!context) return () => {};
  const hue = hueOf(mark, dark);
  context.scale(density, density);
  traceMark(context, mark.shape, side / density / 2, side / density / 2, radius);
  context.lineWidth = isOpen ? 1.5 : 1;
  context.fillStyle = isOpen ? paper : hue;
  context.strokeStyle = isOpen ? hue : paper;
  context.fill();
  context.stroke();
  return (target, x, y) => {
    // On whole device pixels, or the copy would be blurred.
    const left = Math.round(x * density - side / 2) / density;
    const top = Math.round(y * density - side / 2) / density;
    target.drawImage(canvas, left, top, side / density, side / density);
  };
}
