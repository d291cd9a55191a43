/** Earlier selections, to go back to and forward again. */

import { computed, effect, type ReadonlySignal, signal } from "@preact/signals-core";
import { onAbort } from "../host/life";
import { sameSelection } from "./selection";

export interface History {
  readonly canBack: ReadonlySignal<boolean>;
  readonly canForward: ReadonlySignal<boolean>;
  back(): void;
  forward(): void;
}

const MAX_KEPT = 50;

interface Trail {
  steps: readonly (readonly string[])[];
  at: number;
}

/** Follows the selection, whoever sets it, until the signal aborts. */
export function createHistory(
  selection: ReadonlySignal<readonly string[]>,
  select: (selection: readonly string[]) => void,
  life: AbortSignal,
): History {
  const trail = signal<Trail>({ steps: [selection.peek()], at: 0 });
  const stop = effect(() => {
    trail.value = continued(trail.peek(), selection.value);
  });
  onAbort(life, stop);

  function go(by: 1 | -1): void {
    const { steps, at } = trail.peek();
    const target = steps[at + by];
    if (!target) return;
    trail.value = { steps, at: at + by };
    select(target);
  }

  return {
    canBack: computed(() => trail.value.at > 0),
    canForward: computed(() => trail.value.at < trail.value.steps.length - 1),
    back: () => go(-1),
    forward: () => go(1),
  };
}

/** A new selection ends what lay ahead, as in a browser. */
function continued(trail: Trail, now: readonly string[]): Trail {
  const { steps, at } = trail;
  const here = steps[at];
  if (here && sameSelection(here, now)) return trail;
  const kept = [...steps.slice(0, at + 1), now].slice(-MAX_KEPT);
  return { steps: kept, at: kept.length - 1 };
}
