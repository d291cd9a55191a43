/** The prompt's tokens, coloured by what the one in focus attends to, or by what to it. */

import { computed, type ReadonlySignal } from "@preact/signals-core";
import { colourAt, css, type Rgb } from "../draw/colour";
import { el, react } from "../draw/dom";
import { signed, unsigned } from "../draw/number";
import { headName } from "../state/attention";
import { focusedToken, strongest, tokenPlace, tokenRuns } from "../state/look";
import { type Direction, profile, type Run } from "../state/pattern";
import { positionName } from "../state/tokens";
import { revealing } from "../state/viewport";
import { segments } from "./choice";
import { type HeadsView, RUN_TITLES, scaleOfRun } from "./heads";
import { createTokens, type Tokens } from "./tokens";

/** Steps of colour: a pointer that moves on changes only tokens whose step changes. */
const STEPS = 40;
const MAX_NAMED = 5;
const HINT = "Hover a token; a click or Enter keeps it, Escape lets it go.";

const DIRECTION_LABELS: Record<Direction, string> = {
  to: "attends to",
  from: "attended by",
};

export function tokenStrip(view: HeadsView): HTMLElement {
  const { store, look, ui, pattern, signal } = view;
  const tokens = createTokens(view, {
    hover: (token) => hoverToken(view, token),
    lock: (token) => lockToken(view, token),
    free: () => lockToken(view, null),
  });
  const focus = computed(() => {
    const token = focusedToken(look.locked.value, ui.hover.value, look.direction.value);
    const size = pattern.value?.size ?? 0;
    return token !== null && token < size ? token : null;
  });
  const title = el("span", "pw-focus-title");
  const words = el("div", "pw-focus-words");
  const head = el("div", "pw-focus-line", directionSwitch(view), title);
  const strip = el("div", "pw-focus", head, words, tokens.element);
  react(signal, () => {
    strip.hidden = pattern.value === null || store.study.value === null;
    title.textContent = focusTitle(view, focus.value);
    title.classList.toggle("pw-quiet", focus.value === null);
    words.replaceChildren(...focusWords(view, focus.value));
  });
  colourTokens(view, tokens, focus);
  react(signal, () => tokens.mark(ui.hover.value, focus.value, look.locked.value));
  return strip;
}

function directionSwitch({ look, signal }: HeadsView): HTMLElement {
  return segments(
    { label: "What a token's colours show", name: "direction" },
    (["to", "from"] as const).map((way) => [way, DIRECTION_LABELS[way]] as const),
    () => look.direction.value,
    (direction) => {
      look.direction.value = direction;
    },
    signal,
  );
}

function hoverToken({ ui, look, chosen }: HeadsView, token: number | null): void {
  const head = chosen.peek();
  ui.hover.value =
    head && token !== null
      ? tokenPlace(head, token, look.locked.peek(), look.direction.peek())
      : null;
}

/** A locked token's row or column is brought into the large view. */
function lockToken(view: HeadsView, token: number | null): void {
  const { look, viewport } = view;
  look.locked.value = look.locked.peek() === token ? null : token;
  hoverToken(view, token);
  if (token === null) return;
  const isTo = look.direction.peek() === "to";
  const now = viewport.peek();
  look.viewport.value = revealing(now, isTo ? token : null, isTo ? null : token);
}

interface Line {
  run: Run;
  values: Float32Array;
}

/** The colours' numbers, line by line; none while no token is in focus. */
function linesOf({ look, pattern }: HeadsView, focus: number | null): Line[] {
  const now = pattern.value;
  if (!now || focus === null) return [];
  const weighted = look.weighted.value;
  return tokenRuns(look.aspect.value).map((run) => ({
    run,
    values: profile(now, { run, weighted }, focus, look.direction.value),
  }));
}

function colourTokens(
  view: HeadsView,
  tokens: Tokens,
  focus: ReadonlySignal<number | null>,
): void {
  const { theme, look, signal } = view;
  react(signal, () => {
    tokens.made.value; // read: new elements have no colour yet
    const lines = linesOf(view, focus.value);
    const { diverging } = theme.value.palette;
    for (const [index, run] of tokenRuns(look.aspect.value).entries()) {
      const values = lines[index]?.values;
      const scale = scaleOfRun(view, run);
      tokens.colour(
        index,
        (token) => {
          const value = values?.[token] ?? 0;
          const step = scale > 0 ? Math.round((value / scale) * STEPS) : 0;
          return Number.isFinite(step) ? step : 0;
        },
        (step) => colours(colourAt(diverging, step / STEPS)),
      );
    }
  });
}

/** Letters that stand out on a colour. */
function colours(rgb: Rgb): { background: string; ink: string } {
  const [red, green, blue] = rgb;
  const isLight = 0.299 * red + 0.587 * green + 0.114 * blue > 135;
  return { background: css(rgb), ink: isLight ? "#111" : "#fff" };
}

/** "L4H0: END attends to" */
function focusTitle(view: HeadsView, focus: number | null): string {
  const { store, look, chosen } = view;
  const study = store.study.value;
  const head = chosen.value;
  if (!study || !head || focus === null) return HINT;
  const verb = look.direction.value === "to" ? "attends to" : "is attended by";
  const kept = look.locked.value === null ? "" : " (kept)";
  const name = positionName(study, store.pair.value, focus);
  return `${headName(head)}: ${name}${kept} ${verb}`;
}

/**
 * The strongest weights, a line for each run. As many lines with no token in focus: words
 * that come and go under a pointer must not move what it is at.
 */
function focusWords(view: HeadsView, focus: number | null): HTMLElement[] {
  const { store, look } = view;
  const study = store.study.value;
  const lines = linesOf(view, focus);
  return tokenRuns(look.aspect.value).map((run, index) => {
    const values = lines[index]?.values;
    if (!study || !values) return el("div", {}, "\u00a0");
    const most = strongest(values, MAX_NAMED).map((at) => {
      const name = positionName(study, store.pair.value, at);
      return `${name} ${weight(run, values[at] ?? 0)}`;
    });
    const words = `${RUN_TITLES[run]}: ${most.join(" · ") || "nothing"}`;
    return el("div", { title: words }, words);
  });
}

function weight(run: Run, value: number): string {
  return run === "difference" ? signed(value) : unsigned(value);
}
