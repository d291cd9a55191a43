// @vitest-environment node
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type FixtureHost, fixtureHost } from "../../js/host/fixture";
import { pick, pickMany } from "../../js/state/selection";
import { createStore, type Store } from "../../js/state/store";
import { grid, NO_JOB, STUDY, TRAITS } from "./page/data";
import { settle } from "./support";

let host: FixtureHost;
let life: AbortController;
let store: Store;
let warnings: ReturnType<typeof vi.spyOn>;

beforeEach(() => {
  warnings = vi.spyOn(console, "warn").mockImplementation(() => {});
  host = fixtureHost(TRAITS);
  life = new AbortController();
  store = createStore(host, life.signal);
});

afterEach(() => {
  life.abort();
  expect(host.listenerCount()).toBe(0);
});

test("picking: only, and toggled", () => {
  expect(pick(["a", "b"], "c", "only")).toEqual(["c"]);
  expect(pick(["a", "b"], "c", "toggle")).toEqual(["a", "b", "c"]);
  expect(pick(["a", "b"], "a", "toggle")).toEqual(["b"]);
});

test("picking many: instead of the others, or added to them, each once", () => {
  expect(pickMany(["a", "b"], ["c", "d"], "only")).toEqual(["c", "d"]);
  expect(pickMany(["a", "b"], ["b", "c"], "toggle")).toEqual(["a", "b", "c"]);
});

describe("the selection", () => {
  test("is written once, and not again when it is the same", () => {
    store.set("selection", ["L0H1.z"]);
    store.set("selection", ["L0H1.z"]);
    expect(host.written).toEqual([["selection", ["L0H1.z"]]]);
  });

  test("is not written when it equals what Python has set", () => {
    host.receive("selection", ["L2H2.q"]);
    expect(store.selection.value).toEqual(["L2H2.q"]);
    store.set("selection", ["L2H2.q"]);
    expect(host.written).toEqual([]);
  });

  test("is written as a list of its own", () => {
    const names = ["L0H1.z"];
    store.set("selection", names);
    names.push("L0H2.z");
    expect(host.get("selection")).toEqual(["L0H1.z"]);
  });

  test("that is no list is shown as a problem, and empty", () => {
    host.receive("selection", "L0H1.z");
    expect(store.selection.value).toEqual([]);
    expect(store.trouble.value.get("selection")).toMatch(/expected a list/);
    host.receive("selection", []);
    expect(store.trouble.value.size).toBe(0);
  });
});

test("shown and pair are written on change only, and follow Python", () => {
  store.set("shown", "estimate");
  store.set("shown", "miss");
  store.set("pair", -1);
  store.set("pair", 2);
  expect(host.written).toEqual([
    ["shown", "miss"],
    ["pair", 2],
  ]);
  host.receive("shown", "exact");
  expect(store.figure.value.shown).toBe("exact");
});

test("a pair that does not exist is shown as the mean", () => {
  host.receive("pair", 7);
  expect(store.pair.value).toBe(7);
  host.receive("pair", 8);
  expect(store.pair.value).toBe(-1);
});

describe("a trait that cannot be read", () => {
  test("is named where the picture is, and said once", () => {
    host.receive("study", { ...STUDY, n_heads: "8" });
    host.receive("study", { ...STUDY, n_heads: "8" });
    expect(store.study.value).toBeNull();
    expect(store.trouble.value.get("study")).toMatch(
      /n_heads: expected a whole number/,
    );
    expect(warnings).toHaveBeenCalledTimes(1);
  });

  test("does not hide its sound entries", () => {
    const sound = grid("q", ["layer", "head"], [2, 3], () => 1);
    host.receive("grids", { ...sound, "atp/z": { kind: "z" } });
    expect([...store.grids.value.keys()]).toEqual(["q"]);
    expect(store.trouble.value.get("grids")).toMatch(/^grids\.atp\/z/);
  });
});

describe("the job", () => {
  const running = { ...NO_JOB, id: 5, state: "running", done: 2, total: 10 };

  test("takes progress that is its own, and never goes back", () => {
    host.receive("job", running);
    host.deliver({ kind: "job.progress", id: 5, done: 4, total: 10 });
    expect(store.job.value.done).toBe(4);
    host.receive("job", { ...running, done: 6 });
    expect(store.job.value.done).toBe(6);
    host.deliver({ kind: "job.progress", id: 4, done: 9, total: 10 });
    expect(store.job.value.done).toBe(6);
  });

  test("that has ended does not run again by a late message", () => {
    host.receive("job", { ...running, state: "done", done: 10 });
    host.deliver({ kind: "job.progress", id: 5, done: 7, total: 10 });
    expect(store.job.value).toMatchObject({ state: "done", done: 10 });
  });

  test("is cancelled by a message; a refusal is told", async () => {
    const cancelled = store.cancelJob();
    const [{ kind, id } = {}] = host.sent;
    expect(kind).toBe("job.cancel");
    const error = { type: "RuntimeError", message: "nothing runs" };
    host.deliver({ kind: "reply", id, ok: false, error, payload: null });
    await cancelled;
    expect(store.jobFailure.value).toBe("nothing runs");
  });
});

test("a new study takes the old attention with it", async () => {
  store.attention.want([{ layer: 0, head: 0 }], -1, 15);
  expect(store.attention.patterns.value.size).toBe(1);
  host.receive("study", { ...STUDY, model: "another" });
  await settle();
  expect(store.attention.patterns.value.size).toBe(0);
});

test("rows and neurons of a method that is no longer shown are forgotten", async () => {
  store.rows.want({ node: "L4H0.q", method: "atp" });
  store.neurons.want({ layer: null, top: 5, method: "atp" });
  expect(store.rows.entries.value.size + store.neurons.entries.value.size).toBe(2);
  host.receive("grids", {});
  expect(store.rows.entries.value.size + store.neurons.entries.value.size).toBe(0);
  await settle();
});
