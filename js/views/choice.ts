/** Choices: a select, a row of buttons of which one is pressed, a button with two states. */

import type { Signal } from "@preact/signals-core";
import { button, el, listen, react } from "../draw/dom";

type Option = readonly [value: string, label: string, title?: string];

export function select(
  label: string,
  choose: (value: string) => void,
  signal: AbortSignal,
): HTMLSelectElement {
  const element = el("select", { class: "pw-input", "aria-label": label });
  listen(element, { change: () => choose(element.value) }, signal);
  return element;
}

export function setOptions(
  element: HTMLSelectElement,
  options: readonly Option[],
  chosen: string,
): void {
  element.replaceChildren(
    ...options.map(([value, text, title = ""]) =>
      el("option", { value, title: title || false }, text),
    ),
  );
  element.value = chosen;
}

/** `name` says what is chosen, in the attribute `data-{name}` of each button. */
export function segments<T extends string>(
  { label, name }: { label: string; name: string },
  options: readonly (readonly [value: T, label: string, title?: string])[],
  now: () => T | undefined,
  choose: (value: T) => void,
  signal: AbortSignal,
): HTMLElement {
  const buttons = options.map(([value, text, title = ""]) => {
    const element = button(text, () => choose(value), signal, {
      class: "pw-shown",
      title: title || false,
      [`data-${name}`]: value,
    });
    pressed(element, () => now() === value, signal);
    return element;
  });
  return el(
    "div",
    { class: "pw-switch", role: "group", "aria-label": label },
    ...buttons,
  );
}

export function toggle(
  label: string,
  title: string,
  state: Signal<boolean>,
  signal: AbortSignal,
): HTMLButtonElement {
  const flip = () => {
    state.value = !state.peek();
  };
  const attributes = { class: "pw-shown pw-toggle", title };
  const element = button(label, flip, signal, attributes);
  pressed(element, () => state.value, signal);
  return element;
}

export function pressed(
  element: HTMLElement,
  isPressed: () => boolean,
  signal: AbortSignal,
): void {
  react(signal, () => element.setAttribute("aria-pressed", `${isPressed()}`));
}
