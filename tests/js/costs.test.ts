// @vitest-environment node
import { beforeEach, expect, test, vi } from "vitest";
import { type FixtureHost, fixtureHost } from "../../js/host/fixture";
import { openChannel } from "../../js/host/messages";
import { type Costs, costKey, createCosts, type Wanted } from "../../js/state/costs";
import { settle } from "./support";

const TOP: Wanted = { what: "top", of: "q", top: 10 };

let host: FixtureHost;
let life: AbortController;
let costs: Costs;

beforeEach(() => {
  host = fixtureHost({});
  life = new AbortController();
  const channel = openChannel(host, vi.fn(), vi.fn(), life.signal);
  costs = createCosts(channel);
});

function answer(index: number, reply: object): Promise<void> {
  host.deliver({ kind: "reply", id: host.sent[index]?.id, error: null, ...reply });
  return settle();
}

function now() {
  return costs.entries.value.get(costKey(TOP));
}

test("asks with what is wanted, and keeps the answer", async () => {
  costs.retry(TOP);
  expect(host.sent[0]).toMatchObject({ ...TOP, kind: "cost.get" });
  expect(now()).toEqual({ state: "loading" });
  await answer(0, { ok: true, payload: { patches: 3, words: "3 patches" } });
  expect(now()).toEqual({
    state: "ready",
    answer: { patches: 3, words: "3 patches" },
  });
});

test("a newer question makes the older answer void", async () => {
  costs.retry(TOP);
  costs.retry(TOP);
  await answer(0, { ok: true, payload: { patches: 9, words: "old" } });
  expect(now()).toEqual({ state: "loading" });
  await answer(1, { ok: true, payload: { patches: 1, words: "new" } });
  expect(now()).toMatchObject({ answer: { patches: 1 } });
});

test("a refusal and a malformed answer are failures", async () => {
  costs.retry(TOP);
  await answer(0, { ok: false, error: { type: "ValueError", message: "no kind" } });
  expect(now()).toEqual({ state: "failed", message: "no kind" });
  costs.retry(TOP);
  await answer(1, { ok: true, payload: { patches: "many" } });
  expect(now()).toMatchObject({ state: "failed" });
});

test("different questions have answers of their own", async () => {
  costs.retry(TOP);
  costs.retry({ ...TOP, top: 20 });
  await answer(1, { ok: true, payload: { patches: 20, words: "20" } });
  expect(now()).toEqual({ state: "loading" });
});
