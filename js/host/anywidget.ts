/** The live host: the only file that touches anywidget's `model`. */

import type { AnyModel } from "@anywidget/types";
import type { Host, MessageListener } from "./host";

/**
 * ipywidgets sets whether a model's kernel is alive when it makes the model, and from
 * then on only to say that it is not: when the kernel is restarted.
 */
const NO_LONGER_ALIVE = "comm_live_update";

export function anywidgetHost(model: AnyModel): Host {
  return {
    get: (trait) => model.get(trait),
    set(trait, value) {
      model.set(trait, value);
      model.save_changes();
    },
    onChange: (trait, callback, signal) =>
      listen(model, `change:${trait}`, callback, signal),
    send: (content) => model.send(content),
    onMessage: (listener, signal) => listenToMessages(model, listener, signal),
    onLost: (callback, signal) => listen(model, NO_LONGER_ALIVE, callback, signal),
  };
}

function listen(
  model: AnyModel,
  event: string,
  callback: () => void,
  signal: AbortSignal,
): void {
  if (signal.aborted) return;
  // Backbone passes (model, value), marimo passes (value): neither is looked at.
  const handler = () => callback();
  model.on(event, handler);
  // Without the callback, marimo's `off` would remove everybody's listeners.
  signal.addEventListener("abort", () => model.off(event, handler), { once: true });
}

function listenToMessages(
  model: AnyModel,
  listener: MessageListener,
  signal: AbortSignal,
): void {
  if (signal.aborted) return;
  const handler = (content: unknown, buffers?: readonly unknown[]) =>
    listener(content, buffers ?? []);
  model.on("msg:custom", handler);
  const off = () => model.off("msg:custom", handler);
  signal.addEventListener("abort", off, { once: true });
}
