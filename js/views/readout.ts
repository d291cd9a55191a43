/** The node under the pointer, else the last pick: its estimate and its exact effect. */

import { button, el, quiet, react } from "../draw/dom";
import { signed, unsigned } from "../draw/number";
import { mineAt } from "../state/mine";
import { namedHead, nodeNickname } from "../state/names";
import { parseNeuron } from "../state/neurons";
import { formatNode, isHeadKind, type Node, nodeCell, parseNode } from "../state/node";
import { estimateOf, type Grid, missOf, type Verified } from "../state/results";
import { rowKey } from "../state/rows";
import { positionName } from "../state/tokens";
import type { MakeView, View } from "./view";
import { counted, rangeWords, valueWords } from "./words";

const HINT =
  "Click a cell to run its exact patch, shift-click to add one, drag to pick many.";

const SAVED_HINT = "A saved page: a click shows what was computed, and runs nothing.";

/** Narrower widgets get a line more, so that nothing below ever jumps. */
const NARROW_PX = 820;
/** Wider ones have a line for estimate, exact effect and one's own value. */
const ROOM_FOR_THREE_PX = 1200;

export const readoutView: MakeView = (view) => {
  const { store, ui, signal } = view;
  const live = el("div", {
    class: "pw-readout-live",
    "aria-live": "polite",
    "aria-atomic": "true",
  });
  const tools = el("span", "pw-readout-tools");
  const refusal = el("div", { class: "pw-error", role: "alert" });
  const line = el("div", "pw-readout", live, tools, refusal);
  react(signal, () => {
    line.classList.toggle("pw-narrow", ui.width.value < NARROW_PX);
    const isFull = store.mine.value.size > 0 && ui.width.value < ROOM_FOR_THREE_PX;
    line.classList.toggle("pw-with-own", isFull);
  });
  react(signal, () => {
    const node = ui.hover.value?.node ?? null;
    const picks = store.selection.value;
    const last = ui.hover.value ? undefined : picks.at(-1);
    const name = node ? formatNode(node) : last;
    live.replaceChildren(
      ...(name ? nodeFacts(view, name, !node) : [hint(store.isSaved)]),
    );
  });
  react(signal, () => {
    const picks = store.selection.value;
    const last = parseNode(picks.at(-1) ?? "");
    tools.replaceChildren(
      ...(picks.length > 1 ? [quiet(`${counted(picks.length, "cell")} picked`)] : []),
      ...(last ? nameButton(view, last) : []),
    );
  });
  react(signal, () => {
    refusal.textContent = ui.refusal.value;
    refusal.hidden = ui.refusal.value === "";
  });
  return line;
};

function hint(isSaved: boolean): HTMLElement {
  return el("div", "pw-quiet", isSaved ? SAVED_HINT : HINT);
}

/** The button would be out of reach for a hovered cell: it is about the last pick. */
function nameButton({ store, ui, signal }: View, node: Node): HTMLElement[] {
  const study = store.study.value;
  const head = study && namedHead(node, study);
  if (!head) return [];
  const name = `L${head.layer}H${head.head}`;
  const open = () => {
    const { left, bottom } = rename.getBoundingClientRect();
    ui.naming.value = { head, left, top: bottom, from: rename };
  };
  const rename = button(`name ${name}`, open, signal, {
    class: "pw-rename",
    title: "Give this head a name (double-click a cell, or F2)",
  });
  return [rename];
}

function nodeFacts(view: View, name: string, isPick: boolean): HTMLElement[] {
  const result = view.store.verified.value.get(name);
  const node = parseNode(name);
  return [
    el("div", "pw-readout-node", ...nodeWords(view, name, isPick)),
    el("div", {}, estimateFact(view, node, result)),
    el("div", {}, ...exactFacts(view, node, result)),
    ...ownFacts(view, node, result),
  ];
}

function nodeWords({ store }: View, name: string, isPick: boolean): HTMLElement[] {
  const study = store.study.value;
  const node = parseNode(name);
  const pos = node?.pos ?? parseNeuron(name)?.pos ?? null;
  const at = pos === null || !study ? "" : positionName(study, store.pair.value, pos);
  const nickname = study && node ? nodeNickname(store.names.value, node, study) : "";
  return [
    ...(isPick ? [quiet("picked")] : []),
    el("strong", {}, name),
    ...(nickname ? [el("span", {}, `“${nickname}”`)] : []),
    ...(at ? [quiet(`at ${at}`)] : []),
  ];
}

function estimateFact(
  view: View,
  node: Node | null,
  result: Verified | undefined,
): HTMLElement {
  const { store } = view;
  const grid = node && store.grids.value.get(node.kind);
  const estimate =
    estimateOf(node, result, store.grids.value) ?? rowEstimate(view, node);
  const label = grid?.isSigned === false ? "estimated size" : "estimate";
  if (estimate === null) return fact(label, "none");
  return fact(label, valueWords(estimate) + (grid ? gridSpread(grid, node) : ""));
}

/** That of a head at a position, where its row is here. */
function rowEstimate({ store }: View, node: Node | null): number | null {
  if (!node || !isHeadKind(node.kind) || node.pos === null || node.src !== null)
    return null;
  const whole = formatNode({ ...node, pos: null });
  const key = rowKey({ node: whole, method: store.method.value });
  const entry = store.rows.entries.value.get(key);
  return entry?.state === "ready" ? (entry.answer.values[node.pos] ?? null) : null;
}

function gridSpread({ spread, rows, columns }: Grid, node: Node): string {
  const cell = nodeCell(node);
  if (!spread || !cell || cell.row >= rows || cell.column >= columns) return "";
  const at = cell.row * columns + cell.column;
  const [low, high, from, to] = [spread.low, spread.high, spread.from, spread.to].map(
    (values) => values[at] ?? Number.NaN,
  );
  return spreadWords([from, to], [low, high]);
}

function exactFacts(
  { store }: View,
  node: Node | null,
  result: Verified | undefined,
): HTMLElement[] {
  if (!result) return [fact("exact", "not run")];
  const grid = node && store.grids.value.get(node.kind);
  const isSigned = grid?.isSigned ?? true;
  const miss = missOf(result, isSigned);
  const { interval, perPair } = result;
  const range = [Math.min(...perPair), Math.max(...perPair)];
  const spread = perPair.length > 1 ? spreadWords(interval ?? [], range) : "";
  return [
    fact("exact", signed(result.exact) + spread),
    ...(miss === null ? [] : [fact("miss", unsigned(miss))]),
  ];
}

function ownFacts(
  { store }: View,
  node: Node | null,
  result: Verified | undefined,
): HTMLElement[] {
  const own =
    node && mineAt(store.mine.value, store.grids.value.get(node.kind), node, result);
  if (!own) return [];
  const best = result ? "exact" : "the estimate";
  return [
    el(
      "div",
      {},
      fact("mine", valueWords(own.value)),
      fact("my miss", `${valueWords(own.miss)} from ${best}`),
    ),
  ];
}

type Numbers = readonly (number | undefined)[];

/** " [0.240, 0.380], pairs −0.020 to +0.550": interval of the mean, then the range. */
function spreadWords([from, to]: Numbers, range: Numbers): string {
  const isKnown = (value: number | undefined): value is number =>
    value !== undefined && !Number.isNaN(value);
  const interval =
    isKnown(from) && isKnown(to) ? ` [${unsigned(from)}, ${unsigned(to)}]` : "";
  const known = range.filter(isKnown);
  return interval + (known.length > 0 ? `, pairs ${rangeWords(known)}` : "");
}

function fact(label: string, value: string): HTMLElement {
  return el("span", {}, quiet(`${label} `), value);
}
