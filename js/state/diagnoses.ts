/** Why estimates are off: asked of the kernel node by node, and kept while they hold. */

import { type Channel, MESSAGE_KINDS } from "../host/messages";
import { type Asked, type AskedStore, createAsked } from "./asked";
import { fields, flag, list, optional, ShapeError, table, text } from "./shape";

/** A known cause of misses. The numbers are consistent with it or not: no more. */
export interface Cause {
  name: string;
  consistent: boolean;
  /** The numbers in a sentence. */
  words: string;
}

export interface Causes {
  node: string;
  causes: Cause[];
  /** By name of the cause, why it could not be looked at. */
  notLookedAt: ReadonlyMap<string, string>;
}

export type Diagnosis = Asked<Causes>;
export type DiagnosisStore = AskedStore<string, Causes>;

/** A first diagnosis may have estimates of two more methods to make. */
const TIMEOUT_MS = 120_000;

export function createDiagnoses(channel: Channel): DiagnosisStore {
  return createAsked(String, async (node, signal) => {
    const options = { signal, timeoutMs: TIMEOUT_MS };
    const kind = MESSAGE_KINDS.diagnosisGet;
    const { payload } = await channel.request(kind, { node }, options);
    const found = readCauses(payload, "diagnosis");
    if (found.node !== node) throw new ShapeError("diagnosis.node", node, found.node);
    return found;
  });
}

const readCauses = fields<Causes>({
  node: text,
  causes: list(fields<Cause>({ name: text, consistent: flag, words: text })),
  notLookedAt: optional(table(text), new Map()),
});
