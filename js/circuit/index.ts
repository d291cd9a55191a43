/** The module of paths and circuits: what the widget imports when somebody opens it. */

import type { View } from "../views/view";
import { useGiven } from "./given";
import type { Kit } from "./kit";
import { useSignals } from "./signals";
import { circuitViews } from "./views/circuit";

export function mount(kit: Kit, view: View, parent: HTMLElement): void {
  useSignals(kit.signals);
  useGiven(kit.shared);
  parent.append(...circuitViews(view, kit));
}
