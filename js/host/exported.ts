/** The host of a saved page: what was known when it was saved, and no kernel. */

import type { Host, MessageListener, Trait, ViewTrait } from "./host";
import { addFor } from "./life";
import { MESSAGE_KINDS } from "./messages";

/** What the kernel answered before the page was saved; twin of widget/export.py. */
export interface SavedAnswer {
  payload: Record<string, unknown>;
  buffers: readonly Uint8Array[];
}

export interface Saved {
  traits: Record<string, unknown>;
  /** By kind of request and what it names: `attention.get L3H1.pattern 0`. */
  answers: Record<string, SavedAnswer>;
}

/** Setting one of these asks for estimates that are not in the page. */
const OF_THE_KERNEL: ReadonlySet<ViewTrait> = new Set(["method", "direction"]);
const NO_KERNEL = "this is a saved page, with no kernel to compute it";
const NOT_INSIDE = "it is not in this saved page, and there is no kernel to ask";
const NO_PATTERN =
  "that of this head and pair is not in this saved page, and there is no kernel to ask";
const NOT_COMPUTED =
  "no path and no circuit was computed before this page was saved, and there is no kernel to ask";
const COMPUTED_ONLY =
  "This is a saved page: it shows what was computed, and has no kernel to compute more.";
const IDLE = { id: 0, state: "idle", done: 0, total: 0, label: "", error: null };

export function exportedHost({ traits, answers }: Saved): Host {
  const values = new Map(Object.entries(traits));
  const saved = new Map(Object.entries(answers));
  const changes = new Set<{ trait: Trait; callback: () => void }>();
  const listeners = new Set<MessageListener>();

  function assign(trait: Trait, value: unknown): void {
    values.set(trait, value);
    for (const change of [...changes]) if (change.trait === trait) change.callback();
  }

  /** As the kernel refuses what cannot be: said in the job bar, and taken back. */
  function refuse(trait: Trait, value: unknown): void {
    const error = { type: "no kernel", message: COMPUTED_ONLY };
    assign("job", { ...IDLE, state: "failed", label: `${trait} ${value}`, error });
    assign(trait, values.get(trait));
  }

  function answer(request: Record<string, unknown>): void {
    const { id } = request;
    const found = answerTo(request, saved);
    const reply =
      typeof found === "string"
        ? { ok: false, error: { type: "no kernel", message: found }, payload: null }
        : { ok: true, error: null, payload: found.payload };
    const buffers = typeof found === "string" ? [] : found.buffers;
    for (const listener of [...listeners]) {
      listener({ kind: MESSAGE_KINDS.reply, id, ...reply }, buffers);
    }
  }

  return {
    isSaved: true,
    get: (trait) => values.get(trait),
    set(trait, value) {
      if (OF_THE_KERNEL.has(trait)) {
        refuse(trait, value);
        return;
      }
      assign(trait, value);
      assign("job", IDLE); // what was refused before is no news any more
    },
    onChange: (trait, callback, signal) => addFor(changes, { trait, callback }, signal),
    // Not before the asker waits: a kernel would not be quicker than that either.
    send: (content) => queueMicrotask(() => answer(content)),
    onMessage: (listener, signal) => addFor(listeners, listener, signal),
    onLost() {}, // there was none
  };
}

/** The answer, or why there is none. */
function answerTo(
  request: Record<string, unknown>,
  saved: ReadonlyMap<string, SavedAnswer>,
): SavedAnswer | string {
  const { kind, node, nodes, pair, name } = request;
  if (kind === MESSAGE_KINDS.rowGet) return saved.get(`${kind} ${node}`) ?? NOT_INSIDE;
  if (kind === MESSAGE_KINDS.pathsGet)
    return saved.get(`${kind} ${node}`) ?? NOT_INSIDE;
  if (kind === MESSAGE_KINDS.moduleGet) {
    return saved.get(`${kind} ${name}`) ?? NOT_COMPUTED;
  }
  if (kind !== MESSAGE_KINDS.attentionGet || !Array.isArray(nodes)) return NO_KERNEL;
  const found = nodes.flatMap((name) => saved.get(`${kind} ${name} ${pair}`) ?? []);
  return found.length > 0 ? joined(found) : NO_PATTERN;
}

/** Heads were saved one by one, and are asked for together. */
function joined(found: readonly SavedAnswer[]): SavedAnswer {
  const [first] = found;
  const heads = found.flatMap(({ payload }) => payload.heads);
  const buffers = (first?.buffers ?? []).map((_, index) =>
    concatenated(found.map(({ buffers }) => buffers[index] ?? new Uint8Array())),
  );
  return { payload: { ...first?.payload, heads, missing: NO_PATTERN }, buffers };
}

function concatenated(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let end = 0;
  for (const part of parts) {
    whole.set(part, end);
    end += part.length;
  }
  return whole;
}
