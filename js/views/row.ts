/** One head by position: a strip for each of its kinds, in the colours of the heads. */

import {
  signal as makeSignal,
  type ReadonlySignal,
  type Signal,
} from "@preact/signals-core";
import { el, keyed, quiet, react } from "../draw/dom";
import { formatNode, HEAD_KINDS, type Node, parseNode } from "../state/node";
import { lastHead, rowNodes } from "../state/rows";
import { tryAgain, unanswered, WAITING } from "./asking";
import { fold, isOpen } from "./foldable";
import { makeStrip, type Strip, stripPlot, stripTitle } from "./positions";
import { drawBar } from "./scale";
import type { View } from "./view";
import { methodLabel } from "./words";

export const rowView = (view: View): HTMLElement => {
  const { store, ui, signal } = view;
  const title = el("span");
  const isAll = makeSignal(false);
  const nodes = stripNodes(view, isAll);
  const strip = makeStrip(view, nodes);
  const head = el("div", "pw-line-head", allKinds(view, isAll), bar(view, strip));
  const place = el("div", "pw-strip-place");
  const section = el(
    "section",
    "pw-row",
    el("div", "pw-section-title", title),
    el("div", "pw-opened", head, place, status(view, strip)),
  );
  const plots = keyed(
    place,
    (_, life) => stripPlot({ ...view, signal: life }, strip),
    signal,
  );
  react(signal, () => {
    // Nothing is painted where nobody looks.
    plots(isOpen(store, "row") && nodes.value.length > 0 ? ["strip"] : []);
  });
  react(signal, () => {
    section.hidden = nodes.value.length === 0;
    title.textContent = stripTitle(view, nodes.value[0]);
  });
  react(signal, () => {
    store.rows.entries.value; // read: a new study takes the rows away
    if (!isOpen(store, "row")) return;
    const method = store.method.value;
    for (const node of nodes.value) store.rows.want({ node: formatNode(node), method });
  });
  react(signal, () => {
    // Asked for by key: it is to be seen.
    if (ui.asked.value) fold(store, "row", false);
  });
  return section;
};

/** The head asked for, else the last one picked; its kinds stay while it does. */
function stripNodes(view: View, isAll: ReadonlySignal<boolean>) {
  const { store, ui, signal } = view;
  const nodes = makeSignal<readonly Node[]>([]);
  react(signal, () => {
    store.selection.value; // read: a pick comes after what was asked for
    ui.asked.value = null;
  });
  react(signal, () => {
    const study = store.study.value;
    const names = store.selection.value;
    const picked = names.map(parseNode).filter((node) => node !== null);
    const subject = ui.asked.value ?? lastHead(picked);
    if (!study || !subject) {
      nodes.value = [];
      return;
    }
    const all = HEAD_KINDS.filter((kind) => store.grids.value.has(kind));
    // A pick in the strip itself must not take the other rows away.
    const before = nodes.peek();
    const next = rowNodes(
      subject,
      [...picked, ...before],
      isAll.value ? all : [],
      study,
    );
    const same = next.map(formatNode).join() === before.map(formatNode).join();
    if (!same) nodes.value = next;
  });
  return nodes;
}

function allKinds({ signal }: View, isAll: Signal<boolean>): HTMLElement {
  const box = el("input", { type: "checkbox" });
  box.addEventListener(
    "change",
    () => {
      isAll.value = box.checked;
    },
    { signal },
  );
  return el("label", "pw-check", box, "all kinds of this head");
}

function bar(view: View, { scale, answers }: Strip): HTMLElement {
  const { store, signal } = view;
  const strip = el("span", "pw-scale");
  const words = el("span", "pw-quiet");
  react(signal, () => {
    const { shown, scales } = store.figure.value;
    strip.replaceChildren(drawBar(view, shown === "miss", scale.value).element);
    strip.hidden = scale.value === 0;
    const isWider = scale.value > scales.head;
    const others = answers.value.flatMap(({ entry, question }) =>
      entry?.state === "ready" && entry.answer.method !== question.method
        ? [entry.answer.method]
        : [],
    );
    words.textContent = [
      isWider ? "a wider scale than above: effects at positions may cancel" : "",
      ...new Set(others.map((name) => `from ${methodLabel(store.study.value, name)}`)),
    ]
      .filter((part) => part !== "")
      .join(" · ");
  });
  return el("span", "pw-line-scale", strip, words);
}

/** What is still on its way, and what did not come. */
function status(view: View, { answers }: Strip): HTMLElement {
  const { store, signal } = view;
  const lines = el("div", { class: "pw-row-status", "aria-live": "polite" });
  react(signal, () => {
    const isWaiting = answers.value.some(
      ({ entry }) => (entry?.state ?? "loading") === "loading",
    );
    const failed = answers.value.filter(({ entry }) => entry?.state === "failed");
    lines.replaceChildren(
      ...(isWaiting ? [quiet(WAITING)] : []),
      ...failed.map(({ question, entry }) => {
        const again = tryAgain(view, () => store.rows.retry(question));
        return el("div", {}, ...unanswered(entry, `No row of ${question.node}`, again));
      }),
    );
  });
  return lines;
}
