/** What a verification would cost: asked for before it can be started. */

import { signal as makeSignal, type ReadonlySignal } from "@preact/signals-core";
import { type Channel, isAbort, MESSAGE_KINDS } from "../host/messages";
import type { Kind } from "./node";
import { record, text, whole } from "./shape";

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

export type Cost =
  | { state: "loading" }
  | { state: "failed"; message: string }
  | { state: "ready"; patches: number; words: string };

export interface Costs {
  readonly known: ReadonlySignal<ReadonlyMap<string, Cost>>;
  /** Asks the kernel, and forgets older answers to the same question. */
  ask(wanted: Wanted): void;
}

export function costKey({ what, of, top }: Wanted): string {
  return `${what}|${of}|${top ?? ""}`;
}

export function createCosts(channel: Channel, life: AbortSignal): Costs {
  const known = makeSignal<ReadonlyMap<string, Cost>>(new Map());
  const requests = new Map<string, AbortController>();

  function put(key: string, cost: Cost): void {
    known.value = new Map(known.peek()).set(key, cost);
  }

  async function ask(wanted: Wanted): Promise<void> {
    const key = costKey(wanted);
    requests.get(key)?.abort();
    const request = new AbortController();
    requests.set(key, request);
    put(key, { state: "loading" });
    try {
      const options = { signal: request.signal };
      const reply = await channel.request(
        MESSAGE_KINDS.costGet,
        { ...wanted },
        options,
      );
      put(key, readCost(reply.payload));
    } catch (error) {
      if (isAbort(error)) return;
      const message = error instanceof Error ? error.message : String(error);
      put(key, { state: "failed", message });
    } finally {
      if (requests.get(key) === request) requests.delete(key);
    }
  }

  life.addEventListener("abort", () => requests.clear(), { once: true });
  return { known, ask: (wanted) => void ask(wanted) };
}

function readCost(value: unknown): Cost {
  const raw = record(value, "cost");
  return {
    state: "ready",
    patches: whole(raw.patches, "cost.patches"),
    words: text(raw.words, "cost.words"),
  };
}
