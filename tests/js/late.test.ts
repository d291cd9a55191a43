/** What hosts that draw an output late, or within a root of its own, ask of the widget. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type FixtureHost, fixtureHost } from "../../js/host/fixture";
import { createStore, type Store } from "../../js/state/store";
import { mountWidget } from "../../js/views/widget";
import { NO_JOB, TRAITS, verified } from "./page/data";
import { type Browser, standInBrowser } from "./support";

let browser: Browser;
let host: FixtureHost;
let life: AbortController;
let store: Store;

beforeEach(() => {
  browser = standInBrowser(0);
  host = fixtureHost({ ...TRAITS, selection: [], verified: {} });
  life = new AbortController();
  store = createStore(host, life.signal);
});

afterEach(() => {
  life.abort();
  expect(browser.alive()).toBe(0);
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

test("a view that is made late, and out of the page, shows what came before", () => {
  host.receive("selection", ["L4H0.z"]);
  host.receive("verified", { "L4H0.z": verified(0.318, 0.271, 0.8) });
  host.receive("job", { ...NO_JOB, id: 5, state: "running", total: 10 });
  host.deliver({ kind: "job.progress", id: 5, done: 4, total: 10 });
  const place = document.createElement("div");
  mountWidget(store, place, life.signal);
  expect(place.querySelector(".pw-job")?.textContent).toContain("4/10");
  const exact = place.querySelector<HTMLElement>(".pw-pick .pw-exact");
  expect(exact?.dataset.value).toBe("0.271");
  const canvas = place.querySelector<HTMLElement>('canvas[data-kind="z"]');
  expect(canvas?.dataset.drawn).toBeUndefined();
  document.body.append(place);
  browser.resize(900);
  expect(canvas?.dataset.drawn).toBe("estimate");
});

test("what was told before anybody listened is in the traits, and needs no message", () => {
  const job = { ...NO_JOB, id: 7, state: "running", done: 3, total: 12 };
  const late = new AbortController();
  const other = createStore(fixtureHost({ ...TRAITS, job }), late.signal);
  expect(other.job.value).toMatchObject({ state: "running", done: 3, total: 12 });
  expect(other.grids.value.size).toBeGreaterThan(0);
  late.abort();
});

test("in a shadow root, of which the document sees nothing, keys and picks work", () => {
  const shadow = document.body
    .appendChild(document.createElement("div"))
    .attachShadow({ mode: "open" });
  const place = shadow.appendChild(document.createElement("div"));
  mountWidget(store, place, life.signal);
  browser.resize(900);
  expect(document.querySelector(".pw-root"), "nothing to be found there").toBeNull();
  const canvas = shadow.querySelector<HTMLElement>('canvas[data-kind="q"]');
  canvas?.focus();
  expect(document.activeElement).toBe(shadow.host);
  for (const key of ["ArrowDown", "ArrowRight", "Enter"]) {
    canvas?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  }
  expect(store.selection.value).toEqual(["L1H1.q"]);
  expect(shadow.querySelector(".pw-pick")).not.toBeNull();
});
