/** The paths that one reader or writer has: a bar each, a click runs its exact patch. */

import { computed, type ReadonlySignal, type Signal } from "@preact/signals-core";
import { button, el, keyed, listen, live, react, setAttributes } from "../../draw/dom";
import { signed } from "../../draw/number";
import { onAbort } from "../../host/life";
import { endPlace, parseEnd } from "../ends";
import type { Group, PathRow } from "../groups";
import type { PathResult } from "../record";
import { nameButton } from "./names";
import type { CircuitView } from "./view";

/** So many stand there at first. */
const SHORT = 8;
/** And so many at the most: what comes after them hardly has a bar. */
const LONG = 200;

interface Parts {
  name: string;
  groups: ReadonlySignal<readonly Group[]>;
  scale: ReadonlySignal<number>;
  /** Names of the lists that are shown in full. */
  isWhole: Signal<ReadonlySet<string>>;
}

export function pathList(view: CircuitView, parts: Parts): HTMLElement {
  const { name, groups, isWhole } = parts;
  const { signal } = view;
  const group = computed(() => groups.value.find((one) => one.name === name));
  const rows = computed(() => group.value?.rows ?? []);
  const shown = computed(() =>
    rows.value.slice(0, isWhole.value.has(name) ? LONG : SHORT),
  );
  const heading = live(signal, () => headingOf(group.value), el("div", "pw-path-head"));
  const list = el("ul", "pw-path-list");
  const show = keyed(
    list,
    (path: string, life) => pathRow({ ...view, signal: life }, path, rows, parts.scale),
    signal,
  );
  react(signal, () => show(shown.value.map(({ path }) => path)));
  const flip = () => {
    const next = new Set(isWhole.peek());
    if (!next.delete(name)) next.add(name);
    isWhole.value = next;
  };
  const more = button("", flip, signal, { class: "pw-plain" });
  react(signal, () => {
    const { length } = rows.value;
    more.hidden = length <= SHORT;
    const isAll = isWhole.value.has(name);
    const all = length > LONG ? `the first ${LONG} of ${length}` : `all ${length}`;
    more.textContent = isAll ? `only the first ${SHORT}` : all;
    setAttributes(more, { "aria-expanded": `${isAll}` });
    setAttributes(list, { "aria-label": headingOf(group.value) });
  });
  const none = live(signal, () => (rows.value.length === 0 ? "no path" : ""));
  none.className = "pw-quiet";
  return el("div", { class: "pw-paths", "data-list": name }, heading, list, none, more);
}

function headingOf(group: Group | undefined): string {
  if (!group) return "";
  const { name, subject } = group;
  return name === "out" ? `from ${subject}, to` : `into ${subject}, from`;
}

type Rows = ReadonlySignal<readonly PathRow[]>;

function pathRow(
  view: CircuitView,
  path: string,
  rows: Rows,
  scale: ReadonlySignal<number>,
): HTMLElement {
  const { over, signal } = view;
  const row = computed(() => rows.value.find((one) => one.path === path));
  const end = row.peek()?.end ?? "";
  const item = el(
    "li",
    { class: "pw-path", "data-path": path },
    nameButton(view, end),
    runButton(view, path, row, scale),
  );
  linkPath(view, item, path, end);
  react(signal, () => {
    item.classList.toggle("pw-lit", over.value === path);
  });
  return item;
}

/** Under the pointer, or with the focus in it, the element stands for a path and an end. */
export function linkPath(
  { over, store, ui, signal }: CircuitView,
  element: Element,
  path: string,
  name: string,
): void {
  const end = parseEnd(name);
  let isHere = false; // others stand for the same path
  const show = () => {
    const study = store.study.peek();
    isHere = true;
    over.value = path;
    ui.hover.value = end && study ? endPlace(end, study) : null;
  };
  const leave = () => {
    if (!isHere) return;
    isHere = false;
    if (over.peek() !== path) return;
    over.value = null;
    ui.hover.value = null;
  };
  // Not "enter": within it are names that tell of themselves when the pointer leaves them.
  const listeners = { pointerover: show, focusin: show };
  listen(element, { ...listeners, pointerleave: leave, focusout: leave }, signal);
  onAbort(signal, leave);
}

type Row = ReadonlySignal<PathRow | undefined>;

function runButton(
  view: CircuitView,
  path: string,
  row: Row,
  scale: ReadonlySignal<number>,
): HTMLElement {
  const { store, tasks, signal } = view;
  const run = () => {
    if (canRun(row.peek()?.result) && !tasks.under.peek().has(path)) {
      if (!store.isSaved) void tasks.run([path]);
    }
  };
  const name = el("span", "pw-unseen");
  const number = (kind: string) =>
    el("span", { class: `pw-value ${kind}`, "aria-hidden": "true" });
  const [estimate, exact] = [number("pw-path-estimate"), number("pw-path-exact")];
  const bar = el("span", "pw-path-bar", el("span"), el("span"));
  const element = button("", run, signal, { class: "pw-path-run" });
  element.append(name, bar, estimate, exact);
  react(signal, () => {
    const { estimate: guess = null, result = null } = row.value ?? {};
    const isUnder = tasks.under.value.has(path);
    const values = [guess, result?.exact ?? null];
    [...bar.children].forEach((child, at) => {
      drawBar(child, values[at] ?? null, scale.value);
    });
    estimate.textContent = guess === null ? "" : signed(guess);
    exact.textContent = exactWords(result, isUnder, store.isSaved);
    const can = canRun(result) && !isUnder && !store.isSaved;
    const words = pathWords(guess, result, isUnder);
    name.textContent = `${path}: ${words}`;
    setAttributes(element, {
      "aria-disabled": can ? false : "true",
      title: words,
      "data-estimate": guess ?? false,
      "data-exact": result?.exact ?? false,
    });
  });
  return element;
}

/** What a file says was not run here. */
function canRun(result: PathResult | null | undefined): boolean {
  return result?.source !== "run";
}

/** From the middle to the left or to the right: the side tells the sign, too. */
function drawBar(element: Element, value: number | null, scale: number): void {
  const share =
    value !== null && Number.isFinite(value) && scale > 0 ? value / scale : 0;
  const width = 50 * Math.min(1, Math.abs(share));
  const left = share < 0 ? 50 - width : 50;
  setAttributes(element, {
    class: value === null ? "pw-bar-none" : share < 0 ? "pw-below" : "pw-above",
    style: `left: ${left}%; width: ${width}%`,
  });
}

function exactWords(result: PathResult | null, isUnder: boolean, isSaved: boolean) {
  if (isUnder) return "running";
  if (result?.source === "file") return `file ${signed(result.exact)}`;
  if (result) return `✓ ${signed(result.exact)}`;
  return isSaved ? "not run" : "run";
}

/** What is known of a path, in a sentence without its name. */
export function pathWords(
  estimate: number | null,
  result: PathResult | null,
  isUnder = false,
): string {
  const guess = estimate === null ? "no estimate" : `estimate ${signed(estimate)}`;
  if (!result) return `${guess}, exact effect ${isUnder ? "on its way" : "not run"}`;
  const [from, to] = result.interval ?? [];
  const spread =
    from === undefined || to === undefined
      ? ""
      : ` (90 % interval ${signed(from)} to ${signed(to)})`;
  const origin = result.source === "file" ? ", from a file" : "";
  return `${guess}, exact ${signed(result.exact)}${spread}${origin}`;
}
