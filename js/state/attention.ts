/** Attention patterns of heads: asked for when a view wants them, kept for a while. */

import { signal as makeSignal, type ReadonlySignal } from "@preact/signals-core";
import { type Channel, MESSAGE_KINDS, messageOf, type Reply } from "../host/messages";
import { formatNode, isHeadKind, parseNode } from "./node";
import { type Pattern, patternBytes, type RunPattern, triangleLength } from "./pattern";
import { type HeadCounts, queryHeads } from "./place";
import {
  fields,
  floats,
  list,
  oneOf,
  record,
  ShapeError,
  shorts,
  text,
  whole,
} from "./shape";

/** A query head. */
export interface HeadRef {
  layer: number;
  head: number;
}

export type HeadAttention =
  | { state: "loading" }
  | { state: "failed"; message: string }
  | { state: "ready"; pattern: Pattern };

export interface AttentionStore {
  readonly patterns: ReadonlySignal<ReadonlyMap<string, HeadAttention>>;
  /** Asks the kernel for those of the heads that are not here yet, the first first. */
  want(heads: readonly HeadRef[], pair: number, positions: number): void;
  /** Asks again for a head that failed. */
  retry(head: HeadRef, pair: number): void;
  /** Forgets everything, requests on their way included. */
  clear(): void;
}

/** Heads kept for picks that come back, as long as all heads take no more room. */
const MAX_KEPT = 64;
const MAX_KEPT_BYTES = 128 * 2 ** 20;
/** Larger answers would hold up all others on the way. */
const MAX_ANSWER_BYTES = 16 * 2 ** 20;

export function headName({ layer, head }: HeadRef): string {
  return `L${layer}H${head}`;
}

export function attentionKey(head: HeadRef, pair: number): string {
  return `${headName(head)}|${pair}`;
}

/** The pattern node of a head: what the kernel is asked about. */
export function patternNode({ layer, head }: HeadRef): string {
  return formatNode({ kind: "pattern", layer, head, pos: null, src: null });
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
    try {
      const body = { nodes: heads.map(patternNode), pair };
      const reply = await channel.request(MESSAGE_KINDS.attentionGet, body, { signal });
      put(readPatterns(reply, heads, pair));
    } catch (error) {
      const message = messageOf(error);
      if (message === null) return;
      put(keys.map((key) => [key, { state: "failed", message }]));
    }
  }

  return {
    patterns,
    want(heads, pair, positions) {
      const known = patterns.peek();
      const missing = heads.filter((head) => !known.has(attentionKey(head, pair)));
      if (missing.length === 0) return;
      patterns.value = trimmed(known, heads, pair);
      for (const some of shares(missing, patternBytes(positions))) void ask(some, pair);
    },
    retry: (head, pair) => void ask([head], pair),
    clear() {
      requests.abort();
      requests = new AbortController();
      patterns.value = new Map();
    },
  };
}

/** The heads of each request: one, where long prompts make its answer large enough. */
function shares(heads: readonly HeadRef[], bytes: number): HeadRef[][] {
  const each = Math.max(1, Math.floor(MAX_ANSWER_BYTES / bytes));
  const count = Math.ceil(heads.length / each);
  return Array.from({ length: count }, (_, index) =>
    heads.slice(index * each, (index + 1) * each),
  );
}

/** Drops the oldest heads beyond the limits, but none that are wanted now. */
function trimmed(
  known: ReadonlyMap<string, HeadAttention>,
  heads: readonly HeadRef[],
  pair: number,
): ReadonlyMap<string, HeadAttention> {
  const wanted = new Set(heads.map((head) => attentionKey(head, pair)));
  const kept = new Map(known);
  let bytes = 0;
  for (const entry of known.values()) bytes += bytesOf(entry);
  for (const [key, entry] of known) {
    if (kept.size <= MAX_KEPT && bytes <= MAX_KEPT_BYTES) break;
    if (wanted.has(key)) continue;
    kept.delete(key);
    bytes -= bytesOf(entry);
  }
  return kept;
}

function bytesOf(entry: HeadAttention): number {
  return entry.state === "ready" ? patternBytes(entry.pattern.size) : 0;
}

/** The answer, by key. A head that was asked for and is not in it has failed. */
function readPatterns(
  { payload, buffers }: Reply,
  asked: readonly HeadRef[],
  pair: number,
): Map<string, HeadAttention> {
  const raw = record(payload, "attention");
  const heads = list(readHead)(raw.heads, "attention.heads");
  const size = whole(raw.size, "attention.size");
  oneOf("uint16")(raw.dtype, "attention.dtype");
  if (size < 1) throw new ShapeError("attention.size", "1 or more", size);
  const [clean, corrupted, cleanNorms, corruptedNorms] = buffers;
  const runs = {
    clean: readRun(clean, cleanNorms, heads.length, size, "clean"),
    corrupted: readRun(corrupted, corruptedNorms, heads.length, size, "corrupted"),
  };
  const missing = raw.missing ?? "the kernel's answer does not hold this head";
  const message = text(missing, "attention.missing");
  const found = new Map<string, HeadAttention>(
    asked.map((head) => [attentionKey(head, pair), { state: "failed", message }]),
  );
  heads.forEach((head, index) => {
    const pattern = {
      size,
      clean: ofHead(runs.clean, index, size),
      corrupted: ofHead(runs.corrupted, index, size),
    };
    found.set(attentionKey(head, pair), { state: "ready", pattern });
  });
  return found;
}

/** All heads of one run, one after another. */
function readRun(
  weightBytes: unknown,
  normBytes: unknown,
  heads: number,
  size: number,
  run: string,
): RunPattern {
  const area = heads * triangleLength(size);
  const weights = shorts(weightBytes, `attention.${run}`, area);
  const norms = floats(normBytes, `attention.${run} norms`, heads * size);
  return { weights, norms };
}

/** A copy, so that a head that is let go leaves its room, whoever came with it. */
function ofHead({ weights, norms }: RunPattern, index: number, size: number) {
  const area = triangleLength(size);
  return {
    weights: weights.slice(index * area, (index + 1) * area),
    norms: norms.slice(index * size, (index + 1) * size),
  };
}

const readHead = fields<HeadRef>({ layer: whole, head: whole });
