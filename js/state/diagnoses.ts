/** Why estimates are off: asked of the kernel node by node, and kept while they hold. */

import { signal as makeSignal, type ReadonlySignal } from "@preact/signals-core";
import { type Channel, isAbort, MESSAGE_KINDS } from "../host/messages";
import { list, record, ShapeError, table, text } from "./shape";

/** A known cause of misses. The numbers are consistent with it or not: no more. */
export interface Cause {
  name: string;
  isConsistent: boolean;
  /** The numbers in a sentence. */
  words: string;
}

export type Diagnosis =
  | { state: "loading" }
  | { state: "failed"; message: string }
  | {
      state: "ready";
      causes: Cause[];
      /** By name of the cause, why it could not be looked at. */
      notLookedAt: ReadonlyMap<string, string>;
    };

export interface DiagnosisStore {
  readonly known: ReadonlySignal<ReadonlyMap<string, Diagnosis>>;
  /** Asks the kernel, unless it has answered or is about to. */
  ask(node: string): void;
  /** Forgets everything, requests on their way included. */
  clear(): void;
}

/** A first diagnosis may have estimates of two more methods to make. */
const TIMEOUT_MS = 120_000;

export function createDiagnoses(channel: Channel): DiagnosisStore {
  const known = makeSignal<ReadonlyMap<string, Diagnosis>>(new Map());
  let requests = new AbortController();

  function put(node: string, diagnosis: Diagnosis): void {
    known.value = new Map(known.peek()).set(node, diagnosis);
  }

  async function request(node: string): Promise<void> {
    put(node, { state: "loading" });
    const options = { signal: requests.signal, timeoutMs: TIMEOUT_MS };
    try {
      const kind = MESSAGE_KINDS.diagnosisGet;
      const { payload } = await channel.request(kind, { node }, options);
      put(node, readDiagnosis(payload, node));
    } catch (error) {
      if (isAbort(error)) return;
      const message = error instanceof Error ? error.message : String(error);
      put(node, { state: "failed", message });
    }
  }

  return {
    known,
    ask(node) {
      const now = known.peek().get(node)?.state ?? "failed";
      if (now === "failed") void request(node);
    },
    clear() {
      requests.abort();
      requests = new AbortController();
      if (known.peek().size > 0) known.value = new Map();
    },
  };
}

function readDiagnosis(payload: unknown, node: string): Diagnosis {
  const raw = record(payload, "diagnosis");
  const about = text(raw.node, "diagnosis.node");
  if (about !== node) throw new ShapeError("diagnosis.node", node, about);
  return {
    state: "ready",
    causes: list(readCause)(raw.causes, "diagnosis.causes"),
    notLookedAt: table(text)(raw.not_looked_at ?? {}, "diagnosis.not_looked_at"),
  };
}

function readCause(value: unknown, where: string): Cause {
  const raw = record(value, where);
  if (typeof raw.consistent !== "boolean") {
    throw new ShapeError(`${where}.consistent`, "true or false", raw.consistent);
  }
  return {
    name: text(raw.name, `${where}.name`),
    isConsistent: raw.consistent,
    words: text(raw.words, `${where}.words`),
  };
}
