/** What the heatmaps show, how it was estimated, and how to read their marks. */

import { el, keyed, react } from "../draw/dom";
import { isOwn } from "../state/mine";
import { KINDS } from "../state/node";
import { SHOWN, type Shown } from "../state/settings";
import type { Method } from "../state/study";
import { segments, select, setOptions } from "./choice";
import type { MakeView, View } from "./view";

const SHOWN_WORDS: Record<Shown, readonly [label: string, title: string]> = {
  estimate: ["estimate", "The estimated effect of every node"],
  exact: ["exact", "The exact effect, where a patch was run"],
  known: [
    "exact where known",
    "The exact effect where a patch was run, the estimate elsewhere",
  ],
  miss: ["miss", "|exact − estimate|, where a patch was run"],
  mine: ["mine", "What was given to widget.compare"],
  mine_miss: [
    "my miss",
    "Mine minus the exact effect where a patch was run, minus the estimate elsewhere",
  ],
};

export const controlsView: MakeView = (view) =>
  el("section", "pw-controls", methodChoice(view), shownSwitch(view), legend(view));

function methodChoice({ store, signal }: View): HTMLElement {
  const choose = (name: string) => store.set("method", name);
  const choice = select("How effects are estimated", choose, signal);
  choice.classList.add("pw-method");
  react(signal, () => {
    const methods = store.study.value?.methods ?? [];
    const shown = KINDS.filter((kind) => store.figure.value.facets.has(kind));
    const chosen = store.method.value;
    // Python may have set one that is not among them: it is named all the same.
    const isKnown = methods.some(({ name }) => name === chosen);
    const odd = isKnown ? [] : [{ name: chosen, label: chosen, kinds: shown }];
    const options = [...methods, ...odd].map((method) => methodOption(method, shown));
    setOptions(choice, options, chosen);
    choice.disabled = methods.length === 0;
  });
  return el("label", "pw-method-label", "Estimates by ", choice);
}

/** "GradDrop (4 of 8 kinds)": elsewhere the estimates of AtP stay. */
function methodOption({ name, label, kinds }: Method, shown: readonly string[]) {
  const given = kinds.filter((kind) => shown.includes(kind)).length;
  const isPart = given < shown.length;
  const text = isPart ? `${label} (${given} of ${shown.length} kinds)` : label;
  return [name, text, isPart ? `gives ${kinds.join(", ")}` : ""] as const;
}

/** One's own values can be chosen once there are any. */
function shownSwitch({ store, signal }: View): HTMLElement {
  const place = el("div");
  const switches = keyed<"all" | "usual">(
    place,
    (key, life) =>
      segments(
        { label: "Values shown in the heatmaps", name: "shown" },
        SHOWN.filter((shown) => key === "all" || !isOwn(shown)).map(
          (shown) => [shown, ...SHOWN_WORDS[shown]] as const,
        ),
        () => store.shown.value,
        (shown) => store.set("shown", shown),
        life,
      ),
    signal,
  );
  react(signal, () => {
    const hasOwn = store.mine.value.size > 0 || isOwn(store.shown.value);
    switches([hasOwn ? "all" : "usual"]);
  });
  return place;
}

function legend({ store, signal }: View): HTMLElement {
  const entries = el("div", "pw-legend");
  react(signal, () => {
    const { facets, shown } = store.figure.value;
    const cells = [...facets.values()];
    const isMissing = cells.some(({ values, unknown }) =>
      values.some((value, index) => Number.isNaN(value) && !unknown[index]),
    );
    const isBlank = (shown === "exact" || shown === "miss") && cells.length > 0;
    const isLeftOut = isOwn(shown) && cells.some(({ unknown }) => unknown.includes(1));
    entries.replaceChildren(
      entry("verified", "verified"),
      entry("picked", "picked"),
      ...(isBlank ? [entry("blank", "not run yet")] : []),
      ...(isLeftOut ? [entry("blank", "not given")] : []),
      ...(isMissing ? [entry("missing", "no value")] : []),
    );
  });
  return entries;
}

function entry(mark: string, text: string): HTMLElement {
  const swatch = el("span", `pw-swatch pw-swatch-${mark}`);
  return el("span", "pw-legend-entry", swatch, text);
}
