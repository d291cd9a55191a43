/** The kernel's figures: how estimates agree with what is verified, and what may hide. */

import { el, react } from "../draw/dom";
import { tick, unsigned } from "../draw/number";
import { focusKinds } from "../state/focus";
import type { Kind } from "../state/node";
import {
  type Bound,
  type Figures,
  type KindReport,
  type Report,
  verifiedSince,
} from "../state/report";
import { columnHead, evidence, plainTable, rowHead, valueCell } from "./columns";
import type { MakeView } from "./view";
import { counted, KIND_TITLES } from "./words";

const CAVEAT =
  "They speak of verified nodes only, which were mostly chosen by their estimates: " +
  "a node that the estimate overlooks is not among them.";

const FIGURE_TITLES = {
  Pearson: "Correlation of estimate and exact effect",
  slope:
    "Of the line that predicts exact effects from estimates: below 1, estimates are too large",
  Spearman: "Correlation of their ranks",
} as const;

export const agreementView: MakeView = ({ store, signal }) => {
  const panel = el("div", "pw-agreement");
  react(signal, () => {
    const kinds = focusKinds(store.grids.value, store.kind.value);
    const isNamed = kinds.length > 1;
    const entries = kinds.flatMap((kind) => {
      const report = store.report.value.get(kind);
      // Beside others, a kind without a verified node has nothing to say.
      return report && !(isNamed && report.all.n === 0) ? [{ kind, report }] : [];
    });
    panel.replaceChildren(
      ...(entries.length > 0
        ? content(entries, isNamed, store.report.value)
        : [nothing()]),
    );
  });
  return panel;
};

interface Entry {
  kind: Kind;
  report: KindReport;
}

function nothing(): HTMLElement {
  return el("p", "pw-quiet", "No figures of agreement yet.");
}

function content(
  entries: readonly Entry[],
  isNamed: boolean,
  all: Report,
): HTMLElement[] {
  const rows = entries.map(({ kind, report }): Row => {
    const { all: figures, total } = report;
    return { name: KIND_TITLES[kind], n: `${figures.n} of ${total}`, figures };
  });
  const [only] = entries;
  return [
    el("div", "pw-agreement-title", "Agreement on verified nodes"),
    figureTable("kind", rows),
    ...(only && !isNamed ? layerFold(only.report) : []),
    el("p", "pw-quiet", CAVEAT),
    ...entries.map((entry) => boundLine(entry, isNamed, all)),
  ];
}

interface Row {
  name: string;
  n: string;
  figures: Figures;
}

function figureTable(first: string, rows: readonly Row[]): HTMLElement {
  const ks = [
    ...new Set(rows.flatMap(({ figures }) => figures.recall.map(({ k }) => k))),
  ];
  ks.sort((a, b) => a - b);
  const head = el(
    "tr",
    {},
    columnHead(first),
    columnHead("n", "How many nodes are verified, of all of the kind"),
    ...Object.entries(FIGURE_TITLES).map(([name, title]) => columnHead(name, title)),
    ...ks.map((k) =>
      columnHead(
        `recall@${k}`,
        `Share of the ${k} largest effects that are among the ${k} largest estimates`,
      ),
    ),
  );
  const body = rows.map(({ name, n, figures }) => {
    const recall = ks.map(
      (k) => figures.recall.find((one) => one.k === k)?.share ?? null,
    );
    const { pearson, slope, spearman } = figures;
    const values = [pearson, slope, spearman, ...recall];
    return el("tr", {}, rowHead(name), valueCell("", n), ...values.map(figureCell));
  });
  const table = plainTable(head, el("tbody", {}, ...body));
  // Where there is little room it scrolls, which has to work without a pointer.
  const reach = { tabindex: 0, role: "region", "aria-label": "Agreement by kind" };
  return el("div", { class: "pw-agreement-table", ...reach }, table);
}

/** Of one node, say, there is no correlation. */
function figureCell(value: number | null): HTMLElement {
  if (value !== null && !Number.isNaN(value)) {
    return valueCell("", value.toFixed(2).replace("-", "−"));
  }
  const cell = valueCell("pw-quiet", "–");
  cell.title = "not defined";
  return cell;
}

function layerFold({ layers }: KindReport): HTMLElement[] {
  if (layers.size === 0) return [];
  const rows = [...layers]
    .sort(([a], [b]) => a - b)
    .map(([layer, figures]) => ({ name: `${layer}`, n: `${figures.n}`, figures }));
  return [evidence("by layer", figureTable("layer", rows))];
}

function boundLine(
  { kind, report }: Entry,
  isNamed: boolean,
  all: Report,
): HTMLElement {
  const { bound, withoutBound } = report;
  const about = isNamed ? `${KIND_TITLES[kind]}: ` : "";
  if (!bound) {
    const why = withoutBound || "none was asked for";
    return el(
      "p",
      "pw-bound pw-quiet",
      `${about}${sentence(`no bound on the others: ${why}`)}`,
    );
  }
  const assumption = evidence("what this takes for granted", bound.assumption);
  return el(
    "div",
    "pw-bound",
    `${about}${sentence(bound.words)}${sinceWords(bound, all)}`,
    assumption,
  );
}

/** A bound stays true when more is verified, but it speaks of too many nodes. */
function sinceWords(bound: Bound, all: Report): string {
  const since = verifiedSince(bound, all);
  return since === 0 ? "" : ` It was drawn before ${since} of these were verified.`;
}

function sentence(words: string): string {
  const text = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** What the band in the picture is, in words; why there is none, where there is none. */
export function boundWords(report: KindReport | undefined, all: Report): string {
  if (!report) return "";
  const { bound, withoutBound } = report;
  if (!bound) return withoutBound ? `No bound: ${withoutBound}` : "";
  const size = `Bound ${unsigned(bound.value)} (${tick(100 * bound.confidence)} %)`;
  const about = `${counted(bound.unverified, "node")} not verified then`;
  return `${size} on the effects of ${about}. ${sentence(bound.words)}${sinceWords(bound, all)} ${bound.assumption}`;
}
