/** The live host: the only file that touches anywidget's `model`. */

import type { AnyModel } from "@anywidget/types";
import type { Host, MessageListener, Trait } from "./host";
import { onAbort } from "./life";

export function anywidgetHost(model: AnyModel): Host {
  return {
    get: (trait) => model.get(trait),
    set(trait, value) {
      model.set(trait, value);
      model.save_changes();
    },
    onChange: (trait, callback, signal) => listen(model, trait, callback, signal),
    send: (content) => model.send(content),
    onMessage: (listener, signal) => listenToMessages(model, listener, signal),
  };
}

function listen(
  model: AnyModel,
  trait: Trait,
  callback: () => void,
  signal: AbortSignal,
): void {
  if (signal.aborted) return;
  // Backbone passes (model, value), marimo passes (value): neither is looked at.
  const handler = () => callback();
  const event = `change:${trait}` as const;
  model.on(event, handler);
  // Without the callback, marimo's `off` would remove everybody's listeners.
  onAbort(signal, () => model.off(event, handler));
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
  onAbort(signal, () => model.off("msg:custom", handler));
}
