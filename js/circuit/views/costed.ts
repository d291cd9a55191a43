/** A computation that says what it costs before it can be started. */

import { computed, signal as makeSignal } from "@preact/signals-core";
import { button, el, live, react } from "../../draw/dom";
import type { Asked } from "../../state/asked";
import type { Cost } from "../../state/costs";
import { isOpen as isUnfolded } from "../../views/foldable";
import { costKey, type Wanted } from "../costs";
import type { CircuitView } from "./view";

/**
 * A handle, behind which stand the cost and the button that starts it. Without names to
 * ask about it is hidden, or stands there in vain and says in its label what is missing.
 */
export function costed(
  view: CircuitView,
  label: () => string,
  wanted: () => Wanted,
  saysWhy = false,
): HTMLElement {
  const { store, costs, circuit, signal } = view;
  const isOpen = makeSignal(false);
  const asked = computed(wanted);
  const key = computed(() => costKey(asked.value));
  const cost = computed(() => costs.entries.value.get(key.value));
  const toggle = () => {
    isOpen.value = !isOpen.peek();
  };
  const handle = button("", toggle, signal, { "data-cost": asked.peek().what });
  live(signal, label, handle);
  const words = el("span", { class: "pw-quiet", "aria-live": "polite" });
  live(signal, () => costWords(cost.value, isUnder(view, asked.value)), words);
  const run = button("run", () => void start(view, asked.peek()), signal, {
    "data-run": asked.peek().what,
  });
  const line = el("span", "pw-cost", words, run);
  react(signal, () => {
    const isShown = isOpen.value && isUnfolded(store, "circuit");
    line.hidden = !isOpen.value;
    handle.setAttribute("aria-expanded", `${isOpen.value}`);
    if (!isShown) return;
    circuit.value; // read: what is known need not be run again
    key.value;
    if (store.job.value.state !== "running") costs.retry(asked.peek());
  });
  react(signal, () => {
    const isReady = cost.value?.state === "ready" && cost.value.answer.patches > 0;
    run.disabled = !isReady || isUnder(view, asked.value);
  });
  const whole = el("div", "pw-costed", handle, line);
  react(signal, () => {
    // Nobody is there to run it, or there is nothing to run.
    const isEmpty = asked.value.names.length === 0;
    whole.hidden = store.isSaved || (isEmpty && !saysWhy);
    handle.disabled = isEmpty;
  });
  return whole;
}

function isUnder({ tasks }: CircuitView, { what, names }: Wanted): boolean {
  const under = tasks.under.value;
  return what === "paths" ? names.some((name) => under.has(name)) : under.has(what);
}

function start({ tasks }: CircuitView, { what, names }: Wanted): Promise<void> {
  return what === "paths" ? tasks.run(names) : tasks.start(what);
}

function costWords(cost: Asked<Cost> | undefined, isRunning: boolean): string {
  if (isRunning) return "running: see the job's bar above";
  if (!cost || cost.state === "loading") return "asking what it costs …";
  if (cost.state === "failed") return `cannot be run: ${cost.message}`;
  return cost.answer.patches === 0 ? "all known" : cost.answer.words;
}
