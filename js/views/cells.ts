/** Pointer and keyboard on a canvas of cells. */

import { type Cell, cellAt, movedCell } from "../draw/geometry";
import type { PickMode } from "../state/selection";

export interface CellActions {
  shape(): { rows: number; columns: number };
  /** Null when the pointer has left. */
  hover(cell: Cell | null): void;
  pick?(cell: Cell, mode: PickMode): void;
  /** Takes all picks back. */
  clear?(): void;
}

export function listenToCells(
  canvas: HTMLCanvasElement,
  actions: CellActions,
  signal: AbortSignal,
): void {
  let cursor: Cell = { row: 0, column: 0 };

  function visit(cell: Cell | null): void {
    if (cell) cursor = cell;
    actions.hover(cell);
  }

  function onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const moved = movedCell(cursor, event.key, actions.shape());
    if (moved) visit(moved);
    else if (event.key === "Enter" || event.key === " ")
      actions.pick?.(cursor, "toggle");
    else if (event.key === "Escape") actions.clear?.();
    else return;
    event.preventDefault(); // the page would scroll
  }

  const at = (event: MouseEvent) => cellUnder(event, canvas, actions);
  canvas.addEventListener("pointermove", (event) => visit(at(event)), { signal });
  canvas.addEventListener("pointerleave", () => visit(null), { signal });
  canvas.addEventListener("blur", () => visit(null), { signal });
  canvas.addEventListener("keydown", onKey, { signal });
  canvas.addEventListener("focus", () => showCursor(), { signal });
  canvas.addEventListener("click", (event) => onClick(event), { signal });
  canvas.addEventListener("mousedown", keepAddingClick, { signal });

  /** Only for those who come by keyboard: a pointer shows its own place. */
  function showCursor(): void {
    const { rows, columns } = actions.shape();
    const isThere = cursor.row < rows && cursor.column < columns;
    if (!isThere) cursor = { row: 0, column: 0 };
    if (canvas.matches(":focus-visible")) visit(cursor);
  }

  function onClick(event: MouseEvent): void {
    const cell = at(event);
    if (!cell) return;
    visit(cell);
    actions.pick?.(cell, isAdding(event) ? "toggle" : "only");
  }
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

function cellUnder(
  event: MouseEvent,
  canvas: HTMLCanvasElement,
  actions: CellActions,
): Cell | null {
  const box = canvas.getBoundingClientRect();
  const { left, top } = box;
  return cellAt(event.clientX - left, event.clientY - top, box, actions.shape());
}
