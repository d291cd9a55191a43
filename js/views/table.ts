/** The rows of the ranking that are in sight, with pointer and keyboard on them. */

import {
  computed,
  signal as makeSignal,
  type ReadonlySignal,
  type Signal,
} from "@preact/signals-core";
import { el, isPlain, keyed, listen, react, setAttributes } from "../draw/dom";
import { clamp } from "../draw/geometry";
import { type RowWindow, rowWindow, scrollFor, type Viewport } from "../draw/rows";
import { onAbort } from "../host/life";
import { formatNode, type Node } from "../state/node";
import { nodePlace } from "../state/place";
import type { RankingRow } from "../state/ranking";
import { isAdding, keepAddingClick } from "./drag";
import { pickNode } from "./link";
import { createRow } from "./ranked";
import { ROOM_FOR_TWO, type View } from "./view";

export interface RowsState {
  /** All rows that fit the filter, in order. */
  rows: ReadonlySignal<readonly RankingRow[]>;
  /** How far the table is scrolled, in CSS pixels. */
  top: Signal<number>;
  /** The node whose miss is asked about; null for none. */
  asked: Signal<string | null>;
}

/** As in the style sheet. */
const ROW_HEIGHT = 24;
/** More rows are scrolled to. */
const ROWS_IN_SIGHT = 12;
/** As high as the scatter that stands beside it. */
const ROWS_BESIDE = 20;

const LABEL =
  "Ranking of nodes. Arrow keys move, Enter picks, Escape takes the picks back; " +
  "Tab leads to the reasons of a miss.";

/** Where the keyboard is, in the order of now. */
interface Cursor {
  name: Signal<string | null>;
  index: ReadonlySignal<number>;
}

/** The table without its head, in the box that scrolls it. */
export function createRows(
  view: View,
  state: RowsState,
): { box: HTMLElement; table: HTMLTableElement } {
  const { signal } = view;
  const table = el("table", {
    class: "pw-ranking-table",
    role: "grid",
    tabindex: 0,
    "aria-multiselectable": "true",
    "aria-label": LABEL,
  });
  const box = el("div", "pw-ranking-box", table);
  const port = computed(() => viewport(view, state));
  const cursor = makeCursor(state);
  drawRows(view, state, table, cursor, port);
  followScroll(view, state, box);
  table.addEventListener("keydown", keyListener(view, state, table, cursor, port), {
    signal,
  });
  listenToPointer(view, state, table, cursor);
  return { box, table };
}

/** Never beyond the last row: a filter may leave fewer rows than were scrolled past. */
function viewport({ ui }: View, { rows, top }: RowsState): Viewport {
  const isBeside = ui.width.value >= ROOM_FOR_TWO;
  const height = ROW_HEIGHT * (isBeside ? ROWS_BESIDE : ROWS_IN_SIGHT);
  const last = Math.max(0, rows.value.length * ROW_HEIGHT - height);
  return { top: Math.min(top.value, last), height, rowHeight: ROW_HEIGHT };
}

/** It stays with its node when the table is sorted anew. */
function makeCursor({ rows }: RowsState): Cursor {
  const name = makeSignal<string | null>(null);
  const index = computed(() =>
    Math.max(
      0,
      rows.value.findIndex((row) => row.name === name.value),
    ),
  );
  return { name, index };
}

function drawRows(
  view: View,
  state: RowsState,
  table: HTMLElement,
  cursor: Cursor,
  port: ReadonlySignal<Viewport>,
): void {
  const { ui, signal } = view;
  const body = el("tbody");
  const [before, after] = [spacer(), spacer()];
  table.append(before.element, body, after.element);
  const entries = computed(
    () => new Map(state.rows.value.map((row, index) => [row.name, { row, index }])),
  );
  const id = freshId();
  const drawn = new Map<string, HTMLElement>();
  const children = keyed(
    body,
    (name, life) => {
      const entry = computed(() => entries.value.get(name));
      const isCursor = computed(() => entry.value?.index === cursor.index.value);
      const row = createRow(
        { ...view, signal: life },
        { name, entry, isCursor, asked: state.asked },
      );
      row.id = `${id}-${name}`;
      drawn.set(name, row);
      onAbort(life, () => drawn.delete(name));
      return row;
    },
    signal,
  );
  react(signal, () => {
    const count = state.rows.value.length;
    const { start, end }: RowWindow = rowWindow(port.value, count);
    before.rows(start);
    after.rows(count - end);
    children(state.rows.value.slice(start, end).map(({ name }) => name));
    const at = state.rows.value[cursor.index.value]?.name ?? "";
    const active = drawn.get(at)?.id ?? false;
    setAttributes(table, {
      "aria-activedescendant": active,
      "aria-rowcount": count + 1,
    });
  });
  let lit: HTMLElement | undefined;
  react(signal, () => {
    port.value; // read: other rows may be in sight
    state.rows.value;
    const node = ui.hover.value?.node;
    lit?.classList.remove("pw-at");
    lit = node ? drawn.get(formatNode(node)) : undefined;
    lit?.classList.add("pw-at");
  });
}

/** Stands for rows that are not drawn. */
function spacer(): { element: HTMLElement; rows: (count: number) => void } {
  const cell = el("td", "pw-spacer");
  const element = el("tbody", { "aria-hidden": "true" }, el("tr", {}, cell));
  return {
    element,
    rows(count) {
      element.hidden = count === 0;
      cell.style.height = `${count * ROW_HEIGHT}px`;
    },
  };
}

let ids = 0;

/** Rows are named to assistive tech by id, and a page may hold many widgets. */
function freshId(): string {
  ids += 1;
  return `pw-ranking-${ids}`;
}

function followScroll({ signal }: View, { top }: RowsState, box: HTMLElement): void {
  const onScroll = () => {
    top.value = box.scrollTop;
  };
  box.addEventListener("scroll", onScroll, { signal, passive: true });
  // A box that was folded away may come back scrolled elsewhere, without a word.
  const observer = new ResizeObserver(onScroll);
  observer.observe(box);
  onAbort(signal, () => observer.disconnect());
  react(signal, () => {
    if (box.scrollTop !== top.value) box.scrollTop = top.value;
  });
}

function keyListener(
  view: View,
  state: RowsState,
  table: HTMLElement,
  cursor: Cursor,
  port: ReadonlySignal<Viewport>,
): (event: KeyboardEvent) => void {
  const moveTo = (index: number) => {
    const row = state.rows.peek()[index];
    if (!row) return;
    cursor.name.value = row.name;
    state.top.value = scrollFor(index, port.peek());
    hover(view, row.node);
  };
  return (event) => {
    // A button in a row has keys of its own.
    if (event.target !== table || !isPlain(event)) return;
    const last = state.rows.peek().length - 1;
    const step = STEPS.get(event.key);
    const name = state.rows.peek()[cursor.index.peek()]?.name;
    if (step !== undefined) moveTo(clamp(cursor.index.peek() + step, 0, last));
    else if (event.key === "Escape") view.store.set("selection", []);
    else if (event.key !== "Enter" && event.key !== " ") return;
    else if (name !== undefined) pickNode(view, name, "toggle");
    event.preventDefault(); // the page would scroll
  };
}

const STEPS: ReadonlyMap<string, number> = new Map([
  ["ArrowUp", -1],
  ["ArrowDown", 1],
  ["PageUp", -ROWS_IN_SIGHT],
  ["PageDown", ROWS_IN_SIGHT],
  ["Home", Number.NEGATIVE_INFINITY],
  ["End", Number.POSITIVE_INFINITY],
]);

function listenToPointer(
  view: View,
  { rows }: RowsState,
  table: HTMLElement,
  { name: cursorName }: Cursor,
): void {
  const { signal } = view;
  const over = (event: Event) => {
    const name = nameUnder(event);
    hover(view, rows.peek().find((row) => row.name === name)?.node ?? null);
  };
  const onClick = (event: MouseEvent) => {
    const name = nameUnder(event);
    if (name === null || isOnButton(event)) return;
    cursorName.value = name;
    pickNode(view, name, isAdding(event) ? "toggle" : "only");
  };
  listen(
    table,
    {
      pointerover: over,
      pointerleave: () => hover(view, null),
      blur: () => hover(view, null),
      click: onClick,
      mousedown: keepAddingClick,
    },
    signal,
  );
}

function nameUnder({ target }: Event): string | null {
  if (!(target instanceof Element)) return null;
  return target.closest<HTMLElement>("[data-node]")?.dataset.node ?? null;
}

function isOnButton({ target }: Event): boolean {
  return target instanceof Element && target.closest("button") !== null;
}

/** Once a node: the pointer crosses many cells of its row. */
function hover({ store, ui }: View, node: Node | null): void {
  const study = store.study.peek();
  const now = ui.hover.peek()?.node;
  if (node && now && formatNode(now) === formatNode(node)) return;
  ui.hover.value = node && study ? nodePlace(node, study) : null;
}
