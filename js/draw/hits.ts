/** Which points lie under the pointer, or inside a rectangle that was dragged. */

export interface Point {
  x: number;
  y: number;
}

/** Two corners, in any order. */
export interface Drag {
  from: Point;
  to: Point;
}

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** Index of the nearest point within reach; of equally near ones the last, on top. */
export function nearest(
  points: readonly Point[],
  { x, y }: Point,
  reach: number,
): number | null {
  let found: number | null = null;
  let least = reach * reach;
  points.forEach((point, index) => {
    const distance = (point.x - x) ** 2 + (point.y - y) ** 2;
    if (distance > least) return;
    least = distance;
    found = index;
  });
  return found;
}

export function boxOf({ from, to }: Drag): Box {
  return {
    left: Math.min(from.x, to.x),
    top: Math.min(from.y, to.y),
    width: Math.abs(to.x - from.x),
    height: Math.abs(to.y - from.y),
  };
}

/** Points on the edge count as inside. */
export function isInside({ x, y }: Point, { left, top, width, height }: Box): boolean {
  return x >= left && x <= left + width && y >= top && y <= top + height;
}
