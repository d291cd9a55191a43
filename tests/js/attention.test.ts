// @vitest-environment node
import { afterEach, beforeEach, expect, test } from "vitest";
import { type FixtureHost, fixtureHost } from "../../js/host/fixture";
import { openChannel } from "../../js/host/messages";
import {
  type AttentionStore,
  attentionKey,
  createAttention,
  type HeadRef,
  pickedHeads,
} from "../../js/state/attention";
import { settle } from "./support";

const A = { layer: 1, head: 2 };
const B = { layer: 3, head: 0 };

let host: FixtureHost;
let life: AbortController;
let attention: AttentionStore;

beforeEach(() => {
  host = fixtureHost({});
  life = new AbortController();
  const ignore = () => {};
  attention = createAttention(openChannel(host, ignore, ignore, life.signal));
});

afterEach(() => life.abort());

function stateOf(head: HeadRef, pair = -1) {
  return attention.patterns.value.get(attentionKey(head, pair));
}

async function answer(payload: object, buffers: unknown[]) {
  const id = host.sent.at(-1)?.id;
  const whole = { dtype: "uint16", pair: -1, ...payload };
  host.deliver({ kind: "reply", id, ok: true, error: null, payload: whole }, buffers);
  await settle();
}

const short = (...values: number[]) => Uint16Array.from(values);
const float = (...values: number[]) => Float32Array.from(values);

test("heads are asked for once, by name, and are ready when the answer is here", async () => {
  attention.want([A, B], -1, 2);
  attention.want([A, B], -1, 2);
  expect(host.sent).toMatchObject([
    { kind: "attention.get", nodes: ["L1H2.pattern", "L3H0.pattern"], pair: -1 },
  ]);
  expect(stateOf(A)).toEqual({ state: "loading" });
  // In another order than they were asked for: the answer says which is which.
  await answer({ heads: [B, A], size: 2 }, [
    short(1, 2, 3, 4, 5, 6),
    short(10, 20, 30, 40, 50, 60),
    float(0.1, 0.2, 0.3, 0.4),
    float(1, 2, 3, 4),
  ]);
  const ready = stateOf(A);
  if (ready?.state !== "ready") throw new Error("not ready");
  const { size, clean, corrupted } = ready.pattern;
  expect(size).toBe(2);
  expect([...clean.weights]).toEqual([4, 5, 6]);
  expect([...corrupted.weights]).toEqual([40, 50, 60]);
  expect([...clean.norms]).toEqual([...float(0.3, 0.4)]);
  expect([...corrupted.norms]).toEqual([3, 4]);
});

test("bytes may begin anywhere in a message", async () => {
  attention.want([A], -1, 1);
  const bytes = new Uint8Array(9).fill(255);
  const view = new DataView(bytes.buffer, 1, 2);
  await answer({ heads: [A], size: 1 }, [view, view, float(1), float(1)]);
  const ready = stateOf(A);
  if (ready?.state !== "ready") throw new Error("not ready");
  expect([...ready.pattern.clean.weights]).toEqual([65535]);
});

test("another pair is another question", () => {
  attention.want([A], -1, 2);
  attention.want([A], 3, 2);
  expect(host.sent.map(({ pair }) => pair)).toEqual([-1, 3]);
});

test("long prompts are asked for in several answers", () => {
  attention.want([A, B], -1, 2000);
  expect(host.sent.map(({ nodes }) => nodes)).toEqual([
    ["L1H2.pattern", "L3H0.pattern"],
  ]);
  attention.clear();
  attention.want([A, B], -1, 4000);
  expect(host.sent.slice(1).map(({ nodes }) => nodes)).toEqual([
    ["L1H2.pattern"],
    ["L3H0.pattern"],
  ]);
});

const whole = [short(1, 2, 3), short(1, 2, 3), float(1, 2), float(1, 2)];

test.each<[string, object, unknown[]]>([
  ["with squares", { size: 2 }, [new Uint16Array(4), ...whole.slice(1)]],
  ["without the second run", { size: 2 }, whole.slice(0, 1)],
  ["without norms", { size: 2 }, whole.slice(0, 2)],
  ["with too many norms", { size: 2 }, [...whole.slice(0, 3), float(1, 2, 3)]],
  ["with half a number", { size: 2 }, [new Uint8Array(5), ...whole.slice(1)]],
  ["of another size", { size: 3 }, whole],
  ["of no size", { size: 0 }, [short(), short(), float(), float()]],
  ["of a size that is no number", { size: "2" }, whole],
  ["in another type", { size: 2, dtype: "float32" }, whole],
  ["that names no heads", { size: 2, heads: null }, whole],
  ["about another head", { size: 2, heads: [B] }, whole],
])("an answer %s is a failure that can be tried again", async (_, payload, buffers) => {
  attention.want([A], -1, 2);
  await answer({ heads: [A], ...payload }, buffers);
  expect(stateOf(A)).toMatchObject({ state: "failed" });
  attention.want([A], -1, 2);
  expect(host.sent).toHaveLength(1);
  attention.retry(A, -1);
  expect(host.sent).toHaveLength(2);
  expect(stateOf(A)).toEqual({ state: "loading" });
});

test("what comes for a study that is gone is dropped", async () => {
  attention.want([A], -1, 2);
  attention.clear();
  await answer({ heads: [A], size: 2 }, whole);
  expect(attention.patterns.value.size).toBe(0);
});

test("old heads are let go, wanted ones are kept", () => {
  for (let layer = 0; layer < 90; layer++) attention.want([{ layer, head: 0 }], -1, 2);
  attention.want([A], -1, 2);
  expect(attention.patterns.value.size).toBeLessThan(70);
  expect(stateOf({ layer: 0, head: 0 })).toBeUndefined();
  expect(stateOf({ layer: 89, head: 0 })).toBeDefined();
});

test("a KV head stands for its group of query heads", () => {
  const counts = { heads: 8, kvHeads: 2 };
  const selection = ["L2H1.k", "L2H5.q", "L0.resid_pre@3", "nonsense", "L1H0.z@4"];
  expect(pickedHeads(selection, counts)).toEqual([
    ...[4, 5, 6, 7].map((head) => ({ layer: 2, head })),
    { layer: 1, head: 0 },
  ]);
});
