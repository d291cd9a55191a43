/** Attention of the picked heads: clean, corrupted, and their difference. */

import { computed, type ReadonlySignal } from "@preact/signals-core";
import { button, el, keyed, react } from "../draw/dom";
import { unsigned } from "../draw/number";
import {
  attentionKey,
  type HeadAttention,
  type HeadRef,
  headName,
  pickedHeads,
} from "../state/attention";
import type { Study } from "../state/study";
import { positionName, shownPair } from "../state/tokens";
import { createPanels } from "./panels";
import type { MakeView, View } from "./view";

/** More heads than this at once are a wall, not a picture. */
const MAX_HEADS = 12;

export const attentionView: MakeView = (view) => {
  const { store, signal } = view;
  const picked = computed(() => {
    const study = store.study.value;
    return study ? pickedHeads(store.selection.value, study) : [];
  });
  const heads = computed(() => picked.value.slice(0, MAX_HEADS));
  const blocks = el("div", { class: "pw-heads" });
  const children = keyed(
    blocks,
    (name, life) => headBlock({ ...view, signal: life }, name, heads.peek()),
    signal,
  );
  const more = el("div", { class: "pw-quiet" });
  const name = el("span");
  const title = el("div", { class: "pw-section-title" }, name, readout(view));
  const section = el("section", { class: "pw-attention" }, title, blocks, more);
  react(signal, () => {
    const hidden = picked.value.length - heads.value.length;
    section.hidden = heads.value.length === 0;
    name.textContent = `Attention, ${pairWords(store.study.value, store.pair.value)}`;
    more.textContent = hidden > 0 ? `${hidden} more picked heads are not drawn.` : "";
    children(heads.value.map(headName));
  });
  react(signal, () => {
    store.attention.patterns.value; // read: a new study takes the patterns away
    store.attention.want(heads.value, store.pair.value);
  });
  return section;
};

/** Under a mean, what differs between pairs may cancel out: so it is said. */
function pairWords(study: Study | null, pair: number): string {
  const count = study?.pairs.length ?? 0;
  return pair < 0 && count > 1
    ? `mean of ${count} pairs`
    : `pair ${shownPair(pair) + 1}`;
}

function headBlock(view: View, name: string, heads: readonly HeadRef[]): HTMLElement {
  const { store, signal } = view;
  const head = heads.find((candidate) => headName(candidate) === name);
  const block = el("div", { class: "pw-head" });
  if (!head) return block;
  const entry = computed(() =>
    store.attention.patterns.value.get(attentionKey(head, store.pair.value)),
  );
  const panels = createPanels(view, head, entry);
  const status = el("div", { class: "pw-head-status" });
  block.append(el("div", { class: "pw-head-title" }, name), panels, status);
  react(signal, () => {
    status.replaceChildren(...statusOf(view, head, entry));
    panels.hidden = entry.value?.state !== "ready";
  });
  return block;
}

function statusOf(
  { store, signal }: View,
  head: HeadRef,
  entry: ReadonlySignal<HeadAttention | undefined>,
): HTMLElement[] {
  const now = entry.value;
  if (!now || now.state === "loading") {
    return [el("span", { class: "pw-quiet" }, "Waiting for the kernel.")];
  }
  if (now.state === "ready") return [];
  const retry = () => store.attention.retry(head, store.pair.peek());
  const again = button("try again", retry, signal);
  return [el("span", { class: "pw-error" }, `No attention: ${now.message}. `), again];
}

/** "L4H0 from END to IO: clean 0.930, corrupted 0.120". */
function readout({ store, ui, signal }: View): HTMLElement {
  const line = el("span", { class: "pw-attention-readout", "aria-live": "polite" });
  react(signal, () => {
    const place = ui.hover.value;
    const study = store.study.value;
    line.textContent = "";
    if (!study || !place || place.layer === null || place.heads === null) return;
    const { layer, heads, pos, src } = place;
    if (pos === null || src === null) return;
    const head = { layer, head: heads[0] };
    const pair = store.pair.value;
    const entry = store.attention.patterns.value.get(attentionKey(head, pair));
    if (entry?.state !== "ready") return;
    const at = pos * entry.size + src;
    const [clean = Number.NaN, corrupted = Number.NaN] = [
      entry.clean[at],
      entry.corrupted[at],
    ];
    const [from, to] = [pos, src].map((position) =>
      positionName(study, pair, position),
    );
    line.textContent =
      `${headName(head)} from ${from} to ${to}: ` +
      `clean ${unsigned(clean)}, corrupted ${unsigned(corrupted)}`;
  });
  return line;
}
