/** The neurons of largest estimated effect, asked for when the list is opened. */

import {
  computed,
  signal as makeSignal,
  type ReadonlySignal,
  type Signal,
} from "@preact/signals-core";
import { colourAt, css } from "../draw/colour";
import { button, el, keyed, live, quiet, react, setAttributes } from "../draw/dom";
import { signed } from "../draw/number";
import type { Asked } from "../state/asked";
import { largest } from "../state/figure";
import {
  type NeuronList,
  type NeuronQuestion,
  neuronKey,
  parseNeuron,
} from "../state/neurons";
import { positionName } from "../state/tokens";
import { tryAgain, unanswered } from "./asking";
import { pressed, select, setOptions } from "./choice";
import { columnHead, plainTable, valueCell } from "./columns";
import { isAdding } from "./drag";
import { isOpen } from "./foldable";
import { linkHover, pickNode } from "./link";
import type { View } from "./view";
import { counted, methodLabel, valueWords } from "./words";

const FIRST = 20;
const MOST = 320;

type Answer = ReadonlySignal<Asked<NeuronList> | undefined>;
/** The list on screen: the last one that came, while the next is on its way. */
type Shown = ReadonlySignal<NeuronList | null>;

export const neuronsView = (view: View): HTMLElement => {
  const { store, signal } = view;
  const top = makeSignal(FIRST);
  const layer = makeSignal<number | null>(null);
  const question = computed<NeuronQuestion>(() => ({
    top: top.value,
    layer: layer.value,
    method: store.method.value,
  }));
  const answer = computed(() =>
    store.neurons.entries.value.get(neuronKey(question.value)),
  );
  const list = lastReady(view, answer);
  const body = el(
    "div",
    "pw-opened",
    el("div", "pw-line-head", layerChoice(view, layer), count(view, list)),
    table(view, list),
    foot(view, question, answer, list, top),
  );
  const section = el("section", "pw-neurons", body);
  react(signal, () => {
    section.hidden = store.study.value === null;
    store.neurons.entries.value; // read: a new study takes the lists away
    const isWanted = isOpen(store, "neurons") && store.study.value;
    if (isWanted) store.neurons.want(question.value);
  });
  return section;
};

function lastReady({ store, signal }: View, answer: Answer): Shown {
  const list = makeSignal<NeuronList | null>(null);
  react(signal, () => {
    store.study.value; // read: the neurons of another study are void
    list.value = null;
  });
  react(signal, () => {
    if (answer.value?.state === "ready") list.value = answer.value.answer;
  });
  return list;
}

function layerChoice(
  { store, signal }: View,
  layer: Signal<number | null>,
): HTMLElement {
  const choose = (value: string) => {
    layer.value = value === "" ? null : Number(value);
  };
  const choice = select("Layer", choose, signal);
  react(signal, () => {
    const length = store.study.value?.layers ?? 0;
    const layers = Array.from({ length }, (_, at) => [`${at}`, `layer ${at}`] as const);
    setOptions(choice, [["", "all layers"], ...layers], "");
    layer.value = null;
  });
  return choice;
}

function count({ store, signal }: View, list: Shown): HTMLElement {
  const words = () => {
    const now = list.value;
    return now
      ? `the first ${now.names.length} of ${now.total.toLocaleString("en")}, ` +
          `estimated by ${methodLabel(store.study.value, now.method)}`
      : "";
  };
  return live(signal, words, quiet(""));
}

function table(view: View, list: Shown): HTMLElement {
  const { signal } = view;
  const body = el("tbody");
  const rows = keyed(
    body,
    (name, life) => neuronRow({ ...view, signal: life }, name, list),
    signal,
  );
  const headings = ["", "neuron", "at", "estimate", "exact"].map((text) =>
    columnHead(text),
  );
  const element = plainTable(el("tr", {}, ...headings), body);
  react(signal, () => {
    element.hidden = list.value === null;
    rows([...new Set(list.value?.names)]);
  });
  return element;
}

function neuronRow(view: View, name: string, list: Shown): HTMLElement {
  const { store, signal } = view;
  const rank = valueCell("pw-quiet");
  const estimate = valueCell();
  const exact = valueCell("pw-exact");
  const row = el(
    "tr",
    { class: "pw-neuron", "data-node": name },
    rank,
    valueCell("pw-neuron-name", pickButton(view, name)),
    tokenCell(view, name),
    estimate,
    exact,
  );
  react(signal, () => {
    const index = list.value?.names.indexOf(name) ?? -1;
    const value = list.value?.estimates[index] ?? Number.NaN;
    rank.textContent = `${index + 1}`;
    estimate.replaceChildren(valueWords(value), effectBar(view, value, list.value));
    setAttributes(estimate, { "data-value": value });
  });
  react(signal, () => {
    const result = store.verified.value.get(name);
    exact.textContent = result ? signed(result.exact) : "";
    setAttributes(exact, { "data-value": result?.exact ?? false });
  });
  const at = parseNeuron(name);
  linkHover(
    view,
    row,
    () => at && { node: null, layer: at.layer, heads: null, pos: at.pos, src: null },
  );
  return row;
}

/** Long prompts have the same token often: its number is with it. */
function tokenCell({ store, signal }: View, name: string): HTMLElement {
  const at = parseNeuron(name);
  const words = () => {
    const study = store.study.value;
    return study && at ? positionName(study, store.pair.value, at.pos) : "";
  };
  return live(signal, words, valueCell("pw-quiet"));
}

function pickButton(view: View, name: string): HTMLElement {
  const { store, signal } = view;
  const choose = (event: MouseEvent) =>
    pickNode(view, name, isAdding(event) ? "toggle" : "only");
  const element = button(name, choose, signal, { class: "pw-plain" });
  pressed(element, () => store.selection.value.includes(name), signal);
  return element;
}

/** As long as the effect is large beside the largest of the list. */
function effectBar({ theme }: View, value: number, list: NeuronList | null) {
  const most = largest(list?.estimates ?? []);
  const share = most > 0 && Number.isFinite(value) ? value / most : 0;
  const bar = el("span", { class: "pw-effect-bar", "aria-hidden": "true" });
  bar.style.width = `${Math.abs(share) * 60}px`;
  bar.style.marginInlineEnd = `${(1 - Math.abs(share)) * 60}px`;
  bar.style.background = css(
    colourAt(theme.value.palette.diverging, Math.sign(share) * 0.6),
  );
  return bar;
}

function foot(
  view: View,
  question: ReadonlySignal<NeuronQuestion>,
  answer: Answer,
  list: Shown,
  top: Signal<number>,
): HTMLElement {
  const { store, signal } = view;
  const line = el("div", { class: "pw-neurons-foot", "aria-live": "polite" });
  const grow = () => {
    top.value = Math.min(MOST, top.peek() * 2);
  };
  const more = button("more", grow, signal);
  const again = tryAgain(view, () => store.neurons.retry(question.peek()));
  react(signal, () => {
    const now = answer.value;
    const hasMore = (list.value?.total ?? 0) > top.value && top.value < MOST;
    const isNone = now?.state === "ready" && now.answer.names.length === 0;
    line.replaceChildren(
      ...unanswered(now, "No neurons", again),
      ...(isNone ? [quiet(`${counted(0, "neuron")}.`)] : []),
      ...(now?.state === "ready" && hasMore && !isNone ? [more] : []),
    );
  });
  return line;
}
