/** Pointer, wheel and keyboard on a square matrix that can be zoomed and panned. */

import { isPlain, listen } from "../draw/dom";
import { type Cell, cellAt, movedCell, pointerOn } from "../draw/geometry";
import {
  canZoomOut,
  panned,
  revealing,
  type Viewport,
  wholeMatrix,
  zoomed,
} from "../state/viewport";

export interface SteerActions {
  viewport(): Viewport;
  look(at: Viewport): void;
  /** In cells of the whole matrix; null when the pointer has left. */
  hover(cell: Cell | null): void;
  lock(cell: Cell): void;
  free(): void;
}

export const ZOOM_STEP = 1.4;
/** How far a wheel's turn of 100 goes. */
const WHEEL_SPEED = 0.003;
/** A click may tremble by as many pixels before it is a drag. */
const STILL = 4;

export function steer(
  canvas: HTMLCanvasElement,
  actions: SteerActions,
  signal: AbortSignal,
): void {
  let cursor: Cell = { row: 0, column: 0 };

  function visit(cell: Cell | null): void {
    if (cell) cursor = cell;
    actions.hover(cell);
  }

  function move(cell: Cell): void {
    actions.look(revealing(actions.viewport(), cell.row, cell.column));
    visit(cell);
  }

  function onKey(event: KeyboardEvent): void {
    if (!isPlain(event)) return;
    const { size } = actions.viewport();
    const moved = movedCell(cursor, event.key, { rows: size, columns: size });
    if (moved) move(moved);
    else if (event.key === "Enter" || event.key === " ") actions.lock(cursor);
    else if (event.key === "Escape") actions.free();
    else if (!zoomKey(event.key)) return;
    event.preventDefault(); // the page would scroll
  }

  function zoomKey(key: string): boolean {
    const next = zoomedBy(key, actions.viewport(), cursor);
    if (next) actions.look(next);
    return next !== null;
  }

  /** Only for those who come by keyboard: a pointer shows its own place. */
  function showCursor(): void {
    const { size, top, left } = actions.viewport();
    if (cursor.row >= size || cursor.column >= size)
      cursor = { row: top, column: left };
    if (canvas.matches(":focus-visible")) move(cursor);
  }

  function onWheel(event: WheelEvent): void {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault(); // the browser would zoom the page
    const { x, y, width, height } = pointerOn(event, canvas);
    const at = { x: x / width, y: y / height };
    const factor = Math.exp(-event.deltaY * WHEEL_SPEED);
    actions.look(zoomed(actions.viewport(), factor, at));
  }

  const wasDragged = listenToDrags(canvas, actions, visit, signal);
  const onClick = (event: MouseEvent) => {
    const cell = cellUnder(event, canvas, actions.viewport());
    if (cell && !wasDragged()) actions.lock(cell);
  };
  const leave = () => visit(null);
  const keyboard = { keydown: onKey, focus: showCursor, blur: leave };
  listen(canvas, { ...keyboard, pointerleave: leave, click: onClick }, signal);
  listen(canvas, { wheel: onWheel }, signal, { passive: false });
}

/** Returns whether the last press was a drag, whose click is no choice of a cell. */
function listenToDrags(
  canvas: HTMLCanvasElement,
  actions: SteerActions,
  visit: (cell: Cell | null) => void,
  signal: AbortSignal,
): () => boolean {
  let start: { x: number; y: number; view: Viewport } | null = null;
  let isDragged = false;

  function onDown({ button, clientX, clientY }: PointerEvent): void {
    isDragged = false;
    const view = actions.viewport();
    if (button === 0 && canZoomOut(view)) start = { x: clientX, y: clientY, view };
  }

  function onMove(event: PointerEvent): void {
    if (!start) {
      visit(cellUnder(event, canvas, actions.viewport()));
      return;
    }
    const { width, height } = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - start.x, event.clientY - start.y];
    if (!isDragged && Math.hypot(x, y) < STILL) return;
    if (!isDragged) {
      isDragged = true;
      canvas.setPointerCapture(event.pointerId); // it may leave the canvas meanwhile
      actions.hover(null);
    }
    const { view } = start;
    const rows = Math.round((-y / height) * view.count);
    const columns = Math.round((-x / width) * view.count);
    actions.look(panned(view, rows, columns));
  }

  const end = () => {
    start = null;
  };
  listen(
    canvas,
    { pointerdown: onDown, pointermove: onMove, pointerup: end, pointercancel: end },
    signal,
  );
  return () => isDragged;
}

function zoomedBy(key: string, view: Viewport, cursor: Cell): Viewport | null {
  if (key === "0") return wholeMatrix(view.size);
  const factor =
    key === "+" || key === "=" ? ZOOM_STEP : key === "-" ? 1 / ZOOM_STEP : 0;
  if (factor === 0) return null;
  return revealing(
    zoomed(view, factor, shareOf(cursor, view)),
    cursor.row,
    cursor.column,
  );
}

/** Where a cell stands in the picture, as shares of its sides. */
function shareOf({ row, column }: Cell, { top, left, count }: Viewport) {
  return { x: (column + 0.5 - left) / count, y: (row + 0.5 - top) / count };
}

function cellUnder(
  event: MouseEvent,
  canvas: HTMLCanvasElement,
  { top, left, count }: Viewport,
): Cell | null {
  const cell = cellAt(pointerOn(event, canvas), { rows: count, columns: count });
  return cell && { row: cell.row + top, column: cell.column + left };
}
