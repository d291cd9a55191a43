/** What is shown of the picked heads, and the scales of its colours. */

import { colourBar } from "../draw/colourbar";
import { el, quiet, react } from "../draw/dom";
import { ASPECTS, type Aspect, shownRuns } from "../state/look";
import { segments, toggle } from "./choice";
import { type HeadsView, scaleOfRun } from "./heads";

const ASPECT_WORDS: Record<Aspect, readonly [label: string, title: string]> = {
  clean: ["clean", "Attention in the clean run"],
  corrupted: ["corrupted", "Attention in the corrupted run"],
  difference: ["difference", "Clean − corrupted"],
  all: ["side by side", "Clean, corrupted and their difference"],
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
  return segments(
    { label: "Attention shown", name: "aspect" },
    ASPECTS.map((aspect) => [aspect, ...ASPECT_WORDS[aspect]] as const),
    () => look.aspect.value,
    (aspect) => {
      look.aspect.value = aspect;
    },
    signal,
  );
}

/** One bar for patterns, one for differences: as many as are on the page. */
function bars(view: HeadsView): HTMLElement {
  const { look, theme, signal } = view;
  const line = el("div", "pw-attention-bars");
  react(signal, () => {
    const runs = shownRuns(look.aspect.value);
    const { diverging } = theme.value.palette;
    const what = look.weighted.value ? "attention × value norm" : "attention";
    const isRun = runs.some((run) => run !== "difference");
    const isDifference = runs.includes("difference");
    const bar = (run: "clean" | "difference", words: string) =>
      el(
        "div",
        "pw-scale",
        colourBar({
          colours: diverging,
          scale: scaleOfRun(view, run),
          signed: run === "difference",
        }).element,
        quiet(words),
      );
    line.replaceChildren(
      ...(isRun ? [bar("clean", what)] : []),
      ...(isDifference ? [bar("difference", `clean − corrupted ${what}`)] : []),
    );
  });
  return line;
}
