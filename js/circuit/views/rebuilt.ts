/** Children that are made anew when what they are about has changed. */

import { react } from "../../draw/dom";
import { childLife } from "../../host/life";
import type { CircuitView } from "./view";

/** What the old ones listened to ends with them. */
export function rebuilt(
  view: CircuitView,
  parent: Element,
  make: (view: CircuitView) => readonly Element[],
): void {
  let life: AbortController | null = null;
  react(view.signal, () => {
    life?.abort();
    life = childLife(view.signal);
    parent.replaceChildren(...make({ ...view, signal: life.signal }));
  });
}
