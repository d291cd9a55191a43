/** Estimates against exact effects of the kind in focus, with how well they agree. */

import { computed, type ReadonlySignal } from "@preact/signals-core";
import { el, react } from "../draw/dom";
import { markPicture } from "../draw/marks";
import { focusKinds, isVerified } from "../state/focus";
import type { Kind } from "../state/node";
import { type Cloud, makeCloud } from "../state/scatter";
import type { Store } from "../state/store";
import { agreementView, boundWords } from "./agreement";
import { type CloudWords, createCloud } from "./cloud";
import { KIND_MARKS, kindSelect } from "./kinds";
import type { MakeView, View } from "./view";
import { counted, effectWords, KIND_TITLES } from "./words";

const NOT_VERIFIED =
  "Nothing is verified yet, so there is no exact effect to compare with.";
const HOW_TO_VERIFY =
  `${NOT_VERIFIED} Pick a cell above, or a mark of the rug: its exact patch is run, ` +
  "and its dot appears here.";

export const scatterView: MakeView = (view) => {
  const { store, signal } = view;
  const cloud = computed(() => makeCloud(store.focus.value));
  const words = computed(() => cloudWords(store));
  const title = el("div", "pw-section-title", "Estimate against exact ");
  title.append(kindSelect(view));
  const plot = createCloud(view, cloud, words);
  const picture = el("div", "pw-scatter-picture", plot, legend(view));
  const notes = notesOn(view, cloud);
  const side = el("div", "pw-scatter-side", notes, agreementView(view));
  const both = el("div", "pw-scatter-parts", picture, side);
  const section = el("section", "pw-scatter", title, both);
  react(signal, () => {
    section.hidden = store.study.value === null || store.grids.value.size === 0;
    both.hidden = store.focus.value.length === 0;
  });
  return section;
};

function notesOn({ store, signal }: View, cloud: ReadonlySignal<Cloud>): HTMLElement {
  const lines = el("div", { class: "pw-scatter-notes", role: "status" });
  react(signal, () => {
    const nodes = store.focus.value;
    const verified = nodes.filter(isVerified).length;
    const isSized = nodes.some(({ isSigned }) => !isSigned);
    const { undrawn } = cloud.value;
    const study = store.study.value;
    const texts = [
      verified > 0 ? "" : store.isSaved ? NOT_VERIFIED : HOW_TO_VERIFY,
      study ? `Effects: ${effectWords(study)}.` : "",
      isSized ? "The method gives sizes of effects, so sizes are compared." : "",
      undrawn > 0 ? `${counted(undrawn, "node")} without a number: not drawn.` : "",
    ];
    lines.replaceChildren(
      ...texts.filter(Boolean).map((text) => el("p", "pw-quiet", text)),
    );
  });
  return lines;
}

/** Marks of the kinds that are drawn, then what the other signs mean. */
function legend({ store, theme, signal }: View): HTMLElement {
  const entries = el("div", "pw-legend pw-scatter-legend");
  react(signal, () => {
    const nodes = store.focus.value;
    const verified = nodes.filter(isVerified);
    const kinds = [...new Set(verified.map(({ node }) => node.kind))];
    const isSpread = verified.some(({ interval }) => interval !== null);
    const isFiner = verified.some(({ hasCell }) => !hasCell);
    entries.replaceChildren(
      ...kinds.map((kind) =>
        entry(markPicture(KIND_MARKS[kind], theme.value.dark), KIND_TITLES[kind]),
      ),
      ...(isSpread ? [sign("whisker", "interval over pairs")] : []),
      ...(isFiner ? [sign("finer", "single positions")] : []),
      ...(verified.length < nodes.length
        ? [sign("rug", "not verified: estimate")]
        : []),
      ...(shownBound(store) === null ? [] : [sign("bound", "within the bound")]),
    );
  });
  return entries;
}

function sign(name: string, text: string): HTMLElement {
  return entry(el("span", `pw-sign pw-sign-${name}`), text);
}

function entry(mark: Element, text: string): HTMLElement {
  return el("span", "pw-legend-entry", mark, text);
}

/** The one kind that is drawn; null where several are. */
function onlyKind(store: Store): Kind | null {
  const kinds = focusKinds(store.grids.value, store.kind.value);
  return kinds.length === 1 ? (kinds[0] ?? null) : null;
}

/** A bound is about one kind: there is no band for several. */
function shownBound(store: Store): number | null {
  const kind = onlyKind(store);
  return (kind && store.report.value.get(kind)?.bound?.value) ?? null;
}

/** Sizes are never below zero. */
function bandOf(bound: number | null, isSized: boolean): CloudWords["band"] {
  if (bound === null || !Number.isFinite(bound)) return null;
  return [isSized ? 0 : -bound, bound];
}

function cloudWords(store: Store): CloudWords {
  const nodes = store.focus.value;
  const kind = onlyKind(store);
  const signs = new Set(nodes.map(({ isSigned }) => isSigned));
  const exact = signs.has(false)
    ? `|exact effect|${signs.size > 1 ? " where the estimate is a size" : ""}`
    : "exact effect";
  const verified = nodes.filter(isVerified).length;
  const bound = boundWords(
    kind ? store.report.value.get(kind) : undefined,
    store.report.value,
  );
  const description = [
    `Estimate against exact effect, ${kind ? KIND_TITLES[kind] : "all shown kinds"}:`,
    `${verified} verified, ${nodes.length - verified} not.`,
    bound,
    "Arrow keys go through the dots by miss, Enter picks; drag to pick several.",
  ];
  return {
    titles: { x: estimateTitle(store), y: exact, diagonal: "exact = estimate" },
    description: description.filter(Boolean).join(" "),
    band: bandOf(shownBound(store), signs.has(false)),
  };
}

/** Names the method where all estimates are of one. */
function estimateTitle(store: Store): string {
  const kinds = focusKinds(store.grids.value, store.kind.value);
  const methods = new Set(kinds.map((kind) => store.grids.value.get(kind)?.method));
  const [name] = methods;
  if (methods.size !== 1 || name === undefined) return "estimate";
  const method = store.study.value?.methods.find((one) => one.name === name);
  return `estimate (${method?.label ?? name})`;
}
