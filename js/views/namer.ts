/** The small field in which a head gets its name. */

import { button, el, listen, react } from "../draw/dom";
import { headName } from "../state/attention";
import { MAX_NAME_LETTERS, nameOf, withName } from "../state/names";
import type { Naming } from "../state/ui";
import type { View } from "./view";

/** Opens where it was asked for, within `section`. */
export function createNamer(view: View, section: HTMLElement): HTMLElement {
  const { store, ui, signal } = view;
  const label = el("span");
  const field = el("input", {
    type: "text",
    class: "pw-input pw-name-field",
    maxlength: MAX_NAME_LETTERS,
    placeholder: "such as: name mover",
  });
  const close = () => {
    const from = ui.naming.peek()?.from;
    ui.naming.value = null;
    from?.focus({ preventScroll: true });
  };
  const save = (event: Event) => {
    event.preventDefault(); // a form would load a page
    const naming = ui.naming.peek();
    if (!naming) return;
    store.set("names", withName(store.names.peek(), naming.head, field.value));
    close();
  };
  const form = el(
    "form",
    "pw-namer",
    el("label", "pw-namer-label", label, field),
    button("save", () => form.requestSubmit(), signal),
    button("cancel", close, signal),
  );
  listen(form, { submit: save }, signal);
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    close();
  };
  listen(form, { keydown: onKey }, signal);
  react(signal, () => {
    const naming = ui.naming.value;
    form.hidden = naming === null;
    if (!naming) return;
    const { layer, head } = naming.head;
    label.textContent = `Name of ${headName(naming.head)} `;
    field.value = nameOf(store.names.peek(), layer, head);
    moveTo(form, naming, section);
    field.focus({ preventScroll: true });
    field.select();
  });
  return form;
}

function moveTo(form: HTMLElement, { left, top }: Naming, section: HTMLElement): void {
  const around = section.getBoundingClientRect();
  const most = Math.max(0, around.width - form.offsetWidth);
  form.style.left = `${Math.max(0, Math.min(left - around.left, most))}px`;
  form.style.top = `${top - around.top + 4}px`;
}
