/** The hand-off: the picked heads in CircuitsVis, in a frame that can reach nothing. */

import { signal as makeSignal, untracked } from "@preact/signals-core";
import { button, el, quiet, react } from "../draw/dom";
import { onAbort } from "../host/life";
import { MESSAGE_KINDS } from "../host/messages";
import { createAsked } from "../state/asked";
import { headName, patternNode } from "../state/attention";
import { fields, flag, optional, text } from "../state/shape";
import { tryAgain, unanswered } from "./asking";
import type { HeadsView } from "./heads";

interface Opened {
  html: string;
  needsNetwork: boolean;
}

export function circuitsvisFrame(view: HeadsView): {
  button: HTMLElement;
  element: HTMLElement;
} {
  const { store, heads, signal } = view;
  const names = makeSignal("");
  // One frame: a new question takes the place of the old one.
  const frame = createAsked(
    () => "frame",
    async (_: null, life): Promise<Opened> => {
      const body = { nodes: heads.peek().map(patternNode), pair: store.pair.peek() };
      const { payload } = await store.channel.request(
        MESSAGE_KINDS.circuitsvisGet,
        body,
        { signal: life },
      );
      return readDocument(payload, "circuitsvis");
    },
  );
  const open = () => {
    names.value = heads.peek().map(headName).join(", ");
    frame.retry(null);
  };
  const close = () => {
    frame.clear();
    opener.focus();
  };
  const opener = button("open in CircuitsVis", open, signal);
  opener.hidden = store.isSaved;
  onAbort(signal, frame.clear);
  react(signal, () => {
    store.study.value; // read: another study's heads are other heads
    untracked(frame.clear);
  });
  const element = el("div", "pw-circuitsvis");
  const again = tryAgain(view, open);
  const closer = button("close", close, signal);
  react(signal, () => {
    const now = frame.entries.value.get("frame");
    element.hidden = !now;
    element.replaceChildren(
      el(
        "div",
        "pw-circuitsvis-head",
        el("strong", {}, "CircuitsVis"),
        quiet(names.value),
        closer,
      ),
      el("div", { role: "status" }, ...unanswered(now, "Not opened", again)),
      ...(now?.state === "ready" ? shown(now.answer, names.value) : []),
    );
  });
  return { button: opener, element };
}

function shown({ html, needsNetwork }: Opened, heads: string): HTMLElement[] {
  const network =
    "CircuitsVis loads its script from the network: without it the frame stays empty.";
  const note = el("div", "pw-quiet", network);
  return [...(needsNetwork ? [note] : []), documentFrame(html, heads)];
}

/** Scripts run in an origin of their own: neither the page nor the notebook is theirs. */
function documentFrame(html: string, heads: string): HTMLIFrameElement {
  const frame = el("iframe", {
    sandbox: "allow-scripts",
    class: "pw-circuitsvis-frame",
    title: `CircuitsVis: attention of ${heads}`,
  });
  frame.srcdoc = html;
  return frame;
}

const readDocument = fields<Opened>({
  html: text,
  needsNetwork: optional(flag, false),
});
