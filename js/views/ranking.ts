/** A table of all nodes in focus: sorted, filtered, and drawn only where it is in sight. */

import {
  computed,
  signal as makeSignal,
  type ReadonlySignal,
  type Signal,
} from "@preact/signals-core";
import { el, listen, react, setAttributes } from "../draw/dom";
import { filterRows } from "../state/filter";
import {
  clickedSort,
  firstSort,
  rankingRows,
  type Sort,
  type SortColumn,
  sortRows,
} from "../state/ranking";
import { columnHead } from "./columns";
import { kindSelect } from "./kinds";
import { createRows, type RowsState } from "./table";
import type { MakeView, View } from "./view";
import { whyPanel } from "./why";
import { counted } from "./words";

interface Column {
  /** Null for a column that cannot be sorted. */
  sort: SortColumn | null;
  label: string;
  title: string;
}

const COLUMNS: readonly Column[] = [
  { sort: "node", label: "node", title: "Sort by layer" },
  {
    sort: "rank",
    label: "rank",
    title: "Place by size of the estimate, which is a mean over pairs",
  },
  {
    sort: "change",
    label: "change",
    title:
      "How many places a node moves by what is known: exact effects where they are",
  },
  { sort: "estimate", label: "estimate", title: "The estimated effect" },
  {
    sort: "exact",
    label: "exact",
    title: "The effect of the patch that was really run",
  },
  { sort: "miss", label: "miss", title: "How far the estimate is off" },
  {
    sort: null,
    label: "why",
    title: "Known causes that the numbers of a miss are consistent with",
  },
];

const FILTER_HINT =
  "Words that must all fit: 9.9 or L9H9 (a head), L5 (a layer), q (a kind), @12 or @END " +
  "(a position), L9H9.q, or a name that you gave to a head";

export const rankingView: MakeView = (view) => {
  const { store, signal } = view;
  const state = createState(view);
  const title = el("div", "pw-section-title", "Ranking ");
  title.append(kindSelect(view));
  const { box, table } = createTable(view, state);
  const empty = el("div", "pw-quiet", "No node fits the filter.");
  const section = el(
    "section",
    "pw-ranking",
    title,
    filterLine(view, state),
    box,
    empty,
    // The focus goes where it came from, and not to the notebook.
    whyPanel(view, state.asked, () => table.focus({ preventScroll: true })),
  );
  react(signal, () => {
    section.hidden = store.study.value === null || store.grids.value.size === 0;
    box.hidden = state.rows.value.length === 0;
    empty.hidden = !box.hidden || state.total.value === 0;
  });
  return section;
};

interface RankingState extends RowsState {
  filter: Signal<string>;
  sort: Signal<Sort>;
  /** How many nodes there are without the filter. */
  total: ReadonlySignal<number>;
}

function createState({ store }: View): RankingState {
  const filter = makeSignal("");
  const sort = makeSignal<Sort>(firstSort("rank"));
  const all = computed(() =>
    rankingRows(store.focus.value, store.names.value, store.study.value),
  );
  const sorted = computed(() => sortRows(all.value, sort.value));
  const rows = computed(() =>
    filterRows(sorted.value, filter.value, store.study.value?.names),
  );
  return {
    filter,
    sort,
    total: computed(() => all.value.length),
    rows,
    top: makeSignal(0),
    asked: makeSignal<string | null>(null),
  };
}

function filterLine({ signal }: View, state: RankingState): HTMLElement {
  const input = el("input", {
    class: "pw-input pw-filter",
    type: "search",
    placeholder: "filter: 9.9 · L5 · q · @12 · name",
    title: FILTER_HINT,
    "aria-label": `Filter the ranking. ${FILTER_HINT}`,
    spellcheck: "false",
  });
  input.addEventListener(
    "input",
    () => {
      state.filter.value = input.value;
      state.top.value = 0;
    },
    { signal },
  );
  const count = el("span", { class: "pw-quiet", role: "status" });
  react(signal, () => {
    const [found, total] = [state.rows.value.length, state.total.value];
    const nodes = counted(total, "node");
    count.textContent = found === total ? nodes : `${found} of ${nodes}`;
  });
  return el("div", "pw-filter-line", input, count);
}

function createTable(view: View, state: RankingState) {
  const { box, table } = createRows(view, state);
  table.prepend(columnWidths(), el("thead", {}, headRow(view, state)));
  return { box, table };
}

/** Fixed: widths that follow the rows in sight would jump with every scroll. */
function columnWidths(): HTMLElement {
  const columns = COLUMNS.map(({ label }) => el("col", `pw-col-${label}`));
  return el("colgroup", {}, ...columns);
}

function headRow({ signal }: View, state: RankingState): HTMLElement {
  const cells = COLUMNS.map(({ sort, label, title }) => {
    const cell = columnHead(sort === null ? label : "", title);
    if (sort === null) return cell;
    const arrow = el("span", { class: "pw-sort-arrow", "aria-hidden": "true" });
    const press = el("button", { type: "button", class: "pw-sort" }, label, arrow);
    const click = () => {
      state.sort.value = clickedSort(state.sort.peek(), sort);
      state.top.value = 0;
    };
    listen(press, { click }, signal);
    react(signal, () => {
      const { column, isDescending } = state.sort.value;
      const isMine = column === sort;
      const way = isDescending ? "descending" : "ascending";
      setAttributes(cell, { "aria-sort": isMine ? way : "none" });
      arrow.textContent = isMine ? (isDescending ? "▾" : "▴") : "";
    });
    cell.append(press);
    return cell;
  });
  return el("tr", { "aria-rowindex": 1 }, ...cells);
}
