/** Answers of the kernel by question: asked for when wanted, kept until all is void. */

import { signal as makeSignal, type ReadonlySignal } from "@preact/signals-core";
import { messageOf } from "../host/messages";

export type Asked<T> =
  | { state: "loading" }
  | { state: "failed"; message: string }
  | { state: "ready"; answer: T };

export interface AskedStore<Q, T> {
  readonly entries: ReadonlySignal<ReadonlyMap<string, Asked<T>>>;
  /** Asks the kernel, unless it was asked before; `again` where that has failed. */
  want(question: Q, again?: boolean): void;
  /** Asks in any case: an answer that is on its way is void. */
  retry(question: Q): void;
  /** Forgets everything, requests on their way included. */
  clear(): void;
}

/** The oldest answers go when there are more. */
const MAX_KEPT = 128;

export function createAsked<Q, T>(
  keyOf: (question: Q) => string,
  ask: (question: Q, signal: AbortSignal) => Promise<T>,
): AskedStore<Q, T> {
  const entries = makeSignal<ReadonlyMap<string, Asked<T>>>(new Map());
  const requests = new Map<string, AbortController>();

  function put(key: string, entry: Asked<T>): void {
    const next = new Map(entries.peek());
    next.delete(key); // so that the newest stands last
    next.set(key, entry);
    for (const old of next.keys()) {
      if (next.size <= MAX_KEPT) break;
      next.delete(old);
    }
    entries.value = next;
  }

  async function request(question: Q): Promise<void> {
    const key = keyOf(question);
    const life = new AbortController();
    requests.get(key)?.abort();
    requests.set(key, life);
    put(key, { state: "loading" });
    const entry = await outcome(() => ask(question, life.signal));
    if (requests.get(key) === life) requests.delete(key);
    if (entry && !life.signal.aborted) put(key, entry);
  }

  return {
    entries,
    want(question, again = false) {
      const now = entries.peek().get(keyOf(question))?.state;
      if (!now || (again && now === "failed")) void request(question);
    },
    retry: (question) => void request(question),
    clear() {
      for (const life of requests.values()) life.abort();
      requests.clear();
      if (entries.peek().size > 0) entries.value = new Map();
    },
  };
}

/** Null where the asker has given up. */
async function outcome<T>(ask: () => Promise<T>): Promise<Asked<T> | null> {
  try {
    return { state: "ready", answer: await ask() };
  } catch (error) {
    const message = messageOf(error);
    return message === null ? null : { state: "failed", message };
  }
}
