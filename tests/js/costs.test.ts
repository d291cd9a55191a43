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
  costs = createCosts(channel, life.signal);
});

function answer(index: number, reply: object): Promise<void> {
  host.deliver({ kind: "reply", id: host.sent[index]?.id, error: null, ...reply });
  return settle();
}

function now() {
  return costs.known.value.get(costKey(TOP));
}

test("asks with what is wanted, and keeps the answer", async () => {
  costs.ask(TOP);
  expect(host.sent[0]).toMatchObject({ ...TOP, kind: "cost.get" });
  expect(now()).toEqual({ state: "loading" });
  await answer(0, { ok: true, payload: { patches: 3, words: "3 patches" } });
  expect(now()).toEqual({ state: "ready", patches: 3, words: "3 patches" });
});

test("a newer question makes the older answer void", async () => {
  costs.ask(TOP);
  costs.ask(TOP);
  await answer(0, { ok: true, payload: { patches: 9, words: "old" } });
  expect(now()).toEqual({ state: "loading" });
  await answer(1, { ok: true, payload: { patches: 1, words: "new" } });
  expect(now()).toMatchObject({ patches: 1 });
});

test("a refusal and a malformed answer are failures", async () => {
  costs.ask(TOP);
  await answer(0, { ok: false, error: { type: "ValueError", message: "no kind" } });
  expect(now()).toEqual({ state: "failed", message: "no kind" });
  costs.ask(TOP);
  await answer(1, { ok: true, payload: { patches: "many" } });
  expect(now()).toMatchObject({ state: "failed" });
});

test("different questions have answers of their own", async () => {
  costs.ask(TOP);
  costs.ask({ ...TOP, top: 20 });
  await answer(1, { ok: true, payload: { patches: 20, words: "20" } });
  expect(now()).toEqual({ state: "loading" });
});
