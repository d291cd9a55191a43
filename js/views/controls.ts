/** What the heatmaps show, and how to read their colours and marks. */

import { colourBar } from "../draw/colourbar";
import { button, el, react, setAttributes } from "../draw/dom";
import { SHOWN, type Shown } from "../state/settings";
import type { MakeView, View } from "./view";
import { counted, effectWords } from "./words";

const SHOWN_WORDS: Record<Shown, { label: string; title: string }> = {
  estimate: { label: "estimate", title: "The estimated effect of every node" },
  exact: { label: "exact", title: "The exact effect, where a patch was run" },
  known: {
    label: "exact where known",
    title: "The exact effect where a patch was run, the estimate elsewhere",
  },
  miss: { label: "miss", title: "|exact − estimate|, where a patch was run" },
};

export const controlsView: MakeView = (view) =>
  el("section", { class: "pw-controls" }, shownSwitch(view), scale(view), legend(view));

function shownSwitch({ store, signal }: View): HTMLElement {
  const buttons = SHOWN.map((shown) => {
    const { label, title } = SHOWN_WORDS[shown];
    const choice = button(label, () => store.set("shown", shown), signal);
    choice.classList.add("pw-shown");
    setAttributes(choice, { title, "data-shown": shown });
    react(signal, () => {
      choice.setAttribute("aria-pressed", `${store.shown.value === shown}`);
    });
    return choice;
  });
  const label = "Values shown in the heatmaps";
  return el(
    "div",
    { class: "pw-switch", role: "group", "aria-label": label },
    ...buttons,
  );
}

function scale({ store, theme, signal }: View): HTMLElement {
  const bar = el("div", { class: "pw-scale" });
  react(signal, () => {
    const study = store.study.value;
    const { shown, scale, facets } = store.figure.value;
    const { palette } = theme.value;
    const isMiss = shown === "miss";
    const colours = isMiss ? palette.miss : palette.diverging;
    const meaning = isMiss ? "size of the miss" : study ? effectWords(study) : "";
    const pairs = study && study.pairs.length > 1 ? meanWords(study.pairs.length) : "";
    const zero = scale === 0 && facets.size > 0 ? "every value is 0" : "";
    const caption = [meaning, pairs, zero].filter((part) => part !== "").join(" · ");
    bar.replaceChildren(
      colourBar({ colours, scale, signed: !isMiss }),
      el("span", { class: "pw-quiet" }, caption),
    );
  });
  return bar;
}

/** The heatmaps never follow the choice of a pair, so they say what they show. */
function meanWords(pairs: number): string {
  return `mean of ${counted(pairs, "pair")}`;
}

function legend({ store, signal }: View): HTMLElement {
  const entries = el("div", { class: "pw-legend" });
  react(signal, () => {
    const { facets, shown } = store.figure.value;
    const cells = [...facets.values()];
    const isMissing = cells.some(({ values, unknown }) =>
      values.some((value, index) => Number.isNaN(value) && !unknown[index]),
    );
    const isBlank = (shown === "exact" || shown === "miss") && cells.length > 0;
    entries.replaceChildren(
      entry("verified", "verified"),
      entry("picked", "picked"),
      ...(isBlank ? [entry("blank", "not run yet")] : []),
      ...(isMissing ? [entry("missing", "no value")] : []),
    );
  });
  return entries;
}

function entry(mark: string, text: string): HTMLElement {
  const swatch = el("span", { class: `pw-swatch pw-swatch-${mark}` });
  return el("span", { class: "pw-legend-entry" }, swatch, text);
}
