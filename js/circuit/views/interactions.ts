/** What two picked nodes do together beyond the sum of what each does alone. */

import { computed, signal as makeSignal, type Signal } from "@preact/signals-core";
import { el, listen, live, react, setAttributes } from "../../draw/dom";
import { type Cell, movedCell } from "../../draw/geometry";
import { signed } from "../../draw/number";
import { parseNode } from "../../state/node";
import { nodePlace } from "../../state/place";
import { largest, type Paint, paintOf } from "../cells";
import type { InteractionSide, Interactions } from "../record";
import { about, picksCosted } from "./of_picks";
import { rebuilt } from "./rebuilt";
import type { CircuitView } from "./view";

export function interactionsView(view: CircuitView): HTMLElement {
  const { circuit, signal } = view;
  const at: At = makeSignal<Cell | null>(null);
  const heading = el("div", "pw-circuit-title", "Interactions of the picks");
  const body = el("div", "pw-matrices");
  const words = el("div", { class: "pw-circuit-words", "aria-live": "polite" });
  const hint = el("div", "pw-quiet");
  live(signal, () => readingAt(circuit.value.interactions, at.value), words);
  live(signal, () => hintOf(view), hint);
  const found = computed(() => circuit.value.interactions);
  rebuilt(view, body, (own) => {
    at.value = null;
    return found.value ? matrices(own, found.value, at) : [];
  });
  react(signal, () => {
    words.hidden = body.hidden = found.value === null;
  });
  return el(
    "section",
    { class: "pw-interactions", "aria-label": "Interactions" },
    heading,
    hint,
    picksCosted(view, "interactions", "compute the interactions"),
    body,
    words,
  );
}

const EMPTY =
  "What two nodes do together beyond the sum of both: needs two picks or more.";

function hintOf(view: CircuitView): string {
  const found = view.circuit.value.interactions;
  if (!found) return view.store.isSaved ? `${EMPTY} None were computed.` : EMPTY;
  return `${about(view, found.nodes)}${found.threshold}`;
}

type At = Signal<Cell | null>;

function matrices(view: CircuitView, found: Interactions, at: At): HTMLElement[] {
  const scale = largest([...found.sides.values()].flatMap(({ matrix }) => matrix));
  return [...found.sides].map(([direction, side]) =>
    matrix(view, found, side, { direction, scale, at }),
  );
}

interface Look {
  direction: string;
  scale: number;
  at: At;
}

function matrix(
  view: CircuitView,
  { nodes, words }: Interactions,
  side: InteractionSide,
  { direction, scale, at }: Look,
): HTMLElement {
  const head = el("tr", {}, el("td"), ...nodes.map((name) => nameCell(name, "col")));
  const rows = nodes.map((name, row) =>
    el(
      "tr",
      {},
      nameCell(name, "row"),
      ...nodes.map((_, column) => {
        const value = row === column ? side.effects[row] : side.matrix[row]?.[column];
        const cell = { row, column };
        return valueCell(view, value, scale, cell, words[row]?.[column] ?? "");
      }),
    ),
  );
  const table = el(
    "table",
    { class: "pw-matrix", role: "grid", "data-side": direction },
    el("caption", {}, direction),
    el("thead", {}, head),
    el("tbody", {}, ...rows),
  );
  listenToTable(view, table, nodes, at);
  return table;
}

function nameCell(name: string, scope: "row" | "col"): HTMLElement {
  return el(
    "th",
    { scope, class: "pw-matrix-name", title: name },
    el("span", {}, name),
  );
}

/** On the diagonal stands what the node does alone, without a colour. */
function valueCell(
  { theme }: CircuitView,
  value: number | undefined,
  scale: number,
  { row, column }: Cell,
  words: string,
): HTMLElement {
  const isOwn = row === column;
  const text = value === undefined || Number.isNaN(value) ? "–" : signed(value);
  const cell = el(
    "td",
    {
      class: isOwn ? "pw-matrix-cell pw-own" : "pw-matrix-cell",
      "data-row": row,
      "data-column": column,
      "data-value": value ?? "",
      tabindex: row === 0 && column === 0 ? 0 : -1,
      title: isOwn ? "alone" : words,
      "aria-label": isOwn ? `${text} alone` : `${text}: ${words}`,
    },
    text,
  );
  const paint = paintOf(value, scale, theme.value.palette.diverging);
  if (paint && !isOwn) setAttributes(cell, { style: styleOf(paint) });
  return cell;
}

function styleOf({ fill, ink }: Paint): string {
  return `background: ${fill}; color: ${ink}`;
}

/** One stop on the way of the Tab key; arrow keys go from cell to cell. */
function listenToTable(
  { store, ui, signal }: CircuitView,
  table: HTMLElement,
  nodes: readonly string[],
  at: At,
): void {
  const shape = { rows: nodes.length, columns: nodes.length };
  const show = (cell: Cell | null) => {
    at.value = cell;
    const node = parseNode(nodes[cell?.row ?? -1] ?? "");
    const study = store.study.peek();
    ui.hover.value = node && study ? nodePlace(node, study) : null;
  };
  const onKey = (event: KeyboardEvent) => {
    const from = cellOf(event.target);
    const to = from && movedCell(from, event.key, shape);
    if (!to) return;
    event.preventDefault(); // or the page would scroll
    const next = table.querySelector<HTMLElement>(
      `td[data-row="${to.row}"][data-column="${to.column}"]`,
    );
    for (const cell of table.querySelectorAll("td[data-row]")) {
      setAttributes(cell, { tabindex: cell === next ? 0 : -1 });
    }
    next?.focus();
  };
  const enter = ({ target }: Event) => show(cellOf(target));
  listen(
    table,
    {
      keydown: onKey,
      focusin: enter,
      pointerover: enter,
      focusout: () => show(null),
      pointerleave: () => show(null),
    },
    signal,
  );
}

function cellOf(target: EventTarget | null): Cell | null {
  const cell = target instanceof Element ? target.closest("td[data-row]") : null;
  if (!(cell instanceof HTMLElement)) return null;
  return { row: Number(cell.dataset.row), column: Number(cell.dataset.column) };
}

function readingAt(found: Interactions | null, at: Cell | null): string {
  if (!found || !at) return found ? HINT : "";
  const [a, b] = [found.nodes[at.row], found.nodes[at.column]];
  if (at.row === at.column) {
    const alone = [...found.sides].map(([direction, { effects }]) => {
      return `${direction} ${signed(effects[at.row] ?? Number.NaN)}`;
    });
    return `${a} alone: ${alone.join(", ")}`;
  }
  return `${a} and ${b}: ${found.words[at.row]?.[at.column] ?? ""}`;
}

const HINT = "Point at a cell, or move with the arrow keys, for its reading in words.";
