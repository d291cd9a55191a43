/** One row of the ranking. */

import { computed, type ReadonlySignal, type Signal } from "@preact/signals-core";
import { button, el, live, react, setAttributes } from "../draw/dom";
import { markPicture } from "../draw/marks";
import { unsigned } from "../draw/number";
import type { Diagnosis } from "../state/diagnoses";
import { isVerified } from "../state/focus";
import type { RankingRow } from "../state/ranking";
import { valueCell } from "./columns";
import { KIND_MARKS } from "./kinds";
import type { View } from "./view";
import { counted, valueWords } from "./words";

export interface RowParts {
  name: string;
  /** Undefined for the moment between a row's going and its element's. */
  entry: ReadonlySignal<{ row: RankingRow; index: number } | undefined>;
  isCursor: ReadonlySignal<boolean>;
  asked: Signal<string | null>;
}

export function createRow(view: View, parts: RowParts): HTMLElement {
  const { store, signal } = view;
  const { name, entry, isCursor } = parts;
  const row = computed(() => entry.value?.row);
  const cell = (kind: string, text: (row: RankingRow) => string) =>
    textCell(view, row, kind, text);
  const element = el(
    "tr",
    { class: "pw-ranking-row", "data-node": name },
    nodeCell(view, row),
    cell("rank", ({ rank }) => (rank === null ? "" : `${rank}`)),
    changeCell(view, row),
    cell("estimate", ({ estimate, isSigned }) => rowValue(estimate, isSigned)),
    cell("exact", ({ exact }) => (exact === null ? "" : rowValue(exact))),
    cell("miss", ({ miss }) => (miss === null ? "" : unsigned(miss))),
    whyCell(view, row, parts),
  );
  react(signal, () => {
    const isPicked = store.selection.value.includes(name);
    // The head is the first row.
    const place = (entry.value?.index ?? 0) + 2;
    setAttributes(element, { "aria-rowindex": place, "aria-selected": `${isPicked}` });
    element.classList.toggle("pw-picked", isPicked);
    element.classList.toggle("pw-cursor-row", isCursor.value);
  });
  return element;
}

type Row = ReadonlySignal<RankingRow | undefined>;

function nodeCell({ theme, signal }: View, row: Row): HTMLElement {
  const cell = el("th", { scope: "row", class: "pw-ranking-node" });
  react(signal, () => {
    if (!row.value) return;
    const { name, label, node } = row.value;
    cell.title = label === "" ? name : `${name}: ${label}`;
    cell.replaceChildren(
      markPicture(KIND_MARKS[node.kind], theme.value.dark),
      name,
      ...(label === "" ? [] : [el("span", "pw-quiet", ` ${label}`)]),
    );
  });
  return cell;
}

function textCell(
  { signal }: View,
  row: Row,
  kind: string,
  text: (row: RankingRow) => string,
): HTMLElement {
  const words = () => (row.value ? text(row.value) : "");
  return live(signal, words, valueCell(`pw-ranking-${kind}`));
}

/** Loud only where it is the node's own: others move because it has. */
function changeCell({ signal }: View, row: Row): HTMLElement {
  const cell = valueCell("pw-ranking-change");
  react(signal, () => {
    const now = row.value;
    const { change = null, rank = null, knownRank = null } = now ?? {};
    const isOwn = now !== undefined && isVerified(now);
    cell.classList.toggle("pw-quiet", !isOwn);
    const words = `place ${rank} by estimate, ${knownRank} by what is known`;
    setAttributes(cell, { title: change === null ? false : words });
    cell.textContent = changeText(change);
  });
  return cell;
}

function changeText(change: number | null): string {
  if (change === null) return "";
  if (change === 0) return "=";
  return `${change > 0 ? "↑" : "↓"}${Math.abs(change)}`;
}

function whyCell(view: View, row: Row, { name, isCursor, asked }: RowParts) {
  const { store, signal } = view;
  const cell = el("td", "pw-ranking-why");
  const ask = () => {
    asked.value = asked.peek() === name ? null : name;
    if (asked.peek() !== null) store.diagnoses.want(name, true);
  };
  const press = button("why?", ask, signal, { class: "pw-plain pw-why" });
  cell.append(press);
  react(signal, () => {
    const text = whyText(store.diagnoses.entries.value.get(name));
    const { miss = null } = row.value ?? {};
    // A saved page cannot be asked.
    press.hidden = miss === null || miss === 0 || store.isSaved;
    press.textContent = text;
    setAttributes(press, {
      // Thousands of stops on the way of the Tab key would be a trap.
      tabindex: isCursor.value ? 0 : -1,
      "aria-expanded": `${asked.value === name}`,
      "aria-label": `Why the estimate of ${name} is off: ${text}`,
      title: text,
    });
  });
  return cell;
}

/** As short as a cell: the evidence stands below the table. */
function whyText(diagnosis: Diagnosis | undefined): string {
  switch (diagnosis?.state) {
    case undefined:
      return "why?";
    case "loading":
      return "asking …";
    case "failed":
      return "no answer";
    case "ready": {
      const { causes } = diagnosis.answer;
      const found = causes.filter(({ consistent }) => consistent);
      const all = counted(causes.length, "cause");
      return found.map(({ name }) => name).join(", ") || `none of ${all}`;
    }
  }
}

function rowValue(value: number | null, isSigned = true): string {
  if (value === null) return "none";
  return isSigned || Number.isNaN(value) ? valueWords(value) : unsigned(value);
}
