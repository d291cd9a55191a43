/** A whole widget on a page, opened by a test and taken away after it. */

import { afterEach, beforeEach, vi } from "vitest";
import { type FixtureHost, fixtureHost } from "../../js/host/fixture";
import type { Host } from "../../js/host/host";
import { createStore, type Store } from "../../js/state/store";
import { mountWidget } from "../../js/views/widget";
import { TRAITS } from "./page/data";
import { type Browser, standInBrowser } from "./support";

// The newest: each `open` sets them anew.
export let browser: Browser;
export let host: FixtureHost;
export let life: AbortController;
export let store: Store;
export let place: HTMLElement;

/** `mount` puts something else than the whole widget into the place. */
export function open(traits: object = TRAITS, width = 1000, mount = mountWidget): void {
  host = fixtureHost({ ...traits });
  openOn(host, width, mount);
}

/** The same on a host of another kind. */
export function openOn(on: Host, width = 1000, mount = mountWidget): void {
  browser = standInBrowser(width);
  life = new AbortController();
  store = createStore(on, life.signal);
  place = document.body.appendChild(document.createElement("div"));
  mount(store, place, life.signal);
}

export function find<E extends Element>(
  selector: string,
  kind: new () => E,
  within: Element = place,
): E {
  const found = within.querySelector(selector);
  if (!(found instanceof kind)) throw new Error(`no ${selector}`);
  return found;
}

/** An event's place at the centre of a cell, as the browser tests compute it. */
export function at(
  canvas: HTMLCanvasElement,
  row: number,
  column: number,
  init: object = {},
) {
  const { rows, cols } = canvas.dataset;
  const { width, height } = canvas.style;
  return {
    clientX: ((column + 0.5) / Number(cols)) * Number.parseFloat(width),
    clientY: ((row + 0.5) / Number(rows)) * Number.parseFloat(height),
    bubbles: true,
    cancelable: true,
    ...init,
  };
}

beforeEach(() => {
  vi.spyOn(console, "warn").mockImplementation(() => {});
});

afterEach(() => {
  life?.abort();
  document.body.replaceChildren();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});
