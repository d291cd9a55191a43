/** The module of paths and circuits: what the widget imports when somebody opens it. */

import type { View } from "../views/view";
import type { Kit } from "./kit";
import { useSignals } from "./signals";
import { circuitViews } from "./views/circuit";

export function mount(kit: Kit, view: View, parent: HTMLElement): void {
  useSignals(kit.signals);
  parent.append(...circuitViews(view, kit));
}
