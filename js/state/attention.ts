/** Attention patterns of heads: asked for when a view wants them, kept for a while. */

import { signal as makeSignal, type ReadonlySignal } from "@preact/signals-core";
import { type Channel, isAbort, MESSAGE_KINDS, type Reply } from "../host/messages";
import { formatNode, isHeadKind, parseNode } from "./node";
import { type HeadCounts, queryHeads } from "./place";
import { floats, list, record, ShapeError, whole } from "./shape";

/** A query head. */
export interface HeadRef {
  layer: number;
  head: number;
}

export type HeadAttention =
  | { state: "loading" }
  | { state: "failed"; message: string }
  | {
      state: "ready";
      /** Rows (destinations) and columns (sources) of each pattern. */
      size: number;
      clean: Float32Array;
      corrupted: Float32Array;
    };

export interface AttentionStore {
  readonly patterns: ReadonlySignal<ReadonlyMap<string, HeadAttention>>;
  /** Asks the kernel for those of the heads that are not here yet. */
  want(heads: readonly HeadRef[], pair: number): void;
  /** Asks again for a head that failed. */
  retry(head: HeadRef, pair: number): void;
  /** Forgets everything, requests on their way included. */
  clear(): void;
}

/** Heads kept for picks that come back; about 60 kB each at 60 tokens. */
const MAX_KEPT = 64;

export function headName({ layer, head }: HeadRef): string {
  return `L${layer}H${head}`;
}

export function attentionKey(head: HeadRef, pair: number): string {
  return `${headName(head)}|${pair}`;
}

/** The query heads that the picked nodes belong to, each once, in order of picking. */
export function pickedHeads(
  selection: readonly string[],
  counts: HeadCounts,
): HeadRef[] {
  const found = new Map<string, HeadRef>();
  for (const name of selection) {
    const node = parseNode(name);
    if (!node || node.head === null || !isHeadKind(node.kind)) continue;
    const [start, end] = queryHeads(node.kind, node.head, counts);
    for (let head = start; head < end; head++) {
      const ref = { layer: node.layer, head };
      found.set(headName(ref), ref);
    }
  }
  return [...found.values()];
}

export function createAttention(channel: Channel): AttentionStore {
  const patterns = makeSignal<ReadonlyMap<string, HeadAttention>>(new Map());
  let requests = new AbortController();

  function put(entries: Iterable<[string, HeadAttention]>): void {
    const next = new Map(patterns.peek());
    for (const [key, entry] of entries) {
      next.delete(key); // so that the newest stand last
      next.set(key, entry);
    }
    patterns.value = next;
  }

  async function ask(heads: readonly HeadRef[], pair: number): Promise<void> {
    const keys = heads.map((head) => attentionKey(head, pair));
    put(keys.map((key) => [key, { state: "loading" }]));
    const { signal } = requests;
    const nodes = heads.map(({ layer, head }) =>
      formatNode({ kind: "pattern", layer, head, pos: null, src: null }),
    );
    try {
      const body = { nodes, pair };
      const reply = await channel.request(MESSAGE_KINDS.attentionGet, body, { signal });
      put(readPatterns(reply, heads, pair));
    } catch (error) {
      if (isAbort(error)) return;
      const message = error instanceof Error ? error.message : String(error);
      put(keys.map((key) => [key, { state: "failed", message }]));
    }
  }

  return {
    patterns,
    want(heads, pair) {
      const known = patterns.peek();
      const missing = heads.filter((head) => !known.has(attentionKey(head, pair)));
      if (missing.length === 0) return;
      patterns.value = trimmed(known, heads, pair);
      void ask(missing, pair);
    },
    retry: (head, pair) => void ask([head], pair),
    clear() {
      requests.abort();
      requests = new AbortController();
      patterns.value = new Map();
    },
  };
}

/** Drops the oldest heads beyond the limit, but none that are wanted now. */
function trimmed(
  known: ReadonlyMap<string, HeadAttention>,
  heads: readonly HeadRef[],
  pair: number,
): ReadonlyMap<string, HeadAttention> {
  const wanted = new Set(heads.map((head) => attentionKey(head, pair)));
  const spare = [...known.keys()].filter((key) => !wanted.has(key));
  const kept = new Map(known);
  for (const key of spare.slice(0, Math.max(0, known.size - MAX_KEPT))) {
    kept.delete(key);
  }
  return kept;
}

/** The answer, by key. A head that was asked for and is not in it has failed. */
function readPatterns(
  { payload, buffers }: Reply,
  asked: readonly HeadRef[],
  pair: number,
): Map<string, HeadAttention> {
  const raw = record(payload, "attention");
  const heads = list(readHead)(raw.heads, "attention.heads");
  const [count = 0, size = 0, columns = 0] = list(whole)(raw.shape, "attention.shape");
  const clean = floats(buffers[0], "attention.clean");
  const corrupted = floats(buffers[1], "attention.corrupted");
  const area = size * columns;
  const fits = [clean, corrupted].every(({ length }) => length === count * area);
  if (size !== columns || heads.length !== count || !fits) {
    throw new ShapeError("attention.shape", "square patterns of all heads", raw.shape);
  }
  const message = "the kernel's answer does not hold this head";
  const found = new Map<string, HeadAttention>(
    asked.map((head) => [attentionKey(head, pair), { state: "failed", message }]),
  );
  heads.forEach((head, index) => {
    found.set(attentionKey(head, pair), {
      state: "ready",
      size,
      clean: clean.subarray(index * area, (index + 1) * area),
      corrupted: corrupted.subarray(index * area, (index + 1) * area),
    });
  });
  return found;
}

function readHead(value: unknown, where: string): HeadRef {
  const raw = record(value, where);
  return {
    layer: whole(raw.layer, `${where}.layer`),
    head: whole(raw.head, `${where}.head`),
  };
}
