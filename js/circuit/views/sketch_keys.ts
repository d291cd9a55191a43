/** The sketch by keyboard: one stop of the Tab key, arrows lead from there. */

import { computed, type ReadonlySignal, type Signal } from "@preact/signals-core";
import { isPlain, listen, react, setAttributes } from "../../draw/dom";
import type { Sketch } from "../sketch";
import { firstStop, nextStop } from "../walk";
import { keyedPart } from "./rebuilt";
import type { CircuitView } from "./view";

/** The key of what the Tab key stops at. */
export type TabStop = ReadonlySignal<string | undefined>;

/** What was visited last; without that, where the way begins. */
export function tabStop(
  sketch: ReadonlySignal<Sketch | null>,
  visited: ReadonlySignal<string>,
): TabStop {
  return computed(() => {
    const now = sketch.value;
    const { nodes = [], edges = [] } = now ?? {};
    const isThere = [...nodes, ...edges].some(({ key }) => key === visited.value);
    return isThere || !now ? visited.value : firstStop(now);
  });
}

export function stopAt(
  { signal }: CircuitView,
  part: Element,
  key: string,
  stop: TabStop,
): void {
  react(signal, () => setAttributes(part, { tabindex: stop.value === key ? 0 : -1 }));
}

/** Listens for all that is in the picture, also when it is drawn anew. */
export function listenToSketch(
  { signal }: CircuitView,
  picture: HTMLElement,
  sketch: ReadonlySignal<Sketch | null>,
  visited: Signal<string>,
): void {
  let home = "";
  const onKey = (event: KeyboardEvent) => {
    const [now, at] = [sketch.peek(), partAt(event)?.dataset.key];
    if (!now || at === undefined || !isPlain(event)) return;
    const to = nextStop(now, { at, home }, event.key, event.shiftKey);
    if (to === null) return;
    event.preventDefault(); // or the page would scroll
    keyedPart(picture, to)?.focus();
  };
  const onFocus = (event: Event) => {
    const { key = "", path } = partAt(event)?.dataset ?? {};
    visited.value = key;
    if (path === undefined) home = key;
  };
  listen(picture, { keydown: onKey, focusin: onFocus }, signal);
}

/** The node or the path that an event is about. */
export function partAt({ target }: Event): SVGElement | null {
  return target instanceof Element ? target.closest<SVGElement>("[data-key]") : null;
}
