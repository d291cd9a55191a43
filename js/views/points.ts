/** Pointer and keyboard on a canvas of points: hover, click, steps, and the brush. */

import { isPlain, listen } from "../draw/dom";
import { clamp, pointerOn } from "../draw/geometry";
import { type Box, boxOf, type Point } from "../draw/hits";
import type { PickMode } from "../state/selection";
import { type Drag, isAdding, listenToDrag } from "./drag";

export interface PointActions {
  /** The node under a point of the canvas, in CSS pixels. */
  at(point: Point): string | null;
  /** Null when the pointer is at none. */
  hover(name: string | null): void;
  pick(name: string, mode: PickMode): void;
  /** Takes all picks back. */
  clear(): void;
  /** The way that the arrow keys go. */
  order(): readonly string[];
  /** The brush while it is dragged; null when it has ended. */
  showBrush(box: Box | null): void;
  /** Called once, at the end of a drag. */
  brush(box: Box, isAdding: boolean): void;
}

export function listenToPoints(
  canvas: HTMLCanvasElement,
  actions: PointActions,
  signal: AbortSignal,
): void {
  let cursor: string | null = null;
  let isDragging = false;
  const wasDragged = listenToDrag(canvas, begin, signal);

  function visit(name: string | null): void {
    if (name !== null) cursor = name;
    actions.hover(name);
  }

  function onKey(event: KeyboardEvent): void {
    if (!isPlain(event)) return;
    const next = stepped(actions.order(), cursor, event.key);
    if (next !== undefined) visit(next);
    else if (event.key === "Escape") actions.clear();
    else if (event.key !== "Enter" && event.key !== " ") return;
    else if (cursor !== null) actions.pick(cursor, "toggle");
    event.preventDefault(); // the page would scroll
  }

  function onClick(event: MouseEvent): void {
    const name = wasDragged() ? null : actions.at(placeOf(event, canvas));
    if (name === null) return;
    visit(name);
    actions.pick(name, isAdding(event) ? "toggle" : "only");
  }

  function begin(start: MouseEvent): Drag {
    const from = placeOf(start, canvas);
    const boxTo = (event: MouseEvent) => boxOf({ from, to: placeOf(event, canvas) });
    return {
      move(event) {
        isDragging = true;
        actions.hover(null);
        actions.showBrush(boxTo(event));
        return true;
      },
      end(event, isMore) {
        isDragging = false;
        actions.showBrush(null);
        if (event) actions.brush(boxTo(event), isMore);
      },
    };
  }

  function onMove(event: PointerEvent): void {
    if (!isDragging) visit(actions.at(placeOf(event, canvas)));
  }

  /** Only for those who come by keyboard: a pointer shows its own place. */
  function onFocus(): void {
    const order = actions.order();
    if (!canvas.matches(":focus-visible")) return;
    visit(cursor !== null && order.includes(cursor) ? cursor : (order[0] ?? null));
  }

  const leave = () => visit(null);
  const keys = { keydown: onKey, focus: onFocus, blur: leave };
  const pointer = { pointermove: onMove, pointerleave: leave, click: onClick };
  listen(canvas, { ...keys, ...pointer }, signal);
}

/** The node that a key leads to; undefined for another key, or where there is none. */
export function stepped(
  order: readonly string[],
  from: string | null,
  key: string,
): string | undefined {
  const last = order.length - 1;
  const at = from === null ? -1 : order.indexOf(from);
  const to = {
    ArrowRight: at + 1,
    ArrowDown: at + 1,
    ArrowLeft: at - 1,
    ArrowUp: at - 1,
    Home: 0,
    End: last,
  }[key];
  return to === undefined ? to : order[clamp(to, 0, last)];
}

function placeOf(event: MouseEvent, canvas: HTMLCanvasElement): Point {
  const { x, y, width } = pointerOn(event, canvas);
  // A host may draw its page enlarged: the canvas knows its own size in its own pixels.
  const enlarged = width / (Number.parseFloat(canvas.style.width) || width);
  return { x: x / enlarged, y: y / enlarged };
}
