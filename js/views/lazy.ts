/** A part of the page that is closed until somebody wants to see it. */

import { signal as makeSignal, type Signal } from "@preact/signals-core";
import { el, react } from "../draw/dom";
import type { Section } from "../state/settings";
import type { View } from "./view";

export interface Lazy {
  section: HTMLElement;
  /** For the words of the heading. */
  title: HTMLElement;
  body: HTMLElement;
  isOpen: Signal<boolean>;
}

/** It goes with a section of the page: where that is folded away, this is too. */
export function lazy({ store, signal }: View, name: string, within: Section): Lazy {
  const isOpen = makeSignal(false);
  const title = el("span");
  const summary = el("summary", { class: "pw-section-title" }, title);
  const body = el("div", { class: "pw-lazy-body" });
  const details = el("details", { class: "pw-lazy" }, summary, body);
  const section = el("section", { class: name }, details);
  const onToggle = () => {
    isOpen.value = details.open;
  };
  details.addEventListener("toggle", onToggle, { signal });
  react(signal, () => {
    details.open = isOpen.value;
  });
  react(signal, () => {
    details.hidden = store.folds.value.includes(within);
  });
  return { section, title, body, isOpen };
}
