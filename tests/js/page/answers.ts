/** Plays the kernel for the page: attention on request, an exact patch after a pick. */

import type { FixtureHost } from "../../../js/host/fixture";
import { MESSAGE_KINDS } from "../../../js/host/messages";
import { parseNode } from "../../../js/state/node";
import { circuitAnswer } from "./circuit";
import { HEADS, NO_JOB, seeded } from "./data";

const PATCH_MS = 900;
const REPLY_MS = 150;

type Request = Record<string, unknown>;
type Answer = [content: unknown, buffers: ArrayBufferView[]];

/** With a refusal, nothing is made up: that is the answer to everything. */
export function playKernel(
  host: FixtureHost,
  size: number,
  refusal: string | null = null,
): void {
  const send = host.send;
  host.send = (content) => {
    send(content);
    if (refusal === null) judge(host, content);
    const method = String(host.get("method"));
    const reply = async (): Promise<Answer> => {
      if (refusal !== null && content.kind !== MESSAGE_KINDS.moduleGet) {
        return refused(content, refusal);
      }
      const found = await circuitAnswer(host, content);
      if (typeof found === "string") return refused(content, found);
      if (!found) return answer(content, size, method);
      const { id } = content;
      const { payload, buffers } = found;
      const message = { kind: MESSAGE_KINDS.reply, id, ok: true, error: null, payload };
      return [message, buffers];
    };
    setTimeout(async () => host.deliver(...(await reply())), REPLY_MS);
  };
  let job = 0;
  host.onChange(
    "selection",
    () => {
      job += 1;
      patch(host, job, refusal);
    },
    new AbortController().signal,
  );
}

function refused({ id }: Request, message: string): [unknown, ArrayBufferView[]] {
  const error = { type: "LookupError", message };
  return [{ kind: MESSAGE_KINDS.reply, id, ok: false, error, payload: null }, []];
}

/** One pick is always right, and the answer always the same. */
function judge(host: FixtureHost, { kind, about }: Request): void {
  const question = host.get("question") as Record<string, unknown>; // set by this page
  const picks = host.get("selection") as string[]; // as above
  const say = (said: object) =>
    setTimeout(() => host.receive("question", { ...question, ...said }), 2 * REPLY_MS);
  if (about !== question.id) return;
  if (kind === MESSAGE_KINDS.questionCheck) {
    const right = picks.length === 1;
    const words = right ? `${picks[0]} it is.` : `${picks.length} are picked.`;
    say({ reply: { right, words, picks } });
  }
  if (kind === MESSAGE_KINDS.questionSolve) say({ solution: "L4H0.z (+0.271)." });
}

function answer(
  request: Request,
  size: number,
  method: string,
): [unknown, ArrayBufferView[]] {
  const reply = { kind: MESSAGE_KINDS.reply, id: request.id, error: null };
  if (request.kind === MESSAGE_KINDS.costGet) {
    const { paths } = request;
    const many = Array.isArray(paths) ? paths.length : 40;
    const patches = request.what === "top" ? Number(request.top) : many;
    const words = `${patches} patches, about ${patches / 50} s`;
    return [{ ...reply, ok: true, payload: { patches, words } }, []];
  }
  if (request.kind === MESSAGE_KINDS.diagnosisGet) return [diagnosis(request), []];
  if (request.kind === MESSAGE_KINDS.rowGet) {
    const { payload, values } = rowAnswer(String(request.node), size, method);
    return [{ ...reply, ok: true, payload }, [values]];
  }
  if (request.kind === MESSAGE_KINDS.neuronsGet) {
    const { payload, values } = neuronsAnswer(request, size, method);
    return [{ ...reply, ok: true, payload }, [values]];
  }
  const nodes = (request.nodes ?? []) as string[]; // sent by this page, whose type it is
  if (request.kind === MESSAGE_KINDS.circuitsvisGet) {
    const html = `<!doctype html><title>-</title><p>As in CircuitsVis: ${nodes.length} heads.`;
    return [{ ...reply, ok: true, payload: { html, needs_network: true } }, []];
  }
  if (request.kind !== MESSAGE_KINDS.attentionGet) {
    return [{ ...reply, ok: true, payload: null }, []];
  }
  const heads = nodes.map((name) => {
    const [, layer, head] = /^L(\d+)H(\d+)/.exec(name) ?? [];
    return { layer: Number(layer), head: Number(head) };
  });
  if (heads.some(({ layer }) => layer === 0)) {
    return refused(request, "layer 0 is out of memory here");
  }
  const payload = { heads, size, pair: request.pair, dtype: "uint16" };
  return [{ ...reply, ok: true, payload }, attentionBuffers(heads, size)];
}

interface Head {
  layer: number;
  head: number;
}

/** Patterns of both runs, then value norms of both: as the kernel sends them. */
export function attentionBuffers(heads: Head[], size: number): ArrayBufferView[] {
  const early = Math.floor(size * 0.3);
  const late = Math.floor(size * 0.7);
  return [
    triangles(heads, size, late),
    triangles(heads, size, early),
    Float32Array.from(heads.flatMap((head) => norms(head, size, 1))),
    Float32Array.from(heads.flatMap((head) => norms(head, size, 2))),
  ];
}

/** Nodes of layer 2 cannot be diagnosed here, so that a failure can be looked at. */
function diagnosis({ id, node }: Request): object {
  const reply = { kind: MESSAGE_KINDS.reply, id };
  if (String(node).startsWith("L2")) {
    const error = { type: "ValueError", message: "out of memory in the second order" };
    return { ...reply, ok: false, error, payload: null };
  }
  const isEven = String(node).length % 2 === 0;
  const cause = (name: string, consistent: boolean, words: string) => ({
    name,
    consistent,
    words,
  });
  const causes = [
    cause(
      "attention saturation",
      isEven,
      "the weight that moves most goes from 0.981 to 0.004; the estimate is +0.3520, " +
        "through the softmax +0.3100, exact +0.3010: 82% of the miss",
    ),
    cause(
      "cancellation",
      false,
      "with layers cut one at a time the estimate's size is 0.3611, against 0.3520 uncut",
    ),
    cause("curvature", isEven, "the second order is 0.61 times the first"),
  ];
  const looked = { "self-repair": "the model has a norm after its attention" };
  const payload = { node, causes, not_looked_at: looked };
  return { ...reply, ok: true, error: null, payload };
}

/** Most of a head's effect at END, some at S2. */
function rowAnswer(name: string, size: number, method: string) {
  const node = parseNode(name);
  const noise = seeded(name.length + 31 * (node?.layer ?? 0) + 7 * (node?.head ?? 0));
  const values = Float32Array.from({ length: size }, (_, pos) => {
    const small = 0.04 * (noise() - 0.5);
    if (pos === size - 1) return 0.25 + small;
    return pos === 10 ? -0.06 + small : small / 4;
  });
  const { kind, layer, head } = node ?? {};
  return { payload: { kind, layer, head, method, size }, values };
}

function neuronsAnswer(request: Request, size: number, method: string) {
  const layer = request.layer as number | null; // sent by this page, whose type it is
  const top = Number(request.top);
  const noise = seeded(11);
  const names = Array.from({ length: top }, (_, rank) => {
    const pos = noise() < 0.5 ? size - 1 : Math.floor(noise() * size);
    return `L${layer ?? rank % 5}.neuron@${pos}#${Math.floor(noise() * 2048)}`;
  });
  const values = Float32Array.from(names, (_, rank) => {
    return ((rank % 3 === 1 ? -1 : 1) * 0.12) / (1 + rank / 4);
  });
  return { payload: { method, names, total: 5 * size * 2048, layers: 5 }, values };
}

function triangles(heads: Head[], size: number, source: number): Uint16Array {
  const area = (size * (size + 1)) / 2;
  const all = new Uint16Array(heads.length * area);
  for (const [index, head] of heads.entries()) {
    fillTriangle(all.subarray(index * area, (index + 1) * area), head, size, source);
  }
  return all;
}

/** Causal rows that sum to one, with one source that stands out for late rows. */
function fillTriangle(
  out: Uint16Array,
  { layer, head }: Head,
  size: number,
  source: number,
): void {
  const noise = seeded(layer * HEADS + head + source);
  const width = 2 + ((layer + head) % 5);
  const weights = new Float64Array(size);
  for (let row = 0, at = 0; row < size; row++) {
    let sum = 0;
    for (let column = 0; column <= row; column++) {
      const loud = row > size * 0.6 && column === source ? 0.2 * row * noise() : 0;
      const near = row - column === width ? 0.1 * row : 0;
      const weight = noise() * 0.2 + loud + near + (column === 0 ? 1.5 : 0);
      weights[column] = weight;
      sum += weight;
    }
    for (let column = 0; column <= row; column++, at++) {
      out[at] = Math.round(((weights[column] ?? 0) / sum) * 65535);
    }
  }
}

/** The first token's value says little, as in real models. */
function norms({ layer, head }: Head, size: number, run: number): number[] {
  const noise = seeded(1000 * run + layer * HEADS + head);
  return Array.from({ length: size }, (_, at) => (at === 0 ? 0.1 : 1 + 3 * noise()));
}

function patch(host: FixtureHost, id: number, refusal: string | null): void {
  const known = host.get("verified") as Record<string, unknown>; // set by this page
  const selection = host.get("selection") as string[]; // as above
  const missing = selection.filter((name) => !(name in known));
  if (missing.length === 0) return;
  const job = { ...NO_JOB, id, label: "exact patches", total: missing.length };
  if (refusal !== null) {
    const error = { type: "LookupError", message: refusal };
    host.receive("job", { ...job, state: "failed", error });
    return;
  }
  host.receive("job", { ...job, state: "running" });
  setTimeout(() => {
    const noise = seeded(id);
    const results = missing.map((name) => {
      const exact = noise() - 0.4;
      const perPair = Array.from({ length: 8 }, () => exact + 0.2 * (noise() - 0.5));
      const halves = [exact * 0.6, exact * 0.4];
      const interval = [exact - 0.04, exact + 0.04];
      const rest = { raw: exact * 7.26, per_pair: perPair, halves, interval };
      return [name, { estimate: exact * 1.2, exact, ...rest }];
    });
    host.receive("verified", { ...known, ...Object.fromEntries(results) });
    host.receive("job", { ...job, state: "done", done: missing.length });
  }, PATCH_MS);
}
