/** Is the set of picks the whole story? The three criteria in figures. */

import { computed, type ReadonlySignal } from "@preact/signals-core";
import { el, live, react } from "../../draw/dom";
import { signed, unsigned } from "../../draw/number";
import type { Judged } from "../record";
import { about, picksCosted } from "./of_picks";
import type { CircuitView } from "./view";

export function storyView(view: CircuitView): HTMLElement {
  const { circuit, signal } = view;
  const found = computed(() => circuit.value.story);
  return el(
    "section",
    { class: "pw-story", "aria-label": "The whole story" },
    el("div", "pw-circuit-title", "Is it the whole story?"),
    live(signal, () => hintOf(view), el("div", "pw-quiet")),
    picksCosted(view, "story", "judge the circuit"),
    figuresOf(view, found, "picks"),
    wordsOf(view, found),
  );
}

type Found = ReadonlySignal<Judged | null>;

/** What the kernel says of it. */
export function wordsOf({ signal }: CircuitView, found: Found): HTMLElement {
  const line = el("div", "pw-quiet pw-in-lines");
  return live(signal, () => found.value?.words ?? "", line);
}

/** `whose`: what the circuit consists of. */
export function figuresOf(
  { signal }: CircuitView,
  found: Found,
  whose: string,
): HTMLElement {
  const figures = el("dl", "pw-story-figures");
  react(signal, () => {
    figures.hidden = found.value === null;
    figures.replaceChildren(...(found.value ? facts(found.value, whose) : []));
  });
  return figures;
}

const EMPTY =
  "How much of the effect the picks keep alone, how much each is needed, and what the " +
  "rest does without them.";

function hintOf(view: CircuitView): string {
  const found = view.circuit.value.story;
  if (!found) return view.store.isSaved ? `${EMPTY} It was not computed.` : EMPTY;
  return about(view, found.nodes);
}

function facts(
  { faithfulness, complement, incompleteness, minimality }: Judged,
  whose: string,
): HTMLElement[] {
  const least = [...minimality].sort(([, a], [, b]) => a - b);
  return [
    ...fact(
      "faithfulness",
      unsigned(faithfulness),
      `the ${whose} alone keep this share`,
    ),
    ...fact("complement", unsigned(complement), "the rest alone keeps this share"),
    ...fact(
      "incompleteness",
      unsigned(incompleteness),
      `the largest difference between circuit and model when a part of the ${whose} is taken away`,
    ),
    ...fact(
      "minimality",
      least.map(([name, drop]) => `${name} ${signed(drop)}`).join(", "),
      "how much faithfulness drops without each, the least needed first",
    ),
  ];
}

function fact(name: string, value: string, meaning: string): HTMLElement[] {
  const words = el("span", "pw-quiet", ` ${meaning}`);
  return [el("dt", {}, name), el("dd", { "data-figure": name }, value, words)];
}
