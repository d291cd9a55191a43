/** Estimates of all paths into a head or an MLP and out of it: asked for by its name. */

import { type Channel, MESSAGE_KINDS } from "../host/messages";
import { type AskedStore, createAsked } from "../state/asked";
import { fields, list, measured, table, text } from "../state/shape";

export interface Entry {
  path: string;
  /** The name of the other end. */
  end: string;
  value: number;
}

export interface Arrivals {
  node: string;
  method: string;
  /** By what reads: `q`, `k` and `v`, or `mlp`. */
  into: ReadonlyMap<string, Entry[]>;
  out: Entry[];
}

export type ArrivalsStore = AskedStore<string, Arrivals>;

/** The first answer takes a backward of the whole model, behind whatever runs. */
const PATIENCE_MS = 30 * 60_000;

const entries = list(fields<Entry>({ path: text, end: text, value: measured }));

const readArrivals = fields<Arrivals>({
  node: text,
  method: text,
  into: table(entries),
  out: entries,
});

export function createArrivals(channel: Channel): ArrivalsStore {
  return createAsked(
    (node) => node,
    async (node, signal) => {
      const options = { signal, timeoutMs: PATIENCE_MS };
      const { payload } = await channel.request(
        MESSAGE_KINDS.pathsGet,
        { node },
        options,
      );
      return readArrivals(payload, "paths");
    },
  );
}
