/** The picked nodes: estimate beside exact, and how the pairs are spread. */

import { computed, type ReadonlySignal } from "@preact/signals-core";
import { button, el, keyed, live, react, setAttributes } from "../draw/dom";
import { dotRange, dots, type Range } from "../draw/dots";
import { signed, tick, unsigned } from "../draw/number";
import { type Node as GraphNode, parseNode } from "../state/node";
import { nodePlace } from "../state/place";
import { estimateOf, missOf, type Verified } from "../state/results";
import { columnHead, plainTable, rowHead, valueCell } from "./columns";
import { linkHover, pickNode } from "./link";
import { pickTools } from "./pickbar";
import type { MakeView, View } from "./view";

export const picksView: MakeView = (view) => {
  const { store, signal } = view;
  const body = el("tbody");
  const range = computed(() =>
    dotRange(
      store.selection.value.map(
        (name) => store.verified.value.get(name)?.perPair ?? [],
      ),
    ),
  );
  const rows = keyed(
    body,
    (name, life) => pickRow({ ...view, signal: life }, name, range),
    signal,
  );
  const table = plainTable(tableHead(view, range), body);
  const title = el("div", "pw-section-title", "Picks", pickTools(view));
  const section = el("section", "pw-picks", title, table);
  react(signal, () => {
    const names = [...new Set(store.selection.value)];
    table.hidden = names.length === 0;
    section.hidden = store.study.value === null;
    table.classList.toggle("pw-one-pair", store.study.value?.pairs.length === 1);
    rows(names);
  });
  return section;
};

function tableHead({ store, signal }: View, range: ReadonlySignal<Range>): HTMLElement {
  const pairs = columnHead("");
  pairs.classList.add("pw-pairs");
  react(signal, () => {
    const [low, high] = range.value;
    const ends = low < high ? ` ${short(low)} to ${short(high)}` : "";
    pairs.replaceChildren(`pairs${ends}`);
  });
  const clear = button("clear", () => store.set("selection", []), signal, {
    class: "pw-plain",
    title: "Take back all picks (Escape in a heatmap)",
  });
  const picked = columnHead("picked ");
  picked.append(clear);
  const columns = HEADINGS.map(([text, title]) => columnHead(text, title));
  return el("tr", {}, picked, ...columns, pairs);
}

/** Ends of a range: two digits tell enough. */
function short(value: number): string {
  return tick(Number(value.toPrecision(2)));
}

const HEADINGS = [
  ["estimate", ""],
  ["exact", "The effect of the patch that was really run, mean of all pairs"],
  ["miss", "|exact − estimate|"],
  ["rise", "What the change of the right answer's logit contributes to the effect"],
  ["fall", "What the change of the wrong answer's logit contributes to the effect"],
] as const;

function pickRow(view: View, name: string, range: ReadonlySignal<Range>): HTMLElement {
  const { store } = view;
  const node = parseNode(name);
  const result = computed(() => store.verified.value.get(name));
  const row = el(
    "tr",
    { class: "pw-pick", "data-node": name },
    rowHead(unpickButton(view, name), name),
    estimateCell(view, name, result),
    exactCell(view, result),
    numberCell(view, unsigned, () => missIn(view, node, result.value)),
    numberCell(view, signed, () => result.value?.halves?.[0]),
    numberCell(view, signed, () => result.value?.halves?.[1]),
    pairsCell(view, result, range),
  );
  linkHover(view, row, () => {
    const study = store.study.peek();
    return node && study ? nodePlace(node, study) : null;
  });
  return row;
}

/** Of a method that gives sizes only, the size of the effect is what it missed. */
function missIn({ store }: View, node: GraphNode | null, result: Verified | undefined) {
  const isSigned = node === null || store.grids.value.get(node.kind)?.isSigned;
  return result && missOf(result, isSigned);
}

type Result = ReadonlySignal<Verified | undefined>;

function estimateCell({ store, signal }: View, name: string, result: Result) {
  const cell = valueCell("pw-estimate");
  react(signal, () => {
    const value = estimateOf(parseNode(name), result.value, store.grids.value);
    setAttributes(cell, { "data-value": value === null ? false : value });
    cell.textContent = value === null ? "none" : signed(value);
  });
  return cell;
}

/** Carries the numbers in full as attributes, for tests and other programs. */
function exactCell({ store, signal }: View, result: Result): HTMLElement {
  const cell = valueCell("pw-exact");
  react(signal, () => {
    const verified = result.value;
    setAttributes(cell, {
      "data-value": verified?.exact ?? false,
      "data-raw": verified?.raw ?? false,
    });
    cell.replaceChildren(
      verified ? signed(verified.exact) : waiting(store.job.value.state === "running"),
    );
  });
  return cell;
}

function waiting(isRunning: boolean): Node | string {
  return isRunning
    ? el("progress", { class: "pw-progress pw-small", "aria-label": "running" })
    : "not run";
}

/** Empty where there is no number. */
function numberCell(
  { signal }: View,
  text: (value: number) => string,
  value: () => number | null | undefined,
): HTMLElement {
  const words = (now: number | null) => (now === null ? "" : text(now));
  return live(signal, () => words(value() ?? null), valueCell());
}

function pairsCell({ signal }: View, result: Result, range: ReadonlySignal<Range>) {
  const cell = valueCell("pw-pairs");
  react(signal, () => {
    const verified = result.value;
    const { perPair = [], exact = Number.NaN } = verified ?? {};
    cell.replaceChildren(...(verified ? [dots(perPair, exact, range.value)] : []));
  });
  return cell;
}

function unpickButton(view: View, name: string): HTMLElement {
  return button("×", () => pickNode(view, name, "toggle"), view.signal, {
    class: "pw-plain pw-unpick",
    "aria-label": `Take back the pick of ${name}`,
  });
}
