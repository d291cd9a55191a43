// @vitest-environment node
import { afterEach, beforeEach, expect, test } from "vitest";
import { type FixtureHost, fixtureHost } from "../../js/host/fixture";
import { openChannel } from "../../js/host/messages";
import {
  type AttentionStore,
  attentionKey,
  createAttention,
  type HeadRef,
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

async function answer(heads: HeadRef[], shape: number[], buffers: Float32Array[]) {
  const id = host.sent.at(-1)?.id;
  const payload = { heads, shape, pair: -1 };
  host.deliver({ kind: "reply", id, ok: true, error: null, payload }, buffers);
  await settle();
}

test("heads are asked for once, by name, and are ready when the answer is here", async () => {
  attention.want([A, B], -1);
  attention.want([A, B], -1);
  expect(host.sent).toMatchObject([
    { kind: "attention.get", nodes: ["L1H2.pattern", "L3H0.pattern"], pair: -1 },
  ]);
  expect(stateOf(A)).toEqual({ state: "loading" });
  // In another order than they were asked for: the answer says which is which.
  const clean = Float32Array.from([1, 2, 3, 4, 5, 6, 7, 8]);
  await answer([B, A], [2, 2, 2], [clean, clean.map((value) => -value)]);
  const ready = stateOf(A);
  if (ready?.state !== "ready") throw new Error("not ready");
  expect([...ready.clean]).toEqual([5, 6, 7, 8]);
  expect([...ready.corrupted]).toEqual([-5, -6, -7, -8]);
});

test("another pair is another question", () => {
  attention.want([A], -1);
  attention.want([A], 3);
  expect(host.sent.map(({ pair }) => pair)).toEqual([-1, 3]);
});

test.each([
  ["not square", [A], [1, 2, 3], [new Float32Array(6), new Float32Array(6)]],
  ["too short", [A], [1, 2, 2], [new Float32Array(4), new Float32Array(3)]],
  ["without the second run", [A], [1, 2, 2], [new Float32Array(4)]],
  ["about another head", [B], [1, 1, 1], [new Float32Array(1), new Float32Array(1)]],
])("an answer that is %s is a failure that can be tried again", async (_, ...parts) => {
  attention.want([A], -1);
  await answer(...parts);
  expect(stateOf(A)).toMatchObject({ state: "failed" });
  attention.want([A], -1);
  expect(host.sent).toHaveLength(1);
  attention.retry(A, -1);
  expect(host.sent).toHaveLength(2);
  expect(stateOf(A)).toEqual({ state: "loading" });
});

test("what comes for a study that is gone is dropped", async () => {
  attention.want([A], -1);
  attention.clear();
  await answer([A], [1, 1, 1], [new Float32Array(1), new Float32Array(1)]);
  expect(attention.patterns.value.size).toBe(0);
});

test("old heads are let go, wanted ones are kept", () => {
  for (let layer = 0; layer < 90; layer++) attention.want([{ layer, head: 0 }], -1);
  attention.want([A], -1);
  expect(attention.patterns.value.size).toBeLessThan(70);
  expect(stateOf({ layer: 0, head: 0 })).toBeUndefined();
  expect(stateOf({ layer: 89, head: 0 })).toBeDefined();
});
