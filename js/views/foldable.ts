/** A part of the page that can be folded away; which ones are is a trait. */

import { el, react, setAttributes } from "../draw/dom";
import type { Section } from "../state/settings";
import type { MakeView } from "./view";

/** The view's own title, or one that is put before it, gets the handle. */
export function foldable(name: Section, title: string, makeView: MakeView): MakeView {
  return (view) => {
    const { store, signal } = view;
    const section = makeView(view);
    const own = section.querySelector(":scope > .pw-section-title");
    const head = own ?? el("div", { class: "pw-section-title" }, title);
    if (!own) section.prepend(head);
    const handle = el("button", { type: "button", class: "pw-fold" });
    setAttributes(handle, { "aria-label": title, "data-section": name });
    handle.addEventListener("click", () => toggle(), { signal });
    head.prepend(handle);

    function toggle(): void {
      const folds = store.folds.peek();
      const others = folds.filter((other) => other !== name);
      store.set("folds", others.length < folds.length ? others : [...folds, name]);
    }

    react(signal, () => {
      const isFolded = store.folds.value.includes(name);
      section.classList.toggle("pw-folded", isFolded);
      handle.setAttribute("aria-expanded", `${!isFolded}`);
      handle.title = isFolded ? "show" : "fold away";
    });
    return section;
  };
}
