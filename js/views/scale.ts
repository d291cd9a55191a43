/** The drawn scale of a line of facets, with a pointer at the hovered cell's value. */

import { computed } from "@preact/signals-core";
import { colourBar } from "../draw/colourbar";
import { el, react } from "../draw/dom";
import { type Line, lineOf } from "../state/figure";
import { nodeCell } from "../state/node";
import type { Shown } from "../state/settings";
import type { View } from "./view";
import { counted, effectWords } from "./words";

/** What differences are shown, where it is no effect. */
const MISSES: Partial<Record<Shown, string>> = {
  miss: "size of the miss",
  mine_miss: "mine − exact where known, mine − estimate elsewhere",
};

export function lineScale(view: View, line: Line): HTMLElement {
  const { store, theme, signal } = view;
  const strip = el("span", "pw-scale");
  const words = el("span", "pw-quiet");
  const bar = computed(() => {
    const { shown, scales } = store.figure.value;
    return drawBar(view, shown === "miss", scales[line]);
  });
  react(signal, () => {
    theme.value; // read: the bar is drawn in the theme's colours
    strip.replaceChildren(bar.value.element);
    strip.hidden = store.figure.value.scales[line] === 0;
    words.textContent = meaning(view, line);
  });
  react(signal, () => bar.value.point(hoveredValue(view, line)));
  return el("span", "pw-line-scale", strip, words);
}

/** A bar in the colours of what is shown; without effects it has no numbers to show. */
export function drawBar({ theme }: View, isMiss: boolean, scale: number) {
  const { palette } = theme.value;
  const colours = isMiss ? palette.miss : palette.diverging;
  return colourBar({ colours, scale: scale || 1, signed: !isMiss });
}

/** The heatmaps never follow the choice of a pair, so they say what they show. */
function meaning({ store }: View, line: Line): string {
  const study = store.study.value;
  const { shown, scales } = store.figure.value;
  if (!study) return "";
  const { length } = study.pairs;
  return [
    MISSES[shown] ?? effectWords(study),
    length > 1 ? `mean of ${counted(length, "pair")}` : "",
    scales[line] === 0 ? "every value is 0" : "",
  ]
    .filter((part) => part !== "")
    .join(" · ");
}

/** What is shown where the pointer is, if that is in this line. */
function hoveredValue({ store, ui }: View, line: Line): number | null {
  const node = ui.hover.value?.node;
  const cell = node && nodeCell(node);
  if (!cell || lineOf(node.kind) !== line) return null;
  const facet = store.figure.value.facets.get(node.kind);
  if (!facet || cell.row >= facet.rows || cell.column >= facet.columns) return null;
  return facet.values[cell.row * facet.columns + cell.column] ?? null;
}
