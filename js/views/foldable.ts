/** A part of the page that can be folded away; which ones are is a trait. */

import { el, listen, react } from "../draw/dom";
import type { Section } from "../state/settings";
import type { Store } from "../state/store";
import type { MakeView } from "./view";

export function isOpen(store: Store, name: Section): boolean {
  return !store.folds.value.includes(name);
}

export function fold(store: Store, name: Section, isFolded: boolean): void {
  const others = store.folds.peek().filter((other) => other !== name);
  store.set("folds", isFolded ? [...others, name] : others);
}

/** The view's own title, or one that is put before it, gets the handle. */
export function foldable(name: Section, title: string, makeView: MakeView): MakeView {
  return (view) => {
    const { store, signal } = view;
    const section = makeView(view);
    const own = section.querySelector(":scope > .pw-section-title");
    const head = own ?? el("div", "pw-section-title", title);
    if (!own) section.prepend(head);
    const handle = el("button", {
      type: "button",
      class: "pw-fold",
      "aria-label": title,
      "data-section": name,
    });
    const toggle = () => fold(store, name, !store.folds.peek().includes(name));
    listen(handle, { click: toggle }, signal);
    head.prepend(handle);
    react(signal, () => {
      const isFolded = !isOpen(store, name);
      section.classList.toggle("pw-folded", isFolded);
      handle.setAttribute("aria-expanded", `${!isFolded}`);
      handle.title = isFolded ? "show" : "fold away";
    });
    return section;
  };
}
