/** What every view of paths and circuits is given. */

import type { ReadonlySignal, Signal } from "@preact/signals-core";
import type { View } from "../../views/view";
import type { ArrivalsStore } from "../arrivals";
import type { Costs } from "../costs";
import type { Kit } from "../kit";
import type { Circuit } from "../record";
import type { Tasks } from "../tasks";

export interface CircuitView extends View {
  kit: Kit;
  circuit: ReadonlySignal<Circuit>;
  arrivals: ArrivalsStore;
  costs: Costs;
  tasks: Tasks;
  /** What was asked for without a pick; null for the newest pick. */
  asked: Signal<string | null>;
  /** The heads and MLPs among the picks. */
  subjects: ReadonlySignal<readonly string[]>;
  /** The head or MLP whose paths are looked at. */
  focus: ReadonlySignal<string | null>;
  /** The path that the pointer or the focus is at. */
  over: Signal<string | null>;
}
