/** What a computation would cost: asked for before it can be started. */

import type { Channel } from "../host/messages";
import { type AskedStore, createAsked } from "../state/asked";
import { type Cost, requestCost } from "../state/costs";

/** Twin of QUESTIONS in patchwidget/widget/circuit_answers.py, which a test compares. */
export const STARTED = ["interactions", "repair", "story", "path_story"] as const;
export type Started = (typeof STARTED)[number];

/** Of "paths", these; else what the kernel knows: the picks, or what is verified. */
export interface Wanted {
  what: "paths" | Started;
  names: readonly string[];
}

export type Costs = AskedStore<Wanted, Cost>;

export function costKey({ what, names }: Wanted): string {
  return [what, ...names].join("|");
}

export function createCosts(channel: Channel): Costs {
  return createAsked(costKey, ({ what, names }, signal) => {
    const body = what === "paths" ? { what, paths: [...names] } : { what };
    return requestCost(channel, body, signal);
  });
}
