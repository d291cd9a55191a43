/** Pointer and keyboard on a canvas of cells. */

import { isPlain, listen } from "../draw/dom";
import {
  type Cell,
  type CellRect,
  cellAt,
  cellCount,
  movedCell,
  nearestCell,
  pointerOn,
  rectBetween,
} from "../draw/geometry";
import type { PickMode } from "../state/selection";
import { type Drag, isAdding, listenToDrag } from "./drag";

export interface CellActions {
  shape(): { rows: number; columns: number };
  /** Null when the pointer has left. */
  hover(cell: Cell | null): void;
  pick?(cell: Cell, mode: PickMode): void;
  /** Takes all picks back. */
  clear?(): void;
  /** A rectangle is being drawn; null when it is done or given up. */
  outline?(rect: CellRect | null): void;
  pickAll?(rect: CellRect, mode: PickMode): void;
  /** The keyboard has moved to a cell, which may be out of sight. */
  reveal?(cell: Cell): void;
  /** A double click, or F2. */
  rename?(cell: Cell): void;
  /** The key "r": more about a cell that need not be picked. */
  ask?(cell: Cell): void;
}

export function listenToCells(
  canvas: HTMLCanvasElement,
  actions: CellActions,
  signal: AbortSignal,
): void {
  let cursor: Cell = { row: 0, column: 0 };
  /** Where the keyboard began a rectangle. */
  let anchor: Cell | null = null;

  function visit(cell: Cell | null): void {
    if (cell) cursor = cell;
    actions.hover(cell);
  }

  function draw(from: Cell | null): void {
    anchor = from;
    actions.outline?.(from && rectBetween(from, cursor));
  }

  function move(to: Cell, isGrowing: boolean): void {
    const from = isGrowing && actions.pickAll ? (anchor ?? cursor) : null;
    visit(to);
    actions.reveal?.(to);
    if (from || anchor) draw(from);
  }

  function choose(): void {
    const rect = anchor && rectBetween(anchor, cursor);
    draw(null);
    if (rect && cellCount(rect) > 1) actions.pickAll?.(rect, "toggle");
    else actions.pick?.(cursor, "toggle");
  }

  function giveUp(): void {
    if (anchor) draw(null);
    else actions.clear?.();
  }

  const keys: ReadonlyMap<string, () => void> = new Map([
    ["Enter", choose],
    [" ", choose],
    ["Escape", giveUp],
    ["F2", () => actions.rename?.(cursor)],
    ["r", () => actions.ask?.(cursor)],
  ]);

  function onKey(event: KeyboardEvent): void {
    if (!isPlain(event)) return;
    const moved = movedCell(cursor, event.key, actions.shape());
    const act = keys.get(event.key);
    if (moved) move(moved, event.shiftKey);
    else if (act) act();
    else return;
    event.preventDefault(); // the page would scroll
  }

  /** Only for those who come by keyboard: a pointer shows its own place. */
  function showCursor(): void {
    const { rows, columns } = actions.shape();
    const isThere = cursor.row < rows && cursor.column < columns;
    if (!isThere) cursor = { row: 0, column: 0 };
    if (canvas.matches(":focus-visible")) visit(cursor);
  }

  function leave(): void {
    if (anchor) draw(null);
    visit(null);
  }

  const isDragged = listenToDrag(canvas, begin, signal);

  let isDrawing = false;

  function begin(start: MouseEvent, isHeld: boolean): Drag | null {
    // Cells that cannot be picked cannot be picked together.
    if (!actions.pickAll) return null;
    const draw = rectangle(canvas, actions, start, isHeld);
    return {
      move(event) {
        isDrawing = draw.move(event);
        return isDrawing;
      },
      end(event, isAdding) {
        isDrawing = false;
        draw.end(event, isAdding);
      },
    };
  }

  function onClick(event: MouseEvent): void {
    const cell = isDragged() ? null : at(event);
    if (!cell) return;
    visit(cell);
    actions.pick?.(cell, isAdding(event) ? "toggle" : "only");
  }

  function onDoubleClick(event: MouseEvent): void {
    const cell = at(event);
    if (cell && !isAdding(event)) actions.rename?.(cell);
  }

  const at = (event: MouseEvent) => cellAt(pointerOn(event, canvas), actions.shape());
  const keyboard = { keydown: onKey, focus: showCursor, blur: leave };
  const follow = (cell: (event: MouseEvent) => Cell | null) => (event: MouseEvent) => {
    if (!isDrawing) visit(cell(event));
  };
  const pointer = { pointermove: follow(at), pointerleave: follow(() => null) };
  const clicks = { click: onClick, dblclick: onDoubleClick };
  listen(canvas, { ...keyboard, ...pointer, ...clicks }, signal);
}

/** Drawn over cells; in a cell that was only pressed there is none yet. */
function rectangle(
  canvas: HTMLCanvasElement,
  { shape, hover, outline, pickAll }: CellActions,
  start: MouseEvent,
  isHeld: boolean,
): Drag {
  const nearest = (event: MouseEvent) => nearestCell(pointerOn(event, canvas), shape());
  const origin = nearest(start);
  let rect: CellRect | null = null;
  return {
    move(event) {
      // Looked up once, before anything is moved: the second time would cost a layout.
      const cell = nearest(event);
      const next = rectBetween(origin, cell);
      if (!rect && !isHeld && cellCount(next) === 1) return false;
      rect = next;
      hover(cell);
      outline?.(rect);
      return true;
    },
    end(event, isAdding) {
      outline?.(null);
      if (rect && event) pickAll?.(rect, isAdding ? "toggle" : "only");
    },
  };
}
