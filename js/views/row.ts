/** One head by position: a strip for each of its kinds, in the colours of the heads. */

import {
  computed,
  signal as makeSignal,
  type ReadonlySignal,
} from "@preact/signals-core";
import { type Axes, rowMargin } from "../draw/axes";
import { button, el, keyed, react, setAttributes } from "../draw/dom";
import { layoutFacets } from "../draw/geometry";
import { createPlot, type Plot } from "../draw/plot";
import { type EffectCells, largest } from "../state/figure";
import { headLabel, namedHead } from "../state/names";
import { formatNode, HEAD_KINDS, type Node, parseNode } from "../state/node";
import { lastHead, rowCell, rowCells, rowKey, rowNodes } from "../state/rows";
import type { Study } from "../state/study";
import { positionAxis } from "./facet";
import { fold } from "./fold";
import { listenToNodes, pickedAmong } from "./picking";
import { drawBar } from "./scale";
import { scrollTogether } from "./scroll";
import type { View } from "./view";
import { KIND_TITLES, methodLabel } from "./words";

const CELL_HEIGHT = 22;

interface Strip {
  /** Heads as a whole: one a row. */
  nodes: ReadonlySignal<readonly Node[]>;
  cells: ReadonlySignal<EffectCells | undefined>;
  /** That of the heads' heatmaps, or wider where an effect here is larger. */
  scale: ReadonlySignal<number>;
}

export const rowView = (view: View): HTMLElement => {
  const { store, ui, signal } = view;
  const { section, title, body, isOpen } = fold(view, "pw-row", "grids");
  const isAll = makeSignal(false);
  const nodes = stripNodes(view, isAll);
  const strip = makeStrip(view, nodes);
  const head = el(
    "div",
    { class: "pw-line-head" },
    allKinds(view, isAll),
    bar(view, strip),
  );
  const place = el("div", { class: "pw-strip-place" });
  body.append(head, place, status(view, nodes));
  const plots = keyed(
    place,
    (_, life) => plotOf({ ...view, signal: life }, strip),
    signal,
  );
  react(signal, () => {
    // Nothing is painted where nobody looks.
    plots(isOpen.value && nodes.value.length > 0 ? ["strip"] : []);
  });
  react(signal, () => {
    section.hidden = nodes.value.length === 0;
    title.textContent = titleOf(view, nodes.value[0]);
  });
  react(signal, () => {
    store.rows.entries.value; // read: a new study takes the rows away
    if (!isOpen.value) return;
    const method = store.method.value;
    for (const node of nodes.value) store.rows.want({ node: formatNode(node), method });
  });
  react(signal, () => {
    // Asked for by key: it is to be seen.
    if (ui.asked.value) isOpen.value = true;
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

function makeStrip({ store }: View, nodes: Strip["nodes"]): Strip {
  const cells = computed(() => {
    const positions = store.study.value?.positions ?? 0;
    if (nodes.value.length === 0 || positions === 0) return undefined;
    const method = store.method.value;
    const answers = nodes.value.map((node) =>
      store.rows.entries.value.get(rowKey({ node: formatNode(node), method })),
    );
    const { verified, shown } = store;
    const grids = [...store.grids.value.values()];
    const isSigned = (name: string) =>
      grids.find((grid) => grid.method === name)?.isSigned ?? true;
    return rowCells(
      nodes.value,
      answers,
      verified.value,
      shown.value,
      positions,
      isSigned,
    );
  });
  const scale = computed(() =>
    Math.max(store.figure.value.scales.head, largest(cells.value?.values ?? [])),
  );
  return { nodes, cells, scale };
}

function titleOf({ store }: View, node: Node | undefined): string {
  const study = store.study.value;
  if (!node || !study) return "";
  const head = namedHead(node, study);
  const name = head
    ? headLabel(store.names.value, head.layer, head.head)
    : `L${node.layer} KV head ${node.head}`;
  return `${name} by position`;
}

function allKinds({ signal }: View, isAll: { value: boolean }): HTMLElement {
  const box = el("input", { type: "checkbox" });
  box.addEventListener(
    "change",
    () => {
      isAll.value = box.checked;
    },
    { signal },
  );
  return el("label", { class: "pw-check" }, box, "all kinds of this head");
}

function bar(view: View, { scale, nodes }: Strip): HTMLElement {
  const { store, signal } = view;
  const strip = el("span", { class: "pw-scale" });
  const words = el("span", { class: "pw-quiet" });
  react(signal, () => {
    const { shown, scales } = store.figure.value;
    strip.replaceChildren(drawBar(view, shown === "miss", scale.value).element);
    strip.hidden = scale.value === 0;
    const isWider = scale.value > scales.head;
    const method = store.method.value;
    const others = nodes.value.flatMap((node) => {
      const entry = store.rows.entries.value.get(
        rowKey({ node: formatNode(node), method }),
      );
      return entry?.state === "ready" && entry.answer.method !== method
        ? [entry.answer.method]
        : [];
    });
    words.textContent = [
      isWider ? "a wider scale than above: effects at positions may cancel" : "",
      ...new Set(others.map((name) => `from ${methodLabel(store.study.value, name)}`)),
    ]
      .filter((part) => part !== "")
      .join(" · ");
  });
  return el("span", { class: "pw-line-scale" }, strip, words);
}

function plotOf(view: View, strip: Strip): HTMLElement {
  const { store, signal } = view;
  const plot = createPlot();
  setAttributes(plot.canvas, {
    class: "pw-row-grid",
    tabindex: 0,
    role: "application",
    "aria-roledescription": "heatmap",
  });
  const nodeAt = (row: number, column: number) =>
    rowCell(strip.nodes.peek(), row, column);
  const indexOf = (node: Node) => {
    const row = strip.nodes.value.findIndex((whole) => isOfHead(node, whole));
    const columns = strip.cells.value?.columns ?? 0;
    const isThere = row >= 0 && node.pos !== null && node.pos < columns;
    return isThere && node.src === null ? row * columns + (node.pos ?? 0) : null;
  };
  const picked = pickedAmong(view, indexOf);
  const keepInLine = scrollTogether(view, plot.scroller);
  react(signal, () => {
    drawStrip(view, strip, picked.value, plot);
    keepInLine();
  });
  react(signal, () => highlightStrip(view, strip, plot));
  const estimateAt = (row: number, column: number) => {
    const node = strip.nodes.peek()[row];
    const key = node && rowKey({ node: formatNode(node), method: store.method.peek() });
    const entry = key ? store.rows.entries.peek().get(key) : undefined;
    return entry?.state === "ready" ? (entry.answer.values[column] ?? null) : null;
  };
  listenToNodes(view, { shape: strip.cells, nodeAt, estimateAt }, plot);
  return plot.element;
}

function isOfHead(node: Node, whole: Node): boolean {
  const { kind, layer, head } = whole;
  return node.kind === kind && node.layer === layer && node.head === head;
}

function drawStrip(
  view: View,
  { nodes, cells, scale }: Strip,
  picked: readonly number[],
  { canvas, draw }: Plot,
): void {
  const { store, ui, theme } = view;
  const study = store.study.value;
  const matrix = cells.value;
  if (!study || !matrix || ui.width.value === 0) return;
  const { palette } = theme.value;
  const { shown } = store.figure.value;
  const axes = stripAxes(view, study, nodes.value, matrix);
  const isDrawn = draw(
    {
      matrix,
      colours: shown === "miss" ? palette.miss : palette.diverging,
      scale: scale.value,
      cellWidth: axes.cellWidth,
      cellHeight: axes.cellHeight,
      theme: theme.value,
      unknown: matrix.unknown,
      verified: matrix.verified,
      picked,
    },
    axes,
  );
  setAttributes(canvas, {
    "data-rows": matrix.rows,
    "data-cols": matrix.columns,
    "data-drawn": isDrawn && shown,
    "aria-label": `${titleOf(view, nodes.value[0])}, ${shown}. Arrow keys move, Enter picks.`,
  });
}

function stripAxes(
  { store, ui }: View,
  study: Study,
  nodes: readonly Node[],
  { rows, columns }: EffectCells,
): Axes {
  const labels = nodes.map(({ kind }) => ({
    lead: "",
    body: "",
    tail: KIND_TITLES[kind], // a tail is not shortened
  }));
  const names = { title: "", labels, words: false };
  const left = rowMargin(names);
  const shape = { rows, columns };
  const { cellWidth } = layoutFacets(ui.width.value, 1, shape, left, ui.fit.value);
  return {
    rows: names,
    columns: positionAxis(study, store.pair.value, columns),
    left,
    cellWidth,
    cellHeight: CELL_HEIGHT,
    room: ui.width.value,
  };
}

function highlightStrip({ ui }: View, { nodes, cells }: Strip, plot: Plot): void {
  const place = ui.hover.value;
  ui.width.value; // read: a new layout moves the marks
  const columns = cells.value?.columns ?? 0;
  const node = place?.node ?? null;
  const row = node ? nodes.value.findIndex((whole) => isOfHead(node, whole)) : -1;
  const pos = place?.pos ?? null;
  plot.highlight(
    {
      rows: row >= 0 ? [row, row + 1] : null,
      columns: pos !== null && pos < columns ? [pos, pos + 1] : null,
    },
    row >= 0,
  );
}

/** What is still on its way, and what did not come. */
function status(view: View, nodes: Strip["nodes"]): HTMLElement {
  const { store, signal } = view;
  const lines = el("div", { class: "pw-row-status", "aria-live": "polite" });
  react(signal, () => {
    const method = store.method.value;
    const found = nodes.value.map((node) => {
      const question = { node: formatNode(node), method };
      return { question, entry: store.rows.entries.value.get(rowKey(question)) };
    });
    const isWaiting = found.some(({ entry }) => !entry || entry.state === "loading");
    lines.replaceChildren(
      ...(isWaiting
        ? [el("span", { class: "pw-quiet" }, "Waiting for the kernel.")]
        : []),
    );
    for (const { question, entry } of found) {
      if (entry?.state !== "failed") continue;
      const text = `No row of ${question.node}: ${entry.message}. `;
      const again = button("try again", () => store.rows.retry(question), signal);
      lines.append(el("div", { class: "pw-error" }, text, again));
    }
  });
  return lines;
}
