/** Paints estimates against exact effects, and a rug of estimates without them. */

import { sizedContext } from "./canvas";
import { hueOf, type Mark } from "./marks";
import type { SquareScale } from "./scale";
import { makeStamp, type Stamp } from "./stamps";
import type { Theme } from "./theme";

/** In values, not in pixels. */
export interface Dot {
  x: number;
  y: number;
  /** How far `y` is uncertain; null where that is not known. */
  interval: readonly [from: number, to: number] | null;
  mark: Mark;
  /** Drawn as an outline only. */
  isOpen: boolean;
  isPicked: boolean;
}

export interface RugMark {
  x: number;
  isPicked: boolean;
}

export interface ScatterPainting {
  scale: SquareScale;
  dots: readonly Dot[];
  rug: readonly RugMark[];
  /** Where the exact effects of the rug's nodes lie, as far as is known; null for none. */
  band: readonly [from: number, to: number] | null;
  theme: Theme;
}

const RUG_GAP = 5;
const RUG_HEIGHT = 11;
/** What the rug takes under the square. */
export const RUG_ROOM = RUG_GAP + RUG_HEIGHT;
const RADIUS = 4.2;
const CROWDED_RADIUS = 3;
/** More dots than this are a crowd, and get smaller. */
const CROWD = 250;

/** Returns false where the canvas cannot be drawn on. */
export function paintScatter(
  canvas: HTMLCanvasElement,
  painting: ScatterPainting,
): boolean {
  const { scale, theme, dots } = painting;
  const { size } = scale;
  const context = sizedContext(canvas, size, size + RUG_ROOM, theme.density);
  if (!context) return false;
  paintBand(context, painting);
  paintLines(context, painting);
  const radius = dots.length > CROWD ? CROWDED_RADIUS : RADIUS;
  const picked = dots.filter(({ isPicked }) => isPicked);
  paintDots(context, painting, dots, radius);
  for (const dot of picked) paintRing(context, painting, dot, radius);
  // Once more, above the paper around their rings.
  paintDots(context, painting, picked, radius);
  paintRug(context, painting);
  return true;
}

function paintBand(
  context: CanvasRenderingContext2D,
  { scale, band, theme }: ScatterPainting,
): void {
  if (!band) return;
  const top = Math.max(0, scale.y(band[1]));
  const bottom = Math.min(scale.size, scale.y(band[0]));
  context.fillStyle = theme.ink;
  context.globalAlpha = 0.07;
  context.fillRect(0, top, scale.size, bottom - top);
  context.globalAlpha = 1;
  context.strokeStyle = theme.hatch;
  context.lineWidth = 1;
  context.setLineDash([2, 3]);
  for (const edge of band.map(scale.y)) {
    if (edge < 0 || edge > scale.size) continue;
    line(context, 0, edge, scale.size, edge);
  }
  context.setLineDash([]);
}

function paintLines(
  context: CanvasRenderingContext2D,
  { scale, theme }: ScatterPainting,
): void {
  const { size } = scale;
  context.strokeStyle = theme.hatch;
  context.lineWidth = 1;
  context.globalAlpha = 0.6;
  line(context, 0, scale.y(0), size, scale.y(0));
  line(context, scale.x(0), 0, scale.x(0), size);
  context.globalAlpha = 1;
  context.setLineDash([5, 4]);
  line(context, 0, size, size, 0);
  context.setLineDash([]);
}

function paintDots(
  context: CanvasRenderingContext2D,
  painting: ScatterPainting,
  dots: readonly Dot[],
  radius: number,
): void {
  const { scale, theme } = painting;
  paintWhiskers(context, painting, dots);
  const stamps = new Map<string, Stamp>();
  for (const { x, y, mark, isOpen } of dots) {
    const key = `${mark.shape} ${isOpen}`;
    const stamp = stamps.get(key) ?? makeStamp(mark, isOpen, radius, theme);
    stamps.set(key, stamp);
    stamp(context, scale.x(x), scale.y(y));
  }
}

/** Upright rectangles: a thousand strokes take longer than a frame. */
function paintWhiskers(
  context: CanvasRenderingContext2D,
  { scale, theme }: ScatterPainting,
  dots: readonly Dot[],
): void {
  context.globalAlpha = 0.55;
  for (const { x, interval, mark } of dots) {
    if (!interval) continue;
    const [bottom, top] = [scale.y(interval[0]), scale.y(interval[1])];
    context.fillStyle = hueOf(mark, theme.dark);
    context.fillRect(scale.x(x) - 0.5, top, 1, bottom - top);
  }
  context.globalAlpha = 1;
}

function paintRing(
  context: CanvasRenderingContext2D,
  { scale, theme }: ScatterPainting,
  { x, y }: Dot,
  radius: number,
): void {
  for (const [width, colour] of [
    [3.6, theme.paper],
    [1.8, theme.ink],
  ] as const) {
    context.beginPath();
    context.arc(scale.x(x), scale.y(y), radius + 4, 0, 2 * Math.PI);
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.stroke();
  }
}

/** Upright rectangles as well. Picked marks are longer and heavier. */
function paintRug(
  context: CanvasRenderingContext2D,
  { scale, rug, theme }: ScatterPainting,
): void {
  const top = scale.size + RUG_GAP;
  context.fillStyle = theme.hatch;
  context.globalAlpha = 0.7;
  for (const { x, isPicked } of rug) {
    if (!isPicked) context.fillRect(scale.x(x) - 0.5, top, 1, RUG_HEIGHT);
  }
  context.fillStyle = theme.ink;
  context.globalAlpha = 1;
  for (const { x, isPicked } of rug) {
    if (isPicked) context.fillRect(scale.x(x) - 1.25, scale.size, 2.5, RUG_ROOM);
  }
}

function line(
  context: CanvasRenderingContext2D,
  x1: number,
  y1: number,
  x2: number,
  y2: number,
): void {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}
