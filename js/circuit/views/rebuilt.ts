/** Children that are made anew when what they are about has changed. */

import { untracked } from "@preact/signals-core";
import { react } from "../../draw/dom";
import { childLife } from "../../host/life";
import type { CircuitView } from "./view";

/** What the old ones listened to ends with them; the focus stays at what has its key. */
export function rebuilt(
  view: CircuitView,
  parent: Element,
  make: (view: CircuitView) => readonly Element[],
): void {
  let life: AbortController | null = null;
  react(view.signal, () => {
    const key = parent.querySelector<SVGElement>(":focus")?.dataset.key;
    life?.abort();
    life = childLife(view.signal);
    parent.replaceChildren(...make({ ...view, signal: life.signal }));
    if (key === undefined) return;
    // What listens to it is no concern of this effect.
    untracked(() => keyedPart(parent, key)?.focus());
  });
}

/** By its data: a key may hold what has a meaning in a selector. */
export function keyedPart(parent: Element, key: string): SVGElement | undefined {
  const parts = [...parent.querySelectorAll<SVGElement>("[data-key]")];
  return parts.find(({ dataset }) => dataset.key === key);
}
