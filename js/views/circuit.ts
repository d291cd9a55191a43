/**
 * Paths and circuit: drawn by a module of its own, which is asked for when this part is
 * first unfolded. Most notebooks never load it.
 */

import {
  computed,
  effect,
  signal as makeSignal,
  untracked,
} from "@preact/signals-core";
import type { CircuitModule, Kit } from "../circuit/kit";
import * as dom from "../draw/dom";
import * as number from "../draw/number";
import { pictureOf } from "../draw/picture";
import { handOver } from "../host/clipboard";
import { imported } from "../host/imported";
import { type Channel, MESSAGE_KINDS, messageOf } from "../host/messages";
import { createAsked } from "../state/asked";
import { record, ShapeError, text } from "../state/shape";
import { positionName } from "../state/tokens";
import { tryAgain, unanswered } from "./asking";
import { isOpen } from "./foldable";
import type { MakeView } from "./view";

interface Loaded {
  module: CircuitModule;
  css: string;
}

type Entry = { state: "loading" | "ready" } | { state: "failed"; message: string };

const KIT: Kit = {
  signals: { computed, effect, signal: makeSignal, untracked },
  shared: { ...dom, ...number, createAsked, positionName },
  pictureOf,
  handOver,
};

const { el, react } = dom;

/** One for all widgets that share this module; another try after a failure. */
let loading: Promise<Loaded> | null = null;

export const circuitView: MakeView = (view) => {
  const { store, signal } = view;
  const entry = makeSignal<Entry | null>(null);
  const said = el("div", { class: "pw-circuit-state", role: "status" });
  const body = el("div", "pw-circuit-body");
  const section = el("section", "pw-circuit", said, body);

  async function load(): Promise<void> {
    entry.value = { state: "loading" };
    try {
      loading ??= loaded(store.channel);
      const { module, css } = await loading;
      if (signal.aborted) return;
      section.prepend(el("style", {}, css));
      module.mount(KIT, view, body);
      entry.value = { state: "ready" };
    } catch (error) {
      loading = null;
      const message = messageOf(error) ?? "the widget that asked for it has gone";
      entry.value = { state: "failed", message };
    }
  }

  const again = tryAgain(view, () => void load());
  react(signal, () => {
    const isThere = store.study.value !== null;
    section.hidden = !isThere;
    if (isThere && isOpen(store, "circuit") && !entry.peek()) untracked(load);
  });
  react(signal, () => {
    const now = entry.value;
    said.hidden = !now || now.state === "ready";
    if (now) said.replaceChildren(...unanswered(now, "This part is not here", again));
  });
  return section;
};

async function loaded(channel: Channel): Promise<Loaded> {
  const body = { name: "circuit" };
  const { payload, buffers } = await channel.request(MESSAGE_KINDS.moduleGet, body);
  const css = text(record(payload, "module").css, "module.css");
  return { css, module: await imported<CircuitModule>(bytesOf(buffers[0])) };
}

function bytesOf(buffer: unknown): Uint8Array<ArrayBuffer> {
  const view = buffer instanceof ArrayBuffer ? new DataView(buffer) : buffer;
  if (!ArrayBuffer.isView(view)) throw new ShapeError("module", "its code", buffer);
  return Uint8Array.from(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
}
