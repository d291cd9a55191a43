/** Starting exact patches of many nodes, with what each choice would cost. */

import {
  computed,
  signal as makeSignal,
  type ReadonlySignal,
} from "@preact/signals-core";
import { button, el, live, react } from "../draw/dom";
import type { Asked } from "../state/asked";
import { type Cost, costKey, type Wanted } from "../state/costs";
import type { Kind } from "../state/node";
import { MEAN_SIZE } from "../state/results";
import type { MakeView, View } from "./view";
import { counted, KIND_TITLES } from "./words";

const FIRST_TOP = 10;

export const verifyView: MakeView = (view) => {
  const { store, signal } = view;
  const isOpen = makeSignal(false);
  const top = makeSignal(FIRST_TOP);
  const handle = button(
    "verify …",
    () => {
      isOpen.value = !isOpen.value;
    },
    signal,
  );
  const choices = el("div", "pw-choices");
  choices.append(
    choice(view, live(signal, picksWords), isOpen, () => wanted("picked")),
    choice(view, topLabel(view, top), isOpen, () => wanted("top", top.value)),
    choice(view, live(signal, allWords), isOpen, () => wanted("all")),
    choice(view, live(signal, boundWords), isOpen, () => wanted("bound")),
  );
  const section = el("section", "pw-verify", handle, choices);
  section.setAttribute("aria-label", "Verify by exact patches");
  react(signal, () => {
    section.hidden = store.study.value === null || store.isSaved;
    choices.hidden = !isOpen.value;
    handle.setAttribute("aria-expanded", `${isOpen.value}`);
  });
  return section;

  function picksWords(): string {
    return `the picks (${counted(store.selection.value.length, "node")})`;
  }

  function allWords(): string {
    const { value: kind } = store.kind;
    return kind === "" ? "every cell" : `all of ${kindWords(kind)}`;
  }

  function boundWords(): string {
    return `a bound on what is not verified of ${kindWords(store.kind.value)}`;
  }

  function wanted(what: Wanted["what"], count: number | null = null): Wanted {
    return { what, of: store.kind.value, top: count };
  }
};

/** A line of its own: what, what it costs, and the button that starts it. */
function choice(
  view: View,
  label: HTMLElement,
  isOpen: ReadonlySignal<boolean>,
  wanted: () => Wanted,
): HTMLElement {
  const { store, signal } = view;
  const asked = computed(wanted);
  const cost = computed(() => store.costs.entries.value.get(costKey(asked.value)));
  const words = el("span", { class: "pw-quiet", "aria-live": "polite" });
  const run = button("run", () => void store.verify(asked.peek()), signal);
  react(signal, () => {
    if (!isOpen.value) return;
    // Read: each of these changes what there is still to run.
    store.verified.value;
    store.method.value;
    store.direction.value;
    if (asked.value.what === "picked") store.selection.value;
    if (store.job.value.state !== "running") store.costs.retry(asked.value);
  });
  live(signal, () => costWords(cost.value), words);
  react(signal, () => {
    run.disabled = cost.value?.state !== "ready" || cost.value.answer.patches === 0;
  });
  const name = asked.peek().what;
  return el("div", { class: "pw-choice", "data-what": name }, label, words, run);
}

function costWords(cost: Asked<Cost> | undefined): string {
  if (!cost || cost.state === "loading") return "asking what it costs …";
  if (cost.state === "failed") return `cannot be run: ${cost.message}`;
  return cost.answer.patches === 0 ? "all known" : cost.answer.words;
}

function topLabel({ store, signal }: View, top: { value: number }): HTMLElement {
  const input = el("input", { type: "number", min: 1, class: "pw-input pw-count" });
  input.value = `${top.value}`;
  input.setAttribute("aria-label", "How many of the largest estimates");
  input.addEventListener(
    "change",
    () => {
      const count = Math.round(Number(input.value));
      top.value = Number.isFinite(count) && count >= 1 ? count : FIRST_TOP;
      input.value = `${top.value}`;
    },
    { signal },
  );
  const rest = () => {
    const isMany = (store.study.value?.pairs.length ?? 0) > 1;
    const rank = isMany ? `, by ${MEAN_SIZE}` : "";
    return ` largest estimates of ${kindWords(store.kind.value)}${rank}`;
  };
  return el("label", {}, "the ", input, live(signal, rest));
}

function kindWords(kind: Kind | ""): string {
  return kind === "" ? "all grids" : KIND_TITLES[kind].toLowerCase();
}
