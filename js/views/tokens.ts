/** The elements of the token strip: made once a prompt, then only coloured and marked. */

import {
  computed,
  signal as makeSignal,
  type ReadonlySignal,
} from "@preact/signals-core";
import { el, isPlain, listen, react, setAttributes } from "../draw/dom";
import { clamp } from "../draw/geometry";
import { tokenRuns } from "../state/look";
import type { Run } from "../state/pattern";
import type { Place } from "../state/place";
import type { Study } from "../state/study";
import { shownPair, tokenVaries, visibleText } from "../state/tokens";
import { type HeadsView, RUN_TITLES } from "./heads";
import { tokenText } from "./prompt";

export interface TokenActions {
  /** Null when the pointer has left. */
  hover(token: number | null): void;
  lock(token: number): void;
  free(): void;
}

export interface Tokens {
  element: HTMLElement;
  /** Counts the times that the elements were made anew. */
  made: ReadonlySignal<number>;
  /** Colours a line of all tokens by steps; 0 is no colour. */
  colour(
    line: number,
    stepOf: (token: number) => number,
    colours: (step: number) => { background: string; ink: string },
  ): void;
  mark(place: Place | null, focus: number | null, locked: number | null): void;
}

interface TokenElement {
  element: HTMLElement;
  lines: HTMLElement[];
  /** The step that each line is painted in. */
  steps: number[];
}

export function createTokens(view: HeadsView, actions: TokenActions): Tokens {
  const { store, look, pattern, signal } = view;
  const label = "Tokens. Arrow keys move, Enter keeps one, Escape lets it go.";
  const attributes = { role: "listbox", "aria-label": label };
  const element = el("div", { class: "pw-focus-tokens", ...attributes });
  const made = makeSignal(0);
  let tokens: TokenElement[] = [];
  let last = 0;
  // Kept while another head's pattern is on its way: its tokens are the same.
  const size = computed(() => {
    last = pattern.value?.size ?? last;
    return last;
  });
  react(signal, () => {
    const study = store.study.value;
    const runs = tokenRuns(look.aspect.value);
    tokens = study
      ? Array.from({ length: size.value }, (_, at) =>
          tokenElement(study, store.pair.value, at, runs),
        )
      : [];
    element.replaceChildren(lineNames(runs), ...tokens.map((token) => token.element));
    const first = tokens[0]?.element;
    if (first) first.tabIndex = 0;
    made.value = made.peek() + 1;
  });
  listenToTokens(element, () => tokens, actions, signal);
  const marks = createMarks();
  return {
    element,
    made,
    colour(line, stepOf, colours) {
      for (const [at, token] of tokens.entries()) {
        paintToken(token, line, stepOf(at), colours);
      }
    },
    mark(place, focus, locked) {
      made.value; // read: new elements have no marks yet
      const at = (token: number | null | undefined) =>
        token == null ? undefined : tokens[token]?.element;
      marks("pw-at", at(place?.pos ?? focus));
      marks("pw-source", at(place?.src));
      if (marks("pw-locked", at(locked))) scrollTo(element, at(locked));
    },
  };
}

/** What each line is; before the first token, as in the prompt strip. */
function lineNames(runs: readonly Run[]): HTMLElement {
  const names = runs.map((run) => el("span", {}, RUN_TITLES[run]));
  const attributes = { class: "pw-focus-lines", "aria-hidden": "true" };
  return el("span", attributes, ...names);
}

function tokenElement(
  study: Study,
  pair: number,
  position: number,
  runs: readonly Run[],
): TokenElement {
  const shown = study.pairs[shownPair(pair)];
  const textOf = (run: Run) =>
    (run === "corrupted" ? shown?.corrupted : shown?.clean)?.[position] ?? "";
  const lines = runs.map((run) => tokenText(textOf(run), "pw-focus-text"));
  const name = study.names.get(position) ?? "";
  const words = runs.map((run) => `${run} ${visibleText(textOf(run))}`).join(", ");
  const element = el(
    "span",
    { class: "pw-focus-token", role: "option", tabindex: -1, "data-pos": position },
    el("span", "pw-name", name),
    ...lines,
  );
  element.title = `position ${position}${name && ` (${name})`}: ${words}`;
  element.setAttribute("aria-selected", "false");
  element.classList.toggle("pw-varies", pair < 0 && tokenVaries(study, position));
  return { element, lines, steps: runs.map(() => 0) };
}

function paintToken(
  { lines, steps }: TokenElement,
  line: number,
  step: number,
  colours: (step: number) => { background: string; ink: string },
): void {
  const target = lines[line];
  if (!target) return;
  if (step === 0 && steps[line] === 0) return;
  steps[line] = step;
  const { background, ink } = step === 0 ? { background: "", ink: "" } : colours(step);
  target.style.background = background;
  target.style.color = ink;
}

/**
 * Moves a mark from the element that has it: long prompts are not gone through. Returns
 * whether it has moved.
 */
function createMarks(): (name: string, element: HTMLElement | undefined) => boolean {
  const marked = new Map<string, HTMLElement>();
  return (name, element) => {
    const old = marked.get(name);
    if (old === element) return false;
    old?.classList.remove(name);
    marked.delete(name);
    if (name === "pw-locked") old?.setAttribute("aria-selected", "false");
    if (!element) return true;
    element.classList.add(name);
    marked.set(name, element);
    if (name === "pw-locked") element.setAttribute("aria-selected", "true");
    return true;
  };
}

/** Scrolls the strip, never the page. */
function scrollTo(strip: HTMLElement, token: HTMLElement | undefined): void {
  if (!token) return;
  const { offsetTop, offsetHeight } = token;
  const lowest = offsetTop + offsetHeight - strip.clientHeight;
  strip.scrollTop = clamp(strip.scrollTop, lowest, offsetTop);
}

function listenToTokens(
  strip: HTMLElement,
  tokens: () => TokenElement[],
  actions: TokenActions,
  signal: AbortSignal,
): void {
  const at = ({ target }: Event) => {
    const token = target instanceof Element ? target.closest("[data-pos]") : null;
    return token instanceof HTMLElement ? Number(token.dataset.pos) : null;
  };
  const leave = () => actions.hover(null);
  const over = (event: Event) => {
    const token = at(event);
    if (token !== null) actions.hover(token);
  };
  const click = (event: Event) => {
    const token = at(event);
    if (token === null) return;
    moveTabStop(tokens(), token);
    actions.lock(token);
  };
  const onKey = (event: KeyboardEvent) => {
    const token = at(event);
    if (token === null || !isPlain(event)) return;
    const next = neighbour(tokens(), token, event.key);
    if (next !== null) moveTabStop(tokens(), next)?.focus();
    else if (event.key === "Enter" || event.key === " ") actions.lock(token);
    else if (event.key === "Escape") actions.free();
    else return;
    event.preventDefault(); // the page would scroll
  };
  // By keyboard only: a click focuses too, and what it means is said above.
  const focus = (event: Event) => {
    const isKeyboard =
      event.target instanceof Element && event.target.matches(":focus-visible");
    if (isKeyboard) over(event);
  };
  listen(
    strip,
    {
      pointerover: over,
      pointerleave: leave,
      focusin: focus,
      focusout: leave,
      click,
      keydown: onKey,
    },
    signal,
  );
}

/** One stop for the Tab key in the whole strip: where one was last. */
function moveTabStop(tokens: TokenElement[], to: number): HTMLElement | undefined {
  for (const { element } of tokens) if (element.tabIndex === 0) element.tabIndex = -1;
  const target = tokens[to]?.element;
  if (target) setAttributes(target, { tabindex: 0 });
  return target;
}

/** Left and right go along the text, up and down to the line above or below. */
function neighbour(tokens: TokenElement[], from: number, key: string): number | null {
  const last = tokens.length - 1;
  if (key === "ArrowUp") return otherLine(tokens, from, -1);
  if (key === "ArrowDown") return otherLine(tokens, from, 1);
  const to = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last }[key];
  return to === undefined ? null : clamp(to, 0, last);
}

function otherLine(tokens: TokenElement[], from: number, step: -1 | 1): number {
  const start = tokens[from]?.element;
  let best = from;
  let line: number | null = null;
  for (let at = from + step; start && at >= 0 && at < tokens.length; at += step) {
    const element = tokens[at]?.element;
    if (!element || element.offsetTop === start.offsetTop) continue;
    line ??= element.offsetTop;
    if (element.offsetTop !== line) break;
    const away = (index: number) =>
      Math.abs((tokens[index]?.element.offsetLeft ?? 0) - start.offsetLeft);
    if (best === from || away(at) < away(best)) best = at;
  }
  return best;
}
