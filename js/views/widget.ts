/** One output: all views under one root, tied to the output's life. */

import { computed } from "@preact/signals-core";
import { el, isPlain, listen, react } from "../draw/dom";
import { watchTheme } from "../draw/theme";
import { onAbort } from "../host/life";
import type { Store } from "../state/store";
import { createUi } from "../state/ui";
import { attentionView } from "./attention";
import { circuitView } from "./circuit";
import { controlsView } from "./controls";
import { copyView } from "./copy";
import { foldable } from "./foldable";
import { headerView } from "./header";
import { heatmapsView } from "./heatmaps";
import { jobView } from "./job";
import { neuronsView } from "./neurons";
import { picksView } from "./picks";
import { promptView } from "./prompt";
import { questionView } from "./question";
import { rankingView } from "./ranking";
import { readoutView } from "./readout";
import { rowView } from "./row";
import { scatterView } from "./scatter";
import { verifyView } from "./verify";
import { type MakeView, ROOM_FOR_TWO, type View } from "./view";

/** From top to bottom. */
const VIEWS: readonly MakeView[] = [
  headerView,
  foldable("prompt", "Prompts", promptView),
  questionView,
  controlsView,
  readoutView,
  jobView,
  foldable("grids", "Effects", heatmapsView),
  foldable("row", "By position", rowView),
  foldable("neurons", "Neurons of largest effect", neuronsView),
  beside(
    foldable("scatter", "Estimate against exact", scatterView),
    foldable("ranking", "Ranking", rankingView),
  ),
  verifyView,
  foldable("picks", "Picks", picksView),
  foldable("attention", "Attention", attentionView),
  foldable("circuit", "Paths and circuit", circuitView),
  copyView,
];

function beside(...parts: readonly MakeView[]): MakeView {
  return (view) => {
    const pair = el("div", {}, ...parts.map((makeView) => makeView(view)));
    react(view.signal, () => {
      pair.className = view.ui.width.value < ROOM_FOR_TWO ? "pw-body" : "pw-beside";
    });
    return pair;
  };
}

export function mountWidget(store: Store, parent: HTMLElement, signal: AbortSignal) {
  const body = el("div", "pw-body");
  const root = el("div", "pw-root", body);
  listen(root, { keydown: keepPlainKeys }, signal);
  parent.append(root);
  const ui = createUi();
  ui.root.value = root;
  const { theme: screen, refresh } = watchTheme(root, signal);
  const theme = computed(() => {
    const { density, ...look } = screen.value;
    return { ...look, density: ui.density.value ?? density };
  });
  const observer = new ResizeObserver(() => {
    const width = Math.floor(body.getBoundingClientRect().width);
    // Only now that it is laid out can the root be asked for its colours.
    if (ui.width.peek() === 0) refresh();
    ui.width.value = width;
  });
  observer.observe(body);
  onAbort(signal, () => observer.disconnect());
  ui.width.value = Math.floor(body.getBoundingClientRect().width);
  react(signal, () => {
    root.classList.toggle("pw-full", store.wide.value);
  });
  const view: View = { store, ui, theme, signal };
  body.append(...VIEWS.map((makeView) => makeView(view)));
  onAbort(signal, () => root.remove());
}

/**
 * Plain keys stay in the widget: notebooks take letters and Enter for commands, and a
 * "b" would insert a cell. Keys with a modifier go on, so that Ctrl-S still saves.
 */
function keepPlainKeys(event: KeyboardEvent): void {
  if (isPlain(event)) event.stopPropagation();
}
