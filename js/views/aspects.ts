/** What is shown of the picked heads, and the scales of its colours. */

import type { Signal } from "@preact/signals-core";
import { colourBar } from "../draw/colourbar";
import { button, el, react, setAttributes } from "../draw/dom";
import { ASPECTS, type Aspect, shownRuns } from "../state/look";
import type { HeadsView } from "./heads";
import { scaleOfRun } from "./heads";

const ASPECT_WORDS: Record<Aspect, { label: string; title: string }> = {
  clean: { label: "clean", title: "Attention in the clean run" },
  corrupted: { label: "corrupted", title: "Attention in the corrupted run" },
  difference: { label: "difference", title: "Clean − corrupted" },
  all: { label: "side by side", title: "Clean, corrupted and their difference" },
};

export function attentionControls(view: HeadsView, handOff: HTMLElement): HTMLElement {
  const { look, signal } = view;
  const weighted = toggle(
    "value-weighted",
    "Attention times the norm of what the head writes of that token's value; of a mean " +
      "over pairs, mean attention times mean norm",
    look.weighted,
    signal,
  );
  const own = toggle(
    "own scale",
    "Colours for the large head alone; else one scale for all heads, to compare them",
    look.ownScale,
    signal,
  );
  react(signal, () => {
    own.hidden = view.heads.value.length < 2;
  });
  const attributes = { class: "pw-controls pw-attention-controls" };
  return el("div", attributes, aspectSwitch(view), weighted, own, handOff, bars(view));
}

function aspectSwitch({ look, signal }: HeadsView): HTMLElement {
  const buttons = ASPECTS.map((aspect) => {
    const choose = () => {
      look.aspect.value = aspect;
    };
    const { label, title } = ASPECT_WORDS[aspect];
    const choice = button(label, choose, signal);
    choice.classList.add("pw-shown");
    setAttributes(choice, { title, "data-aspect": aspect });
    react(signal, () => {
      choice.setAttribute("aria-pressed", `${look.aspect.value === aspect}`);
    });
    return choice;
  });
  const attributes = { role: "group", "aria-label": "Attention shown" };
  return el("div", { class: "pw-switch", ...attributes }, ...buttons);
}

function toggle(
  label: string,
  title: string,
  state: Signal<boolean>,
  signal: AbortSignal,
): HTMLButtonElement {
  const flip = () => {
    state.value = !state.peek();
  };
  const element = button(label, flip, signal);
  element.classList.add("pw-shown", "pw-toggle");
  element.title = title;
  react(signal, () => element.setAttribute("aria-pressed", `${state.value}`));
  return element;
}

/** One bar for patterns, one for differences: as many as are on the page. */
function bars(view: HeadsView): HTMLElement {
  const { look, theme, signal } = view;
  const line = el("div", { class: "pw-attention-bars" });
  react(signal, () => {
    const runs = shownRuns(look.aspect.value);
    const { diverging } = theme.value.palette;
    const what = look.weighted.value ? "attention × value norm" : "attention";
    const isRun = runs.some((run) => run !== "difference");
    const isDifference = runs.includes("difference");
    const bar = (run: "clean" | "difference", words: string) =>
      el(
        "div",
        { class: "pw-scale" },
        colourBar({
          colours: diverging,
          scale: scaleOfRun(view, run),
          signed: run === "difference",
        }).element,
        el("span", { class: "pw-quiet" }, words),
      );
    line.replaceChildren(
      ...(isRun ? [bar("clean", what)] : []),
      ...(isDifference ? [bar("difference", `clean − corrupted ${what}`)] : []),
    );
  });
  return line;
}
