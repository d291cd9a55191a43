/** Is the set of picks the whole story? The three criteria in figures. */

import { el, live, react } from "../../draw/dom";
import { signed, unsigned } from "../../draw/number";
import type { Story } from "../record";
import { about, picksCosted } from "./of_picks";
import type { CircuitView } from "./view";

export function storyView(view: CircuitView): HTMLElement {
  const { circuit, signal } = view;
  const hint = el("div", "pw-quiet");
  live(signal, () => hintOf(view), hint);
  const words = live(
    signal,
    () => circuit.value.story?.words ?? "",
    el("div", "pw-quiet pw-in-lines"),
  );
  const figures = el("dl", "pw-story-figures");
  react(signal, () => {
    const found = circuit.value.story;
    figures.hidden = found === null;
    figures.replaceChildren(...(found ? facts(found) : []));
  });
  return el(
    "section",
    { class: "pw-story", "aria-label": "The whole story" },
    el("div", "pw-circuit-title", "Is it the whole story?"),
    hint,
    picksCosted(view, "story", "judge the circuit"),
    figures,
    words,
  );
}

const EMPTY =
  "How much of the effect the picks keep alone, how much each is needed, and what the " +
  "rest does without them.";

function hintOf(view: CircuitView): string {
  const found = view.circuit.value.story;
  if (!found) return view.store.isSaved ? `${EMPTY} It was not computed.` : EMPTY;
  return about(view, found.nodes);
}

function facts({ faithfulness, complement, incompleteness, minimality }: Story) {
  const least = [...minimality].sort(([, a], [, b]) => a - b);
  return [
    ...fact("faithfulness", unsigned(faithfulness), "the picks alone keep this share"),
    ...fact("complement", unsigned(complement), "the rest alone keeps this share"),
    ...fact(
      "incompleteness",
      unsigned(incompleteness),
      "the largest difference between circuit and model when a part of the picks is taken away",
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
