/** The heatmaps: a line of facets by position, and a line of facets by head. */

import { computed, type ReadonlySignal } from "@preact/signals-core";
import { button, el, keyed, react } from "../draw/dom";
import { layoutFacets, NARROWEST_CELL } from "../draw/geometry";
import { LINES, type Line, lineOf } from "../state/figure";
import type { Kind } from "../state/node";
import { createFacet, type FacetFrame, facetMargin } from "./facet";
import { createNamer } from "./namer";
import { lineScale } from "./scale";
import type { MakeView, View } from "./view";

const LINE_TITLES: Record<Line, string> = { position: "By position", head: "By head" };

export const heatmapsView: MakeView = (view) => {
  const { store, signal } = view;
  const empty = el("div", "pw-quiet", "No estimates yet.");
  react(signal, () => {
    empty.hidden = store.figure.value.facets.size > 0 || store.study.value === null;
  });
  const lines = LINES.map((line) => facetLine(view, line));
  const section = el("section", "pw-heatmaps", empty, ...lines);
  section.append(createNamer(view, section));
  return section;
};

function facetLine(view: View, line: Line): HTMLElement {
  const { signal } = view;
  const facets = el("div", "pw-facets");
  let last: FacetFrame | undefined;
  const frame = computed(() => {
    const next = frameOf(view, line);
    // The same as long as it says the same: a new one has every facet painted.
    if (!last || JSON.stringify(next) !== JSON.stringify(last)) last = next;
    return last;
  });
  const children = keyed<Kind>(
    facets,
    (kind, life) => createFacet({ ...view, signal: life }, kind, frame),
    signal,
  );
  const title = el("span", "pw-section-title", LINE_TITLES[line]);
  const head = el("div", "pw-line-head", title, lineScale(view, line));
  if (line === "position") head.append(fitButton(view, frame));
  const group = el("div", { class: "pw-line-group", "data-line": line }, head, facets);
  react(signal, () => {
    group.hidden = frame.value.kinds.length === 0;
    children(frame.value.kinds);
  });
  return group;
}

function frameOf({ store, ui }: View, line: Line): FacetFrame {
  const all = [...store.figure.value.facets.values()];
  const facets = all.filter(({ kind }) => lineOf(kind) === line);
  const shape = {
    rows: Math.max(1, ...facets.map(({ rows }) => rows)),
    columns: Math.max(1, ...facets.map(({ columns }) => columns)),
  };
  const margin = facetMargin(shape.rows);
  const room = ui.width.value;
  const fit = line === "position" && ui.fit.value;
  const layout = layoutFacets(room, facets.length, shape, margin, fit);
  return { ...layout, room, kinds: facets.map(({ kind }) => kind) };
}

/** Only for prompts that are longer than the page is wide. */
function fitButton(
  { store, ui, signal }: View,
  frame: ReadonlySignal<FacetFrame>,
): HTMLElement {
  const toggle = () => {
    ui.fit.value = !ui.fit.peek();
  };
  const choice = button("", toggle, signal);
  choice.classList.add("pw-fit");
  react(signal, () => {
    const positions = store.study.value?.positions ?? 0;
    const { kinds, room } = frame.value;
    const layers = store.study.value?.layers ?? 1;
    choice.hidden =
      kinds.length === 0 || positions * NARROWEST_CELL + facetMargin(layers) <= room;
    choice.textContent = ui.fit.value ? "wider cells" : `all ${positions} in the width`;
    choice.setAttribute("aria-pressed", `${ui.fit.value}`);
  });
  return choice;
}
