/** The prompt strip: clean over corrupted tokens, and the choice of a pair. */

import { el, listen, quiet, react } from "../draw/dom";
import { signed } from "../draw/number";
import { positionPlace } from "../state/place";
import { DIRECTIONS, type Pair, type Study } from "../state/study";
import {
  positionName,
  shownPair,
  tokenVaries,
  visibleText,
  visibleToken,
} from "../state/tokens";
import { segments, select, setOptions } from "./choice";
import type { MakeView, View } from "./view";
import { DIRECTION_WORDS, rangeWords } from "./words";

/** Positions at which the prompts differ, beyond which they are counted. */
const MAX_NAMED = 4;

export const promptView: MakeView = (view) => {
  const { store, signal } = view;
  const tokens = el("div", "pw-tokens");
  // Long prompts scroll, which a keyboard can only do in what it can reach.
  const reach = {
    tabindex: 0,
    role: "region",
    "aria-label": "Clean and corrupted prompt",
  };
  const strip = el("div", { class: "pw-strip", ...reach }, rowNames(), tokens);
  const facts = el("div", "pw-facts");
  let columns: HTMLElement[] = [];
  react(signal, () => {
    const study = store.study.value;
    columns = study ? tokenColumns(study, store.pair.value) : [];
    strip.hidden = study === null;
    tokens.replaceChildren(...columns);
  });
  react(signal, () => {
    const study = store.study.value;
    facts.replaceChildren(...(study ? pairFacts(study, store.pair.value) : []));
  });
  followHover(view, tokens, () => columns);
  return el("section", "pw-prompt", strip, pairLine(view, facts));
};

function rowNames(): HTMLElement {
  return el(
    "div",
    "pw-row-names",
    el("span", "pw-name"),
    el("span", {}, "clean"),
    el("span", {}, "corrupted"),
  );
}

function tokenColumns(study: Study, pair: number): HTMLElement[] {
  const shown = study.pairs[shownPair(pair)];
  return Array.from({ length: study.positions }, (_, position) => {
    const clean = shown?.clean[position] ?? "";
    const corrupted = shown?.corrupted[position] ?? "";
    const differs = clean !== corrupted;
    const title = `position ${position}: clean ${visibleText(clean)}${
      differs ? `, corrupted ${visibleText(corrupted)}` : ""
    }`;
    const column = el(
      "div",
      { class: "pw-token", "data-pos": position, title },
      el("span", "pw-name", nameOf(study, position)),
      tokenText(clean, "pw-clean"),
      tokenText(corrupted, "pw-corrupted"),
    );
    column.classList.toggle("pw-differs", differs);
    column.classList.toggle("pw-varies", pair < 0 && tokenVaries(study, position));
    return column;
  });
}

function nameOf({ names, answerPosition }: Study, position: number): string {
  return names.get(position) ?? (position === answerPosition ? "answer" : "");
}

export function tokenText(token: string, name: string): HTMLElement {
  const { lead, body } = visibleToken(token);
  const text = el("bdi", { dir: "ltr" }, body);
  const space = lead ? [el("span", "pw-space", lead)] : [];
  return el("span", name, ...space, text);
}

/** Answers and metric: of one pair, or over all of them. */
function pairFacts(study: Study, pair: number): HTMLElement[] {
  const { metric, pairs } = study;
  const index = shownPair(pair);
  const answers = [...answerFacts(pairs[index]), differenceFact(study, index)];
  if (pairs.length === 1) return answers; // the header has said the rest
  if (metric.clean.length !== pairs.length) {
    // A user's own metric may give one number for all pairs: the header's.
    return [
      ...answers,
      el("span", {}, `${metric.name} is known for all pairs together`),
    ];
  }
  if (pair >= 0) {
    const values = [metric.clean[index], metric.corrupted[index]];
    const [clean = Number.NaN, corrupted = Number.NaN] = values;
    const text = `${metric.name} clean ${signed(clean)}, corrupted ${signed(corrupted)}`;
    return [...answers, el("span", {}, text)];
  }
  const ranges = `clean ${rangeWords(metric.clean)}, corrupted ${rangeWords(metric.corrupted)}`;
  const example = "Shown: pair 1. Tokens in italics differ between pairs.";
  return [
    ...answers,
    el("span", {}, `${metric.name} over pairs: ${ranges}`),
    quiet(example),
  ];
}

/** A difference may lie where a long prompt has to be scrolled to. */
function differenceFact(study: Study, index: number): HTMLElement {
  const { clean = [], corrupted = [] } = study.pairs[index] ?? {};
  const places = clean.flatMap((token, position) =>
    token === corrupted[position] ? [] : [positionName(study, index, position)],
  );
  const named = places.slice(0, MAX_NAMED).join(", ");
  const more = places.length - MAX_NAMED;
  const text = `differ at ${named}${more > 0 ? ` and ${more} more` : ""}`;
  return el("span", {}, places.length > 0 ? text : "the prompts do not differ");
}

function answerFacts(pair: Pair | undefined): HTMLElement[] {
  return (pair?.answers ?? []).map((answer, index) => {
    const role = index === 0 ? "right" : "wrong";
    const mark = index === 0 ? "✓" : "✗";
    return el(
      "span",
      `pw-answer pw-${role}`,
      `${mark} ${role} `,
      tokenText(answer, "pw-answer-token"),
    );
  });
}

function pairLine(view: View, facts: HTMLElement): HTMLElement {
  const { store, signal } = view;
  const choose = (index: string) => store.set("pair", Number(index));
  const choice = select("Pair shown", choose, signal);
  choice.classList.add("pw-pair");
  react(signal, () => {
    const pairs = store.study.value?.pairs ?? [];
    choice.hidden = pairs.length < 2;
    const each = pairs.map(
      (pair, at) => [`${at}`, `pair ${at + 1}${optionAnswers(pair)}`] as const,
    );
    const mean = ["-1", `mean of ${pairs.length} pairs`] as const;
    setOptions(choice, [mean, ...each], `${store.pair.value}`);
  });
  return el("div", "pw-pair-line", choice, directionSwitch(view), facts);
}

/** Only where there are two: an ablation has no other direction. */
function directionSwitch({ store, signal }: View): HTMLElement {
  const group = segments(
    { label: "Direction", name: "way" },
    DIRECTIONS.map((direction) => [direction, direction, DIRECTION_WORDS[direction]]),
    // The study's own: what is on the page, whatever has been asked for since.
    () => store.study.value?.direction,
    (direction) => store.set("direction", direction),
    signal,
  );
  react(signal, () => {
    group.hidden = (store.study.value?.directions.length ?? 0) < 2;
  });
  return group;
}

function optionAnswers({ answers }: Pair): string {
  return answers.length > 0 ? `: ${answers.map(visibleText).join(" / ")}` : "";
}

function followHover(
  { ui, store, signal }: View,
  tokens: HTMLElement,
  columns: () => HTMLElement[],
): void {
  const leave = () => {
    ui.hover.value = null;
  };
  const over = (event: Event) => {
    const column = columns().find((candidate) =>
      event.composedPath().includes(candidate),
    );
    if (column) ui.hover.value = positionPlace(Number(column.dataset.pos));
  };
  listen(tokens, { pointerover: over, pointerleave: leave }, signal);
  react(signal, () => {
    const place = ui.hover.value;
    store.study.value; // read: the columns are made anew with the study and the pair
    store.pair.value;
    columns().forEach((column, position) => {
      column.classList.toggle("pw-at", place?.pos === position);
      column.classList.toggle("pw-source", place?.src === position);
    });
  });
}
