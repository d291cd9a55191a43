/** Plots with the same columns scroll together, so that positions stay in line. */

import { untracked } from "@preact/signals-core";
import { react } from "../draw/dom";
import type { View } from "./view";

/** Returns what brings a plot in line again after it was drawn anew. */
export function scrollTogether(
  { ui, signal }: View,
  scroller: HTMLElement,
): () => void {
  let given = -1;
  const onScroll = () => {
    // Told to by a sibling: an answer could pull that one back by a pixel.
    if (scroller.scrollLeft === given) return;
    given = -1;
    ui.scroll.value = scroller.scrollLeft;
  };
  const follow = () => {
    const at = ui.scroll.value;
    if (Math.abs(scroller.scrollLeft - at) < 1) return;
    scroller.scrollLeft = at;
    given = scroller.scrollLeft; // less, where this one ends before
  };
  scroller.addEventListener("scroll", onScroll, { signal, passive: true });
  react(signal, follow);
  return () => untracked(follow);
}
