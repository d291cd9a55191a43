/** All views of paths and circuits, linked with one another and with the rest. */

import { computed, signal as makeSignal } from "@preact/signals-core";
import { el, react } from "../../draw/dom";
import type { View } from "../../views/view";
import { createArrivals } from "../arrivals";
import { createCosts } from "../costs";
import { focused, subjectsOf } from "../focus";
import type { Kit } from "../kit";
import { circuitReader } from "../record";
import { createTasks } from "../tasks";
import { inputsView } from "./inputs";
import { interactionsView } from "./interactions";
import { repairView } from "./repair";
import { sketchView } from "./sketch";
import { storyView } from "./story";
import type { CircuitView } from "./view";

export function circuitViews(plain: View, kit: Kit): HTMLElement[] {
  const { store, signal } = plain;
  const read = circuitReader();
  const circuit = computed(() => read(store.circuit.value));
  const asked = makeSignal<string | null>(null);
  const subjects = computed(() => {
    const study = store.study.value;
    return study ? subjectsOf(store.selection.value, study) : [];
  });
  const view: CircuitView = {
    ...plain,
    kit,
    circuit,
    arrivals: createArrivals(store.channel),
    costs: createCosts(store.channel),
    tasks: createTasks(store.channel, store.job, signal),
    asked,
    subjects,
    focus: computed(() => {
      const study = store.study.value;
      return study && focused(asked.value, store.selection.value, study);
    }),
    over: makeSignal(null),
  };
  react(signal, () => {
    store.selection.value; // read: what is picked now is looked at
    asked.value = null;
  });
  forgetWithStudy(view);
  return [
    problems(view),
    inputsView(view),
    interactionsView(view),
    repairView(view),
    sketchView(view),
    storyView(view),
  ];
}

/** Estimates of another study or direction are void; so is what they would cost. */
function forgetWithStudy({ store, signal, arrivals, costs }: CircuitView): void {
  react(signal, () => {
    store.study.value;
    arrivals.clear();
    costs.clear();
  });
}

/** What the kernel refused, and what of its news could not be read. */
function problems({ circuit, tasks, signal }: CircuitView): HTMLElement {
  const said = el("div", { class: "pw-error", role: "alert" });
  react(signal, () => {
    const refusal = tasks.refusal.value;
    const all = [...(refusal ? [`Not started: ${refusal}`] : [])];
    said.textContent = [...all, ...circuit.value.problems].join("; ");
    said.hidden = said.textContent === "";
  });
  return said;
}
