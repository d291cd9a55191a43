/** What a node's miss is consistent with, as the kernel has answered. */

import type { Signal } from "@preact/signals-core";
import { button, el, react } from "../draw/dom";
import { unsigned } from "../draw/number";
import type { Cause, Diagnosis } from "../state/diagnoses";
import { tryAgain } from "./asking";
import { evidence } from "./columns";
import type { View } from "./view";

/** Shows the answer for the node that is asked about; hidden where none is. */
export function whyPanel(
  view: View,
  asked: Signal<string | null>,
  onClose: () => void,
): HTMLElement {
  const { store, signal } = view;
  const heading = el("span", "pw-why-title");
  const leave = () => {
    asked.value = null;
    onClose();
  };
  const close = button("×", leave, signal, {
    class: "pw-plain",
    "aria-label": "Close the reasons",
  });
  const retry = () => {
    const node = asked.peek();
    if (node !== null) store.diagnoses.retry(node);
  };
  const again = tryAgain(view, retry);
  const answer = el("div", { class: "pw-why-answer", "aria-live": "polite" });
  const panel = el("div", "pw-why-panel", heading, close, answer);
  react(signal, () => {
    const node = asked.value;
    panel.hidden = node === null;
    if (node === null) return;
    const miss = store.focus.value.find(({ name }) => name === node)?.miss ?? null;
    const size = miss === null ? "" : ` by ${unsigned(miss)}`;
    heading.textContent = `Why the estimate of ${node} is off${size}`;
    answer.replaceChildren(...content(store.diagnoses.entries.value.get(node), again));
  });
  return panel;
}

function content(diagnosis: Diagnosis | undefined, again: HTMLElement): HTMLElement[] {
  switch (diagnosis?.state) {
    case undefined:
      return [el("p", "pw-quiet", "Not asked since the estimates are others. "), again];
    case "loading":
      return [el("p", "pw-quiet", "Asking the kernel: it answers when it is free.")];
    case "failed":
      return [el("p", "pw-error", `No diagnosis: ${diagnosis.message}`), again];
    case "ready":
      return answers(diagnosis.answer.causes, diagnosis.answer.notLookedAt);
  }
}

function answers(
  causes: readonly Cause[],
  notLookedAt: ReadonlyMap<string, string>,
): HTMLElement[] {
  const found = causes.filter(({ consistent }) => consistent);
  const others = causes.filter(({ consistent }) => !consistent);
  const nothing =
    causes.length > 0
      ? "The numbers are consistent with none of the causes that were looked at."
      : "No cause could be looked at.";
  return [
    ...found.map(({ name, words }) => fold(`consistent with ${name}`, words, true)),
    ...(found.length === 0 ? [el("p", {}, nothing)] : []),
    ...others.map(({ name, words }) => fold(`no sign of ${name}`, words)),
    ...[...notLookedAt].map(([name, why]) => fold(`not looked at: ${name}`, why)),
  ];
}

function fold(title: string, words: string, isFound = false): HTMLElement {
  const found = evidence(title, el("div", {}, words));
  found.firstElementChild?.classList.toggle("pw-found", isFound);
  return found;
}
