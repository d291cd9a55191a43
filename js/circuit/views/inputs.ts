/** Where a head's queries, keys and values come from, and where its output goes. */

import {
  computed,
  signal as makeSignal,
  type ReadonlySignal,
} from "@preact/signals-core";
import { button, el, keyed, live, react } from "../../draw/dom";
import { tick } from "../../draw/number";
import { pressed } from "../../views/choice";
import { isOpen } from "../../views/foldable";
import type { Arrivals } from "../arrivals";
import { type Group, groupsOf, notRun, scaleOf } from "../groups";
import { costed } from "./costed";
import { pathList } from "./paths";
import type { CircuitView } from "./view";

/** So many are run by one button. */
const AT_ONCE = 10;

const EMPTY =
  "Pick a head, in a map or by its name: here is then where its queries, keys and values " +
  "come from, and where its output goes.";

export function inputsView(view: CircuitView): HTMLElement {
  const { store, signal, focus, arrivals, circuit } = view;
  const entry = computed(() => arrivals.entries.value.get(focus.value ?? ""));
  const groups = computed((): Group[] => {
    const [node, study] = [focus.value, store.study.value];
    if (!node || !study) return [];
    const ready = entry.value?.state === "ready" ? entry.value.answer : null;
    return groupsOf(node, ready, circuit.value.paths, study);
  });
  const scale = computed(() => scaleOf(groups.value));
  const heading = live(signal, () => title(view), el("div", "pw-circuit-title"));
  const lists = el("div", "pw-path-lists");
  const isWhole = makeSignal<ReadonlySet<string>>(new Set());
  const show = keyed(
    lists,
    (name: string, life) =>
      pathList({ ...view, signal: life }, { name, groups, scale, isWhole }),
    signal,
  );
  react(signal, () => {
    focus.value; // read: lists of another head are short again
    isWhole.value = new Set();
  });
  react(signal, () => {
    if (!focus.value || !isOpen(store, "circuit")) return;
    arrivals.entries.value; // read: they are asked for again when they were forgotten
    arrivals.want(focus.value);
  });
  react(signal, () => {
    const isReady = entry.value?.state === "ready";
    const shown = groups.value.filter(({ rows }) => isReady || rows.length > 0);
    show(shown.map(({ name }) => name));
  });
  const section = el(
    "section",
    { class: "pw-inputs", "aria-label": "Paths of a head" },
    heading,
    chooser(view),
    said(view, entry, scale),
    lists,
    costed(
      view,
      () => topWords(notRun(groups.value, AT_ONCE)),
      () => ({
        what: "paths",
        names: notRun(groups.value, AT_ONCE),
      }),
    ),
  );
  return section;
}

function title({ focus }: CircuitView): string {
  const name = focus.value;
  return name ? `Paths into and out of ${name}` : "Paths into and out of a head";
}

function topWords(names: readonly string[]): string {
  return names.length === 1
    ? "verify the last one …"
    : `verify these ${names.length} …`;
}

/** What can be looked at: the newest pick at first. */
function chooser(view: CircuitView): HTMLElement {
  const { subjects, focus, signal } = view;
  const line = el("div", {
    class: "pw-switch pw-chooser",
    role: "group",
    "aria-label": "Whose paths",
  });
  const show = keyed(line, (name: string, life) => choice(view, name, life), signal);
  react(signal, () => {
    const now = focus.value;
    const names = [...new Set([...subjects.value, ...(now ? [now] : [])])];
    line.hidden = names.length < 2;
    show(names);
  });
  return line;
}

function choice({ asked, focus }: CircuitView, name: string, life: AbortSignal) {
  const choose = () => {
    asked.value = name;
  };
  const element = button(name, choose, life, { class: "pw-shown" });
  pressed(element, () => focus.value === name, life);
  return element;
}

type Entry = { state: string; message?: string; answer?: Arrivals } | undefined;

/** What the bars mean; why there are none. */
function said(
  { store, focus, arrivals, signal }: CircuitView,
  entry: ReadonlySignal<Entry>,
  scale: ReadonlySignal<number>,
): HTMLElement {
  const line = el("div", { class: "pw-quiet", role: "status" });
  const ask = () => {
    const node = focus.peek();
    if (node) arrivals.retry(node);
  };
  const again = button("try again", ask, signal);
  again.hidden = store.isSaved; // nobody would answer another time either
  react(signal, () => {
    const now = entry.value;
    if (!focus.value) line.replaceChildren(EMPTY);
    else if (now?.state === "ready") line.replaceChildren(barWords(scale.value));
    else if (now?.state === "failed") {
      const why = `No estimates: ${now.message}. `;
      line.replaceChildren(el("span", "pw-error", why), again);
    } else line.replaceChildren(WAITING);
  });
  return line;
}

const WAITING =
  "Waiting for the kernel: the first answer takes a backward through the whole model.";

function barWords(scale: number): string {
  const most = tick(Number(scale.toPrecision(2)));
  return (
    `Bars from −${most} to +${most}: open the estimate, filled the exact effect. ` +
    "Click one to run its exact path patch; click a name to pick the head."
  );
}
