/** The hand-off: the picked heads in CircuitsVis, in a frame that can reach nothing. */

import { signal as makeSignal } from "@preact/signals-core";
import { button, el, quiet, react } from "../draw/dom";
import { onAbort } from "../host/life";
import { MESSAGE_KINDS, messageOf } from "../host/messages";
import { headName, patternNode } from "../state/attention";
import { fields, flag, optional, text } from "../state/shape";
import type { HeadsView } from "./heads";

type Frame =
  | { state: "closed" }
  | { state: "loading"; heads: string }
  | { state: "failed"; heads: string; message: string }
  | { state: "open"; heads: string; html: string; needsNetwork: boolean };

export function circuitsvisFrame(view: HeadsView): {
  button: HTMLElement;
  element: HTMLElement;
} {
  const { store, heads, signal } = view;
  const frame = makeSignal<Frame>({ state: "closed" });
  let asked = new AbortController();

  async function open(): Promise<void> {
    asked.abort();
    asked = new AbortController();
    const names = heads.peek().map(headName).join(", ");
    frame.value = { state: "loading", heads: names };
    try {
      const body = { nodes: heads.peek().map(patternNode), pair: store.pair.peek() };
      const { payload } = await store.channel.request(
        MESSAGE_KINDS.circuitsvisGet,
        body,
        { signal: asked.signal },
      );
      frame.value = {
        state: "open",
        heads: names,
        ...readDocument(payload, "circuitsvis"),
      };
    } catch (error) {
      const message = messageOf(error);
      if (message !== null) frame.value = { state: "failed", heads: names, message };
    }
  }

  function close(): void {
    asked.abort();
    frame.value = { state: "closed" };
    opener.focus();
  }

  const opener = button("open in CircuitsVis", () => void open(), signal);
  onAbort(signal, () => asked.abort());
  react(signal, () => {
    store.study.value; // read: another study's heads are other heads
    asked.abort();
    frame.value = { state: "closed" };
  });
  const element = el("div", { class: "pw-circuitsvis" });
  const again = button("try again", () => void open(), signal);
  const closer = button("close", close, signal);
  react(signal, () => {
    const now = frame.value;
    element.hidden = now.state === "closed";
    element.replaceChildren(...(now.state === "closed" ? [] : content(now)));
  });

  function content(now: Exclude<Frame, { state: "closed" }>): HTMLElement[] {
    const head = el(
      "div",
      { class: "pw-circuitsvis-head" },
      el("strong", {}, "CircuitsVis"),
      quiet(now.heads),
      ...(now.state === "failed" ? [again] : []),
      closer,
    );
    return [head, ...statusOf(now)];
  }

  return { button: opener, element };
}

function statusOf(now: Exclude<Frame, { state: "closed" }>): HTMLElement[] {
  if (now.state === "loading") {
    return [
      el("div", { class: "pw-quiet", role: "status" }, "Waiting for the kernel."),
    ];
  }
  if (now.state === "failed") {
    const words = `Not opened: ${now.message}.`;
    return [el("div", { class: "pw-error", role: "alert" }, words)];
  }
  const network =
    "CircuitsVis loads its script from the network: without it the frame stays empty.";
  const note = el("div", { class: "pw-quiet" }, network);
  return [...(now.needsNetwork ? [note] : []), documentFrame(now.html, now.heads)];
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

const readDocument = fields({ html: text, needsNetwork: optional(flag, false) });
