/** What is said where an answer of the kernel ought to be. */

import { button, el, quiet } from "../draw/dom";
import type { View } from "./view";

export const WAITING = "Waiting for the kernel.";

/** The end of a question that can be asked again. */
export function tryAgain({ store, signal }: View, ask: () => void): HTMLElement {
  const again = button("try again", ask, signal);
  // Nobody would answer another time either.
  again.hidden = store.isSaved;
  return again;
}

/** Nothing where the answer is here; `what` begins the sentence where there is none. */
export function unanswered(
  entry: { state: string; message?: string } | undefined,
  what: string,
  again: HTMLElement,
): HTMLElement[] {
  if (entry?.state === "ready") return [];
  if (entry?.state !== "failed") return [quiet(WAITING)];
  return [el("span", "pw-error", `${what}: ${entry.message}. `), again];
}
