/** What a verification would cost: asked for before it can be started. */

import { type Channel, MESSAGE_KINDS } from "../host/messages";
import { type AskedStore, createAsked } from "./asked";
import type { Kind } from "./node";
import { fields, text, whole } from "./shape";

/**
 * What is to be verified: the picks, the largest estimates, or all nodes of a kind; or a
 * bound on what is not.
 */
export interface Wanted {
  what: "picked" | "top" | "all" | "bound";
  /** Of which kind; empty for all. */
  of: Kind | "";
  top: number | null;
}

export interface Cost {
  patches: number;
  words: string;
}

export type Costs = AskedStore<Wanted, Cost>;

export function costKey({ what, of, top }: Wanted): string {
  return `${what}|${of}|${top ?? ""}`;
}

export function createCosts(channel: Channel): Costs {
  return createAsked(costKey, (wanted, signal) =>
    requestCost(channel, { ...wanted }, signal),
  );
}

const readCost = fields<Cost>({ patches: whole, words: text });

export async function requestCost(
  channel: Channel,
  body: Record<string, unknown>,
  signal: AbortSignal,
): Promise<Cost> {
  const { payload } = await channel.request(MESSAGE_KINDS.costGet, body, { signal });
  return readCost(payload, "cost");
}
