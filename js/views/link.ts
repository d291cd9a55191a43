/** What links an element of any view with the others: hover and picks. */

import { listen } from "../draw/dom";
import { onAbort } from "../host/life";
import type { Place } from "../state/place";
import { type PickMode, pick, pickMany } from "../state/selection";
import type { View } from "./view";

/** Under the pointer the element stands for a place. */
export function linkHover(
  { ui, signal }: View,
  element: HTMLElement,
  place: () => Place | null,
): void {
  let isIn = false;
  const show = (isOver: boolean) => () => {
    isIn = isOver;
    ui.hover.value = isOver ? place() : null;
  };
  listen(element, { pointerenter: show(true), pointerleave: show(false) }, signal);
  // What is taken away under the pointer is not told that the pointer left.
  onAbort(signal, () => {
    if (isIn) ui.hover.value = null;
  });
}

export function pickNode({ store }: View, name: string, mode: PickMode): void {
  store.set("selection", pick(store.selection.peek(), name, mode));
}

export function pickAll(
  { store }: View,
  names: readonly string[],
  mode: PickMode,
): void {
  store.set("selection", pickMany(store.selection.peek(), names, mode));
}
