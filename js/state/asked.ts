/** Answers of the kernel by question: asked for when wanted, kept until all is void. */

import { signal as makeSignal, type ReadonlySignal } from "@preact/signals-core";
import { isAbort } from "../host/messages";

export type Asked<T> =
  | { state: "loading" }
  | { state: "failed"; message: string }
  | { state: "ready"; answer: T };

export interface AskedStore<Q, T> {
  readonly entries: ReadonlySignal<ReadonlyMap<string, Asked<T>>>;
  /** Asks the kernel, unless the answer is here or on its way. */
  want(question: Q): void;
  /** Asks again after a failure. */
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
  let requests = new AbortController();

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
    const { signal } = requests;
    put(key, { state: "loading" });
    try {
      const answer = await ask(question, signal);
      if (!signal.aborted) put(key, { state: "ready", answer });
    } catch (error) {
      if (isAbort(error) || signal.aborted) return;
      const message = error instanceof Error ? error.message : String(error);
      put(key, { state: "failed", message });
    }
  }

  return {
    entries,
    want(question) {
      if (!entries.peek().has(keyOf(question))) void request(question);
    },
    retry: (question) => void request(question),
    clear() {
      requests.abort();
      requests = new AbortController();
      if (entries.peek().size > 0) entries.value = new Map();
    },
  };
}
