/** The attention between the two positions under the pointer, in numbers. */

import { el, live } from "../draw/dom";
import { unsigned } from "../draw/number";
import { type HeadRef, headName } from "../state/attention";
import { type Pattern, valueAt } from "../state/pattern";
import type { Place } from "../state/place";
import { positionName } from "../state/tokens";
import { type HeadsView, readyPattern } from "./heads";

/** "L4H0 from END to IO: clean 0.930, corrupted 0.120; value-weighted ..." */
export function attentionReadout(view: HeadsView): HTMLElement {
  const { ui, signal } = view;
  const words = () => (ui.hover.value ? placeWords(view, ui.hover.value) : "");
  return live(signal, words, el("span", { "aria-live": "polite" }));
}

function placeWords(view: HeadsView, place: Place): string {
  const { layer, heads, pos, src } = place;
  const study = view.store.study.value;
  if (!study || layer === null || heads === null || pos === null || src === null) {
    return "";
  }
  const head: HeadRef = { layer, head: heads[0] };
  const pattern = readyPattern(view, head);
  if (!pattern || Math.max(pos, src) >= pattern.size) return "";
  const pair = view.store.pair.value;
  const [from, to] = [pos, src].map((at) => positionName(study, pair, at));
  const where = `${headName(head)} from ${from} to ${to}`;
  return src > pos
    ? `${where}: nothing, it comes later`
    : `${where}: ${weightWords(pattern, pos, src)}`;
}

function weightWords(pattern: Pattern, pos: number, src: number): string {
  const words = (weighted: boolean) =>
    (["clean", "corrupted"] as const)
      .map((run) => {
        const value = valueAt(pattern, { run, weighted }, pos, src);
        return `${run} ${unsigned(value)}`;
      })
      .join(", ");
  return `${words(false)}; value-weighted ${words(true)}`;
}
