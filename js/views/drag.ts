/** Drags on a canvas, with a mouse, a pen, or a finger that was held still before. */

import { listen } from "../draw/dom";
import { childLife, onAbort } from "../host/life";

/** One drag, from the press to the release, wherever on the page that is. */
export interface Drag {
  /** Returns false while it may still be a click. */
  move(event: MouseEvent): boolean;
  /** Where it was let go; null where it was given up. */
  end(event: MouseEvent | null, isAdding: boolean): void;
}

/** A hand that clicks moves a little. */
const SLACK_PX = 4;
/** A finger that moves scrolls the page; one that rests for so long draws. */
const HOLD_MS = 450;

/**
 * `begin` makes a drag, or null where nothing can be drawn; `isHeld` where a finger was
 * held, which is never a click. Returns whether the click that is being handled is the
 * end of a drag.
 */
export function listenToDrag(
  canvas: HTMLCanvasElement,
  begin: (start: MouseEvent, isHeld: boolean) => Drag | null,
  signal: AbortSignal,
): () => boolean {
  let hasDragged = false;
  let isHeld = false;

  function start(event: PointerEvent): void {
    const drag = begin(event, isHeld);
    if (!drag) return;
    const onDrag = () => {
      hasDragged = true;
    };
    follow(canvas, event, { drag, isHeld, onDrag }, signal);
  }

  function press(event: PointerEvent): void {
    hasDragged = false;
    isHeld = false;
    if (event.button !== 0) return;
    if (event.pointerType !== "touch") start(event);
    else {
      afterHold(canvas, event, signal, () => {
        isHeld = true;
        start(event);
      });
    }
  }

  const keep = (event: Event) => {
    if (isHeld) event.preventDefault(); // the page would scroll, or open a menu
  };
  listen(canvas, { pointerdown: press, mousedown: keepAddingClick }, signal);
  listen(canvas, { touchmove: keep, contextmenu: keep }, signal, { passive: false });
  return () => hasDragged;
}

function afterHold(
  canvas: HTMLCanvasElement,
  start: PointerEvent,
  signal: AbortSignal,
  act: () => void,
): void {
  const life = childLife(signal);
  const give = () => life.abort();
  const timer = setTimeout(() => {
    give();
    act();
  }, HOLD_MS);
  onAbort(life.signal, () => clearTimeout(timer));
  const move = (event: MouseEvent) => {
    if (distance(start, event) >= SLACK_PX) give();
  };
  const ends = { pointerup: give, pointercancel: give };
  listen(canvas.ownerDocument, { pointermove: move, ...ends }, life.signal);
}

interface Followed {
  drag: Drag;
  isHeld: boolean;
  onDrag(): void;
}

/** Listens to the whole document: a drag may leave the canvas, and the focus too. */
function follow(
  canvas: HTMLCanvasElement,
  start: PointerEvent,
  { drag, isHeld, onDrag }: Followed,
  signal: AbortSignal,
): void {
  const life = childLife(signal);
  let isDrag = false;

  function end(event: MouseEvent | null): void {
    life.abort();
    if (isDrag) drag.end(event, isHeld || (event !== null && isAdding(event)));
  }

  function draw(event: MouseEvent): void {
    if (!drag.move(event)) return;
    isDrag = true;
    onDrag();
  }

  function move(event: PointerEvent): void {
    if (event.pointerId !== start.pointerId) return;
    // It may have been let go where the page could not see it.
    if (event.buttons === 0) end(null);
    else if (isDrag || distance(start, event) >= SLACK_PX) draw(event);
  }

  function release(event: PointerEvent): void {
    if (event.pointerId === start.pointerId) end(event);
  }

  function onKey(event: KeyboardEvent): void {
    if (event.key !== "Escape" || !isDrag) return;
    event.preventDefault();
    event.stopPropagation(); // it takes the drag back, not the picks
    end(null);
  }

  const page = canvas.ownerDocument;
  const pointer = { pointermove: move, pointerup: release };
  listen(page, { ...pointer, pointercancel: () => end(null) }, life.signal);
  listen(page, { keydown: onKey }, life.signal, { capture: true });
  if (isHeld) draw(start);
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
