/** One line with the node under the pointer, its estimate and its exact effect. */

import { el, react } from "../draw/dom";
import { signed, unsigned } from "../draw/number";
import { missOf } from "../state/figure";
import { formatNode, type Node } from "../state/node";
import { estimateOf } from "../state/results";
import { positionName } from "../state/tokens";
import type { MakeView, View } from "./view";

const HINT = "Click a cell to run its exact patch; shift-click adds to the picks.";

export const readoutView: MakeView = (view) => {
  const line = el("div", { class: "pw-readout", "aria-live": "polite" });
  react(view.signal, () => {
    const node = view.ui.hover.value?.node ?? null;
    line.replaceChildren(...(node ? nodeFacts(view, node) : [hint()]));
  });
  return line;
};

function hint(): HTMLElement {
  return el("span", { class: "pw-quiet" }, HINT);
}

function nodeFacts({ store }: View, node: Node): HTMLElement[] {
  const study = store.study.value;
  const name = formatNode(node);
  const result = store.verified.value.get(name);
  const estimate = estimateOf(node, result, store.grids.value);
  const at =
    node.pos === null || !study ? "" : positionName(study, store.pair.value, node.pos);
  return [
    el("strong", {}, name),
    ...(at ? [el("span", { class: "pw-quiet" }, `at ${at}`)] : []),
    fact("estimate", estimate === null ? "none" : valueWords(estimate)),
    fact("exact", result ? signed(result.exact) : "not run"),
    ...missFacts(result ? missOf(result) : null),
  ];
}

function missFacts(miss: number | null): HTMLElement[] {
  return miss === null ? [] : [fact("miss", unsigned(miss))];
}

function fact(label: string, value: string): HTMLElement {
  return el("span", {}, el("span", { class: "pw-quiet" }, `${label} `), value);
}

function valueWords(value: number): string {
  return Number.isNaN(value) ? "no value" : signed(value);
}
