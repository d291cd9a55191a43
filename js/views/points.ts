/** Pointer and keyboard on a canvas of points: hover, click, steps, and the brush. */

import { type Box, boxOf, type Point } from "../draw/hits";
import type { PickMode } from "../state/selection";
import { isAdding, keepAddingClick } from "./drag";

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

/** A pointer that moves less than this has clicked. */
const DRAG_FROM_PX = 4;

export function listenToPoints(
  canvas: HTMLCanvasElement,
  actions: PointActions,
  signal: AbortSignal,
): void {
  let cursor: string | null = null;
  let isDragging = false;
  let wasDragged = false;

  function visit(name: string | null): void {
    if (name !== null) cursor = name;
    actions.hover(name);
  }

  function onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const next = stepped(actions.order(), cursor, event.key);
    if (next !== undefined) visit(next);
    else if (event.key === "Escape") actions.clear();
    else if (event.key !== "Enter" && event.key !== " ") return;
    else if (cursor !== null) actions.pick(cursor, "toggle");
    event.preventDefault(); // the page would scroll
  }

  function onClick(event: MouseEvent): void {
    const name = wasDragged ? null : actions.at(placeOf(event, canvas));
    wasDragged = false;
    if (name === null) return;
    visit(name);
    actions.pick(name, isAdding(event) ? "toggle" : "only");
  }

  function onPress(event: PointerEvent): void {
    wasDragged = false;
    // A finger scrolls the page; it can still tap.
    if (event.button !== 0 || event.pointerType === "touch") return;
    const from = placeOf(event, canvas);
    const end = (isDone: boolean, box: Box, isMore: boolean) => {
      if (!isDragging) return;
      isDragging = false;
      actions.showBrush(null);
      if (isDone) actions.brush(box, isMore);
    };
    followDrag(event, canvas, signal, {
      move(to) {
        const box = boxOf({ from, to });
        if (!isDragging && Math.max(box.width, box.height) < DRAG_FROM_PX) return;
        isDragging = true;
        wasDragged = true;
        actions.hover(null);
        actions.showBrush(box);
      },
      end: (isDone, to, isMore) => end(isDone, boxOf({ from, to }), isMore),
    });
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

  canvas.addEventListener("pointermove", onMove, { signal });
  canvas.addEventListener("pointerleave", () => visit(null), { signal });
  canvas.addEventListener("blur", () => visit(null), { signal });
  canvas.addEventListener("keydown", onKey, { signal });
  canvas.addEventListener("focus", onFocus, { signal });
  canvas.addEventListener("click", onClick, { signal });
  canvas.addEventListener("pointerdown", onPress, { signal });
  canvas.addEventListener("mousedown", keepAddingClick, { signal });
}

/** The node that a key leads to; undefined for another key, or where there is none. */
export function stepped(
  order: readonly string[],
  from: string | null,
  key: string,
): string | undefined {
  const last = order.length - 1;
  const at = from === null ? -1 : order.indexOf(from);
  switch (key) {
    case "ArrowRight":
    case "ArrowDown":
      return order[Math.min(at + 1, last)];
    case "ArrowLeft":
    case "ArrowUp":
      return order[Math.max(at - 1, 0)];
    case "Home":
      return order[0];
    case "End":
      return order[last];
    default:
      return undefined;
  }
}

interface DragActions {
  move(to: Point): void;
  /** `isDone` is false where the drag was given up. */
  end(isDone: boolean, to: Point, isAdding: boolean): void;
}

/** Listens to the whole document: a drag may leave the canvas, and the focus too. */
function followDrag(
  start: PointerEvent,
  canvas: HTMLCanvasElement,
  parent: AbortSignal,
  { move, end }: DragActions,
): void {
  const life = new AbortController();
  const { signal } = life;
  parent.addEventListener("abort", () => life.abort(), { signal });
  let last = placeOf(start, canvas);
  const finish = (isDone: boolean, isMore: boolean) => {
    life.abort();
    end(isDone, last, isMore);
  };
  const onMove = (event: PointerEvent) => {
    if (event.pointerId !== start.pointerId) return;
    // The button may have been let go outside the window.
    if (event.buttons === 0) {
      finish(false, false);
      return;
    }
    last = placeOf(event, canvas);
    move(last);
  };
  const onUp = (event: PointerEvent) => {
    if (event.pointerId !== start.pointerId) return;
    last = placeOf(event, canvas);
    finish(true, isAdding(event));
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation(); // or it would take back the picks as well
    finish(false, false);
  };
  const page = canvas.ownerDocument;
  page.addEventListener("pointermove", onMove, { signal });
  page.addEventListener("pointerup", onUp, { signal });
  page.addEventListener("pointercancel", () => finish(false, false), { signal });
  page.addEventListener("keydown", onKey, { signal, capture: true });
}

function placeOf(event: MouseEvent, canvas: HTMLCanvasElement): Point {
  const box = canvas.getBoundingClientRect();
  // A host may draw its page enlarged: the canvas knows its own size in its own pixels.
  const enlarged = box.width / (Number.parseFloat(canvas.style.width) || box.width);
  return {
    x: (event.clientX - box.left) / enlarged,
    y: (event.clientY - box.top) / enlarged,
  };
}
