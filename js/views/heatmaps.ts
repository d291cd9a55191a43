/** The heatmaps: a line of facets by position, and a line of facets by head. */

import { computed } from "@preact/signals-core";
import { el, keyed, react } from "../draw/dom";
import { layoutFacets } from "../draw/geometry";
import { isHeadKind, type Kind } from "../state/node";
import { createFacet, type FacetFrame, facetMargin } from "./facet";
import type { MakeView, View } from "./view";

export const heatmapsView: MakeView = (view) => {
  const { store, signal } = view;
  const empty = el("div", { class: "pw-quiet" }, "No estimates yet.");
  react(signal, () => {
    empty.hidden = store.figure.value.facets.size > 0 || store.study.value === null;
  });
  return el(
    "section",
    { class: "pw-heatmaps" },
    empty,
    facetLine(view, (kind) => !isHeadKind(kind)),
    facetLine(view, isHeadKind),
  );
};

function facetLine(view: View, belongs: (kind: Kind) => boolean): HTMLElement {
  const { signal } = view;
  const line = el("div", { class: "pw-facets" });
  const frame = computed(() => frameOf(view, belongs));
  const children = keyed<Kind>(
    line,
    (kind, life) => createFacet({ ...view, signal: life }, kind, frame),
    signal,
  );
  react(signal, () => children(frame.value.kinds));
  return line;
}

function frameOf({ store, ui }: View, belongs: (kind: Kind) => boolean): FacetFrame {
  const all = [...store.figure.value.facets.values()];
  const facets = all.filter(({ kind }) => belongs(kind));
  const shape = {
    rows: Math.max(1, ...facets.map(({ rows }) => rows)),
    columns: Math.max(1, ...facets.map(({ columns }) => columns)),
  };
  const margin = facetMargin(shape.rows);
  const layout = layoutFacets(ui.width.value, facets.length, shape, margin);
  return { ...layout, kinds: facets.map(({ kind }) => kind) };
}
