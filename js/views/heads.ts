/** What the views of attention share: the picked heads, their patterns, the scales. */

import {
  batch,
  computed,
  signal as makeSignal,
  type ReadonlySignal,
} from "@preact/signals-core";
import { clamp } from "../draw/geometry";
import { pooled } from "../draw/pool";
import { levelFor, type Pyramid } from "../draw/pyramid";
import { onAbort } from "../host/life";
import {
  attentionKey,
  type HeadAttention,
  type HeadRef,
  headName,
  pickedHeads,
} from "../state/attention";
import type { Look } from "../state/look";
import {
  type Pattern,
  patternBytes,
  type Quantity,
  type Run,
  rowsOf,
} from "../state/pattern";
import { fittedTo, type Viewport } from "../state/viewport";
import { createPyramids, type Pyramids } from "./pyramids";
import type { View } from "./view";

export interface HeadsView extends View {
  look: Look;
  /** Query heads that are picked. */
  picked: ReadonlySignal<readonly HeadRef[]>;
  /** Those that are drawn. */
  heads: ReadonlySignal<readonly HeadRef[]>;
  /** The head that is drawn large. */
  chosen: ReadonlySignal<HeadRef | null>;
  /** Its pattern; null until it is here. */
  pattern: ReadonlySignal<Pattern | null>;
  /** The part of it that is looked at. */
  viewport: ReadonlySignal<Viewport>;
  pyramids: Pyramids;
  /** While one zooms and pans, long prompts are drawn coarsely: what is quick is smooth. */
  isMoving: ReadonlySignal<boolean>;
  /** Looks at another part, as a step of a movement. */
  moveTo(part: Viewport): void;
  /** The values at the ends of the colours: of both runs, and of their difference. */
  runScale: ReadonlySignal<number>;
  differenceScale: ReadonlySignal<number>;
}

/** More heads than this at once are a wall, not a picture. */
const MAX_HEADS = 24;
/** Nor may a page fill the memory: 16 heads of 2,000 tokens take this much. */
const MAX_BYTES = 128 * 2 ** 20;

/** Who has not moved on for so long has come to rest, in ms. */
const REST = 150;

export function createHeads(view: View, look: Look): HeadsView {
  const { store } = view;
  const picked = computed(() => {
    const study = store.study.value;
    return study ? pickedHeads(store.selection.value, study) : [];
  });
  const heads = computed(() => {
    const positions = store.study.value?.positions ?? 0;
    return picked.value.slice(0, drawnHeads(positions));
  });
  const chosen = computed(() => {
    const name = look.chosen.value;
    return (
      heads.value.find((head) => headName(head) === name) ?? heads.value[0] ?? null
    );
  });
  const pattern = computed(() => readyPattern(view, chosen.value));
  const viewport = computed(() =>
    fittedTo(look.viewport.value, pattern.value?.size ?? 1),
  );
  const pyramids = createPyramids(view.signal);
  const scaled = computed(() => {
    const shown = look.ownScale.value ? [chosen.value] : heads.value;
    return shown.flatMap((head) => readyPattern(view, head) ?? []);
  });
  const scaleOf = (...runs: Run[]) =>
    computed(() => {
      const weighted = look.weighted.value;
      const sizes = scaled.value.flatMap((shown) =>
        runs.map((run) => pyramids.of(shown, { run, weighted })?.largest ?? 0),
      );
      return Math.max(0, ...sizes);
    });
  return {
    ...view,
    look,
    picked,
    heads,
    chosen,
    pattern,
    viewport,
    pyramids,
    ...createMoves(look, view.signal),
    runScale: scaleOf("clean", "corrupted"),
    differenceScale: scaleOf("difference"),
  };
}

function createMoves(look: Look, signal: AbortSignal) {
  const isMoving = makeSignal(false);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = () => clearTimeout(timer);
  onAbort(signal, stop);
  return {
    isMoving,
    moveTo(part: Viewport) {
      stop();
      timer = setTimeout(() => {
        isMoving.value = false;
      }, REST);
      batch(() => {
        isMoving.value = true;
        look.viewport.value = part;
      });
    },
  };
}

/** How many heads of such prompts can be drawn. */
function drawnHeads(positions: number): number {
  const bytes = Math.max(1, patternBytes(positions));
  return clamp(Math.floor(MAX_BYTES / bytes), 0, MAX_HEADS);
}

export function entryOf(
  { store }: View,
  head: HeadRef | null,
): HeadAttention | undefined {
  return head
    ? store.attention.patterns.value.get(attentionKey(head, store.pair.value))
    : undefined;
}

export function readyPattern(view: View, head: HeadRef | null): Pattern | null {
  const entry = entryOf(view, head);
  return entry?.state === "ready" ? entry.pattern : null;
}

export function scaleOfRun(view: HeadsView, run: Run): number {
  return (run === "difference" ? view.differenceScale : view.runScale).value;
}

/** The part of a pattern that is looked at; what comes later has no colour at all. */
export function partOf(
  pattern: Pattern,
  quantity: Quantity,
  part: Viewport,
  most: number,
  pyramid: Pyramid,
) {
  const level = levelFor(pyramid, part.count / most);
  const source = level ?? { read: rowsOf(pattern, quantity) };
  const matrix = pooled({ ...source, isCausal: true }, part, most);
  const { rows, columns, values } = matrix;
  const unknown = new Uint8Array(values.length);
  const { top, left, count } = part;
  for (let row = 0; row < rows; row++) {
    const last = top + Math.ceil(((row + 1) * count) / rows) - 1;
    const first = Math.floor(((last - left) * columns) / count) + 1;
    if (first >= columns) continue;
    const [from, to] = [row * columns + Math.max(0, first), (row + 1) * columns];
    values.fill(Number.NaN, from, to);
    unknown.fill(2, from, to);
  }
  return { matrix, unknown };
}

/** "L4H0", and the user's own name for it. */
export function ownName({ store }: View, head: HeadRef): string {
  return store.names.value[headName(head)] ?? "";
}

export const RUN_TITLES: Record<Run, string> = {
  clean: "clean",
  corrupted: "corrupted",
  difference: "clean − corrupted",
};
