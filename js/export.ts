/**
 * What a saved page runs: it reads the widget's code and state from the page's own text,
 * and draws them.
 *
 * A bundle of its own, so that notebooks do not load it.
 */

import { exportedHost, type Saved } from "./host/exported";
import type { Host } from "./host/host";
import { imported } from "./host/imported";

interface Widget {
  mount(host: Host, parent: HTMLElement, signal: AbortSignal): void;
}

/** JSON with its bytes taken out: where they belong, and the bytes in base64. */
interface Packed {
  value: unknown;
  paths: (string | number)[][];
  buffers: string[];
}

const place = elementOf("pw-widget");
try {
  const widget = await imported<Widget>(read<string>("pw-bundle"));
  const saved = unpacked(read<Packed>("pw-saved"));
  const { signal } = new AbortController();
  widget.mount(exportedHost(saved), place, signal);
} catch (error) {
  place.textContent = `This page cannot be drawn here: ${error}`;
  throw error;
}

function elementOf(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has lost its ${id}`);
  return element;
}

function read<T>(id: string): T {
  return JSON.parse(elementOf(id).textContent ?? "");
}

function unpacked({ value, paths, buffers }: Packed): Saved {
  paths.forEach((path, index) => {
    // Written by the twin of this function, which left an object wherever a path leads.
    let at = value as Record<string | number, unknown>;
    for (const key of path.slice(0, -1)) at = at[key] as typeof at;
    at[path.at(-1) ?? ""] = bytesOf(buffers[index] ?? "");
  });
  return value as Saved;
}

function bytesOf(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
