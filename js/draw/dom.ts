/** Small helpers for elements whose life ends with an AbortSignal. */

import { effect, untracked } from "@preact/signals-core";
import { childLife, onAbort } from "../host/life";

type Attributes = Record<string, string | number | boolean>;

/**
 * An element with attributes, or with nothing but a class. Text is only ever set as text:
 * tokens may hold markup.
 */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes | string = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  const isClass = typeof attributes === "string";
  setAttributes(element, isClass ? { class: attributes } : attributes);
  element.append(...children);
  return element;
}

export function svgEl<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

export function button(
  label: string,
  onClick: (event: MouseEvent) => void,
  signal: AbortSignal,
  { class: name = "", ...attributes }: Attributes = {},
): HTMLButtonElement {
  const common = { type: "button", class: `pw-button ${name}`.trim() };
  const element = el("button", { ...common, ...attributes }, label);
  listen(element, { click: onClick }, signal);
  return element;
}

/** Beside what matters more. */
export function quiet(text: string): HTMLElement {
  return el("span", "pw-quiet", text);
}

type Listeners = {
  [K in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[K]) => void;
};

/** Listeners by event, until the signal aborts. */
export function listen(
  target: EventTarget,
  listeners: Listeners,
  signal: AbortSignal,
  options: AddEventListenerOptions = {},
): void {
  for (const [event, listener] of Object.entries(listeners)) {
    // Each fits its event by the type above, which `entries` cannot follow.
    target.addEventListener(event, listener as EventListener, { ...options, signal });
  }
}

/** Keys with a modifier are the browser's and the notebook's. */
export function isPlain(event: KeyboardEvent): boolean {
  return !event.ctrlKey && !event.metaKey && !event.altKey;
}

/** `false` takes an attribute away; `true` sets it empty. */
export function setAttributes(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false) element.removeAttribute(name);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
}

/** Runs now, and again whenever a signal it read has changed, until the abort. */
export function react(signal: AbortSignal, run: () => void): void {
  if (signal.aborted) return;
  const stop = effect(run);
  onAbort(signal, stop);
}

/** An element whose text follows signals. */
export function live(
  signal: AbortSignal,
  text: () => string,
  element: HTMLElement = el("span"),
): HTMLElement {
  react(signal, () => {
    element.textContent = text();
  });
  return element;
}

/** Brings children in line with keys: known ones stay as they are, with their focus. */
export function keyed<K extends string>(
  parent: Element,
  create: (key: K, signal: AbortSignal) => Element,
  signal: AbortSignal,
): (keys: readonly K[]) => void {
  const children = new Map<K, { element: Element; life: AbortController }>();
  return (keys) => {
    for (const [key, { element, life }] of children) {
      if (keys.includes(key)) continue;
      life.abort();
      element.remove();
      children.delete(key);
    }
    keys.forEach((key, index) => {
      let child = children.get(key);
      if (!child) {
        const life = childLife(signal);
        // What a child reads while it is made is no concern of the caller's effect.
        const element = untracked(() => create(key, life.signal));
        child = { element, life };
        children.set(key, child);
      }
      const there = parent.children[index] ?? null;
      if (there !== child.element) parent.insertBefore(child.element, there);
    });
  };
}
