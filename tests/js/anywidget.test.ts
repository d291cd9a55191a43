import type { AnyModel } from "@anywidget/types";
import { describe, expect, test, vi } from "vitest";
import { anywidgetHost } from "../../js/host/anywidget";

type Handler = (...args: unknown[]) => void;

/** A model as hosts make them; they differ in what a callback is passed. */
function fakeModel(style: "backbone" | "marimo") {
  const state: Record<string, unknown> = { pair: -1 };
  const handlers = new Map<string, Set<Handler>>();
  const log: unknown[] = [];
  const fire = (event: string, ...args: unknown[]) => {
    for (const handler of handlers.get(event) ?? []) handler(...args);
  };
  const model = {
    get: (key: string) => state[key],
    set(key: string, value: unknown) {
      state[key] = value;
      log.push(["set", key, value]);
      fire(`change:${key}`, ...(style === "backbone" ? [model, value] : [value]));
    },
    save_changes: () => log.push("save"),
    send: (content: unknown) => log.push(["send", content]),
    on(event: string, handler: Handler) {
      handlers.set(event, (handlers.get(event) ?? new Set()).add(handler));
    },
    off(event: string, handler?: Handler) {
      if (!handler) throw new Error("this would remove the listeners of others");
      handlers.get(event)?.delete(handler);
    },
  };
  const count = () => [...handlers.values()].reduce((sum, { size }) => sum + size, 0);
  // The members above are all that the adapter may use.
  return { model: model as unknown as AnyModel, fire, log, count };
}

describe.each(["backbone", "marimo"] as const)("in the manner of %s", (style) => {
  test("a change calls back with nothing, and the value is read anew", () => {
    const { model } = fakeModel(style);
    const host = anywidgetHost(model);
    const seen: unknown[][] = [];
    const life = new AbortController();
    host.onChange(
      "pair",
      (...args: unknown[]) => seen.push([...args, host.get("pair")]),
      life.signal,
    );
    host.set("pair", 3);
    expect(seen).toEqual([[3]]);
  });

  test("a set is saved", () => {
    const { model, log } = fakeModel(style);
    anywidgetHost(model).set("pair", 3);
    expect(log).toEqual([["set", "pair", 3], "save"]);
  });

  test("an abort takes every listener away", () => {
    const { model, count, fire } = fakeModel(style);
    const host = anywidgetHost(model);
    const life = new AbortController();
    const seen: unknown[] = [];
    host.onChange("pair", () => seen.push("change"), life.signal);
    host.onMessage((content) => seen.push(content), life.signal);
    expect(count()).toBe(2);
    life.abort();
    expect(count()).toBe(0);
    fire("msg:custom", "late");
    expect(seen).toEqual([]);
  });

  test("nothing is attached to a life that is over", () => {
    const { model, count } = fakeModel(style);
    const host = anywidgetHost(model);
    host.onChange("pair", () => {}, AbortSignal.abort());
    host.onMessage(() => {}, AbortSignal.abort());
    expect(count()).toBe(0);
  });
});

test("a kernel that is restarted is told by ipywidgets, until the life is over", () => {
  const { model, fire, count } = fakeModel("backbone");
  const life = new AbortController();
  const lost = vi.fn();
  anywidgetHost(model).onLost(lost, life.signal);
  expect(lost).not.toHaveBeenCalled();
  fire("comm_live_update");
  expect(lost).toHaveBeenCalledOnce();
  life.abort();
  expect(count()).toBe(0);
});

test("a view without a kernel behind it is told by its mark, now or later", async () => {
  const { model } = fakeModel("backbone");
  const host = anywidgetHost(model);
  const life = new AbortController();
  const lost = vi.fn();
  host.onLost(lost, life.signal);
  const [saved, live] = [document.createElement("div"), document.createElement("div")];
  live.className = "lm-Widget";
  host.watch(live, life.signal);
  expect(lost).not.toHaveBeenCalled();
  saved.className = "lm-Widget jupyter-widgets-disconnected";
  host.watch(saved, life.signal);
  expect(lost).toHaveBeenCalledTimes(1);
  live.classList.add("jupyter-widgets-disconnected");
  await vi.waitFor(() => expect(lost).toHaveBeenCalledTimes(2));
  life.abort();
  live.classList.add("more");
  await Promise.resolve();
  expect(lost).toHaveBeenCalledTimes(2);
});

test("messages come with their buffers, or with none", () => {
  const { model, fire } = fakeModel("marimo");
  const seen: unknown[] = [];
  const { signal } = new AbortController();
  anywidgetHost(model).onMessage((...args) => seen.push(args), signal);
  const buffer = new DataView(new ArrayBuffer(2));
  fire("msg:custom", "a", [buffer]);
  fire("msg:custom", "b");
  expect(seen).toEqual([
    ["a", [buffer]],
    ["b", []],
  ]);
});
