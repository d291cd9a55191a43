/** What is computed of all picks together. */

import { sameSelection } from "../../state/selection";
import { counted } from "../../views/words";
import type { Started } from "../costs";
import { costed } from "./costed";
import type { CircuitView } from "./view";

export function picksCosted(
  view: CircuitView,
  what: Started,
  words: string,
): HTMLElement {
  const { selection } = view.store;
  const label = () => `${words} of ${counted(selection.value.length, "pick")} …`;
  return costed(view, label, () => ({ what, names: selection.value }));
}

/** Whose results these are, where they are not those of the picks. */
export function about({ store }: CircuitView, nodes: readonly string[]): string {
  const isNow = sameSelection([...nodes].sort(), [...store.selection.value].sort());
  return isNow ? "" : `Of ${nodes.join(", ")}, which are not the picks now. `;
}
