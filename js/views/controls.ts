/** What the heatmaps show, how it was estimated, and how to read their marks. */

import { button, el, react, setAttributes } from "../draw/dom";
import { KINDS } from "../state/node";
import { SHOWN, type Shown } from "../state/settings";
import type { Method } from "../state/study";
import type { MakeView, View } from "./view";

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
  el(
    "section",
    { class: "pw-controls" },
    methodChoice(view),
    shownSwitch(view),
    legend(view),
  );

function methodChoice({ store, signal }: View): HTMLElement {
  const choice = el("select", {
    class: "pw-select pw-method",
    "aria-label": "How effects are estimated",
  });
  const onChange = () => store.set("method", choice.value);
  choice.addEventListener("change", onChange, { signal });
  react(signal, () => {
    const methods = store.study.value?.methods ?? [];
    const shown = KINDS.filter((kind) => store.figure.value.facets.has(kind));
    const chosen = store.method.value;
    // Python may have set one that is not among them: it is named all the same.
    const isKnown = methods.some(({ name }) => name === chosen);
    const odd = isKnown ? [] : [{ name: chosen, label: chosen, kinds: shown }];
    const options = [...methods, ...odd].map((method) => methodOption(method, shown));
    choice.replaceChildren(...options);
    choice.value = chosen;
    choice.disabled = methods.length === 0;
  });
  return el("label", { class: "pw-method-label" }, "Estimates by ", choice);
}

/** "GradDrop (4 of 8 kinds)": elsewhere the estimates of AtP stay. */
function methodOption({ name, label, kinds }: Method, shown: readonly string[]) {
  const given = kinds.filter((kind) => shown.includes(kind)).length;
  const isPart = given < shown.length;
  const text = isPart ? `${label} (${given} of ${shown.length} kinds)` : label;
  const title = isPart ? `gives ${kinds.join(", ")}` : "";
  return el("option", { value: name, title: title || false }, text);
}

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
