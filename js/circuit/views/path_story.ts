/** Are the verified paths of the sketch the whole story? */

import { computed } from "@preact/signals-core";
import { el, live, react } from "../../draw/dom";
import { counted } from "../../views/words";
import { isChain } from "../chain";
import type { Wanted } from "../costs";
import type { Circuit } from "../record";
import { costed } from "./costed";
import { figuresOf, wordsOf } from "./story";
import type { CircuitView } from "./view";

export function pathStory(view: CircuitView): HTMLElement {
  const { circuit, signal } = view;
  const found = computed(() => circuit.value.pathStory);
  const names = computed(() => [...circuit.value.paths.keys()]);
  const label = () => {
    const { length } = names.value;
    return length === 0
      ? "are the paths the whole story? Verify one first"
      : `judge the circuit of ${counted(length, "path")} …`;
  };
  const wanted = (): Wanted => ({ what: "path_story", names: names.value });
  const figures = el(
    "details",
    "pw-evidence",
    el("summary", {}, "the story in figures"),
    figuresOf(view, found, "paths"),
  );
  react(signal, () => {
    figures.hidden = found.value === null;
  });
  return el(
    "div",
    "pw-path-story",
    costed(view, label, wanted, true),
    live(signal, () => gapWords(view), el("div", "pw-quiet")),
    live(signal, () => laterWords(circuit.value), el("div", "pw-quiet")),
    wordsOf(view, found),
    figures,
  );
}

/** Why the paths alone would keep nothing. */
function gapWords({ circuit, store }: CircuitView): string {
  const [{ paths }, study] = [circuit.value, store.study.value];
  if (!study || paths.size === 0 || isChain(paths, study)) return "";
  return (
    "No chain of these paths leads from the embedding to the logits yet: alone they " +
    "keep nothing."
  );
}

/** Of which paths the story is, where others were verified since. */
function laterWords({ paths, pathStory }: Circuit): string {
  if (!pathStory) return "";
  const { length } = [...paths.keys()].filter((one) => !pathStory.paths.includes(one));
  if (length === 0) return "";
  const those = counted(pathStory.paths.length, "path");
  return `Of ${those}: ${counted(length, "path")} verified since ${length === 1 ? "is" : "are"} not among them.`;
}
