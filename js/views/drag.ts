/** Rectangles of cells, drawn with the pointer. */

import { type CellRect, nearestCell, rectBetween } from "../draw/geometry";
import type { PickMode } from "../state/selection";

export interface DragActions {
  shape(): { rows: number; columns: number };
  outline?(rect: CellRect | null): void;
  pickAll?(rect: CellRect, mode: PickMode): void;
}

/** A hand that clicks moves a little. */
const SLACK_PX = 4;

/** Returns whether the click that is being handled is the end of a drag. */
export function listenToDrag(
  canvas: HTMLCanvasElement,
  actions: DragActions,
  signal: AbortSignal,
): () => boolean {
  let hasDragged = false;

  function begin(event: PointerEvent): void {
    hasDragged = false;
    // A finger scrolls; and cells that cannot be picked cannot be picked together.
    const isFinger = event.pointerType === "touch";
    if (event.button !== 0 || isFinger || !actions.pickAll) return;
    follow(canvas, event, actions, signal, () => {
      hasDragged = true;
    });
  }

  canvas.addEventListener("pointerdown", begin, { signal });
  canvas.addEventListener("mousedown", keepAddingClick, { signal });
  return () => hasDragged;
}

/** One drag, from the press to the release, wherever on the page that is. */
function follow(
  canvas: HTMLCanvasElement,
  start: MouseEvent,
  actions: DragActions,
  signal: AbortSignal,
  onDrag: () => void,
): void {
  const page = canvas.ownerDocument;
  const drag = new AbortController();
  const life = { signal: drag.signal };
  const origin = nearest(start, canvas, actions);
  let rect: CellRect | null = null;

  function end(): void {
    drag.abort();
    if (rect) actions.outline?.(null);
  }

  function move(event: MouseEvent): void {
    if (event.buttons === 0) {
      end(); // released where the page could not see it
      return;
    }
    const cell = nearest(event, canvas, actions);
    const isSame = cell.row === origin.row && cell.column === origin.column;
    if (!rect && (isSame || distance(start, event) < SLACK_PX)) return;
    onDrag();
    rect = rectBetween(origin, cell);
    actions.outline?.(rect);
  }

  function release(event: MouseEvent): void {
    const drawn = rect;
    end();
    if (drawn) actions.pickAll?.(drawn, isAdding(event) ? "toggle" : "only");
  }

  function onKey(event: KeyboardEvent): void {
    if (event.key !== "Escape" || !rect) return;
    event.preventDefault();
    event.stopPropagation(); // it takes the drag back, not the picks
    end();
  }

  page.addEventListener("pointermove", move, life);
  page.addEventListener("pointerup", release, life);
  page.addEventListener("pointercancel", end, life);
  page.addEventListener("keydown", onKey, { ...life, capture: true });
  signal.addEventListener("abort", () => drag.abort(), life);
}

function nearest(event: MouseEvent, canvas: HTMLCanvasElement, actions: DragActions) {
  const box = canvas.getBoundingClientRect();
  const { left, top } = box;
  return nearestCell(event.clientX - left, event.clientY - top, box, actions.shape());
}

function distance(a: MouseEvent, b: MouseEvent): number {
  return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
}

export function isAdding(event: MouseEvent): boolean {
  return event.shiftKey || event.ctrlKey || event.metaKey;
}

/**
 * JupyterLab takes a shift-click anywhere in a cell's output for a selection of cells,
 * which the next "run" would then run; a browser takes it for a selection of text.
 */
export function keepAddingClick(event: MouseEvent): void {
  if (!isAdding(event) || event.button !== 0) return;
  event.preventDefault();
  // The one default that is still wanted.
  if (event.currentTarget instanceof HTMLElement) {
    event.currentTarget.focus({ preventScroll: true });
  }
}
